# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for a render in the triggerer."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.links import link_xcoms
from airflow_video_providers.metrics import count_ended
from airflow_video_providers.submission.cancel_in_triggerer import handle_kill
from airflow_video_providers.waiting.in_triggerer import count_waits, watch
from airflow_video_providers.waiting.outcome import event_of, job_from_event
from airflow_video_providers.waiting.schedule import Pace
from airflow_video_providers.waiting.wait import DEFAULT_MAX_POLL_FAILURES, Limits, Wait
from airflow_video_providers.waiting.waiter import Waiter

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["VideoJobTrigger", "job_from_event", "may_end_from_trigger"]

_SETTLING_SECONDS = 10.0
"""
How long after the last poll before the deferral a task is resumed at the soonest.

A scheduler that has not yet taken note of the deferral would take the resumed task for one that its executor has lost,
and fail it.
"""
_SHOW_INTERVAL = 60.0
"""How often, in seconds, the log and the XCom of a deferred task tell of its job although it has not moved."""
_MOST_SHOWS = 1.0
"""
How many XComs all tasks of a triggerer may update in a second: each is a request to the API server and a write to
Airflow's database. What a task may not show yet, it shows later; its log never tells more than its XCom.
"""


class VideoJobTrigger(BaseTrigger):
    """
    Wait for one render; all waits of a connection in a triggerer share one poll.

    A render that succeeds ends the task from the triggerer, with no worker started: its XComs are ``return_value`` (the
    job id), ``video_job`` (the job) and the link to the job's page. Any other end resumes the task with a plain event,
    which :func:`job_from_event` turns into the job or the exception.

    :param conn_id: the Airflow connection.
    :param job: as last polled, as :meth:`VideoJob.to_xcom` gives it.
    :param poll_interval: longest time between two polls, in seconds.
    :param deadline: seconds of the epoch at which the wait is over, or None. It survives a restart of the triggerer.
    :param seed: names the task instance, map index included.
    :param cancel_on_kill: cancel the render when a user clears, fails or succeeds the waiting task. The job is polled
        first; a finished one is left alone. Never on a restart of the triggerer, nor when another triggerer takes the
        wait over, nor at the deadline.
    :param max_poll_failures: how many polls in a row may fail.
    :param do_xcom_push: as of the waiting task; False pushes nothing, and the task is resumed on a worker.
    :param end_from_trigger: False resumes the task on a worker even when all is well, as a task with outlets needs.
    :param callback: the vendor calls back when the job has ended, so that polls only make up for a lost callback. A
        callback wakes the wait in any case, where the connection takes callbacks.
    :param key: the job's submission key, for a vendor whose callback names nothing else.
    :param pace: what the polls so far have told, as :meth:`Pace.to_json` gives it; default: this is the first one.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        job: dict[str, Any],
        poll_interval: float,
        deadline: float | None = None,
        seed: str = "",
        cancel_on_kill: bool = False,
        max_poll_failures: int = DEFAULT_MAX_POLL_FAILURES,
        do_xcom_push: bool = True,
        end_from_trigger: bool = True,
        callback: bool = False,
        key: str | None = None,
        pace: dict[str, float] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Airflow
        self.conn_id = conn_id
        self.job = {sys.intern(name): value for name, value in job.items()}  # thousands wait in one process
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.seed = seed
        self.cancel_on_kill = cancel_on_kill
        self.max_poll_failures = max_poll_failures
        self.do_xcom_push = do_xcom_push
        self.end_from_trigger = end_from_trigger
        self.callback = callback
        self.key = key
        self.pace = pace or Pace.begin(VideoJob.from_xcom(job), time.time()).to_json()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make the trigger again."""
        names = (
            "conn_id",
            "job",
            "poll_interval",
            "deadline",
            "seed",
            "cancel_on_kill",
            "max_poll_failures",
            "do_xcom_push",
            "end_from_trigger",
            "callback",
            "key",
            "pace",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire one event."""
        limits = Limits(
            poll_interval=self.poll_interval,
            deadline=self.deadline,
            max_poll_failures=self.max_poll_failures,
            seed=self.seed,
            callback=self.callback,
        )
        waiter = Waiter(Wait.begin(VideoJob.from_xcom(self.job), Pace(**self.pace), limits), self.key)
        shown, last = waiter.wait.display, time.time()  # the worker has just shown the job
        waiter.show_from = last + _SHOW_INTERVAL
        async with contextlib.aclosing(watch(self.conn_id, waiter)) as polls:
            async for wait in polls:
                now = time.time()
                may_show = now >= last + _shortest_pause()
                if wait.end is not None or (may_show and (wait.display != shown or now >= last + _SHOW_INTERVAL)):
                    shown, last = wait.display, now
                    if wait.end is None:
                        await self._push("video_job", wait.job.to_xcom())
                    self.log.info("%s%s", wait.describe(), " · called back" if waiter.is_called_back else "")
                # The next poll is news if something is still to be shown, or when it is time for a sign of life.
                waiter.show_from = last + (_shortest_pause() if wait.display != shown else _SHOW_INTERVAL)
                del wait  # else each of thousands keeps an outdated job in memory
        job, error = waiter.wait.job, waiter.wait.error
        # `dag.test()` runs triggers without a task instance, and does not know events that end the task.
        if error is None and job.state is JobState.SUCCEEDED and self.end_from_trigger and await self._publish(job):
            count_ended(job)  # no worker comes to it
            yield TaskSuccessEvent()
        else:
            if self.task_instance is not None:
                await asyncio.sleep(max(0.0, self.pace["polled"] + _SETTLING_SECONDS - time.time()))
            yield TriggerEvent(event_of(job, error))

    async def _publish(self, job: VideoJob) -> bool:
        """
        Push the XComs of a task that ends here; return whether all are pushed, so that no worker is needed.

        Not by the event's own ``xcoms``: Airflow 3.3 stores those as JSON in JSON, and a task that pulls one gets text.
        """
        if self.do_xcom_push and await self._is_superseded():
            self.log.warning("The task was cleared while this trigger ran: a worker decides.")
            return False
        xcoms = {"return_value": job.job_id, "video_job": job.to_xcom(), **link_xcoms(job)}
        return all([await self._push(key, value) for key, value in xcoms.items()])

    async def _is_superseded(self) -> bool:
        """
        Tell whether the XCom that the worker left when it deferred is not there any more, or names another job.

        A new try wipes the XComs of the one before. Where Airflow gives the ids of triggers out again (SQLite), it
        takes an earlier try's trigger for that of the new try, and would end the new try with the earlier job.
        """
        if self.task_instance is None:
            return False
        from airflow.sdk.execution_time.xcom import XCom

        try:
            left = await asyncio.to_thread(partial(XCom.get_one, key="video_job", **_place_of(self.task_instance)))
        except Exception as error:
            self.log.warning("The XCom video_job could not be read: %s", error)
            return True
        return not isinstance(left, dict) or left.get("job_id") != self.job["job_id"]

    async def _push(self, key: str, value: Any) -> bool:
        """Push one XCom of the waiting task; a trigger cannot write to its task state store."""
        ti = self.task_instance
        if ti is None or not self.do_xcom_push:
            return False
        from airflow.sdk.execution_time.xcom import XCom

        try:
            # In a thread, since a custom XCom backend may do blocking work.
            await asyncio.to_thread(partial(XCom.set, key=key, value=value, **_place_of(ti)))
        except Exception as error:  # the wait goes on, and a worker pushes what could not be pushed here
            self.log.warning("The XCom %s could not be pushed: %s", key, error)
            return False
        return True

    async def on_kill(self) -> None:
        """
        Cancel the render if a user has ended the task and the task wants that; a finished render is left alone.

        Airflow also calls this when another triggerer takes the trigger over: the render then goes on.
        """
        # By our own clock: many vendors do not say when a job was created.
        job = VideoJob.from_xcom({**self.job, "created_at": self.pace["since"]})
        await handle_kill(self.conn_id, job, self.task_instance, cancel=self.cancel_on_kill)


def _place_of(ti: Any) -> dict[str, Any]:
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}


def _shortest_pause() -> float:
    """Return how long a task waits between two shows, so that all of a triggerer keep within their rate."""
    return count_waits() / _MOST_SHOWS


def may_end_from_trigger(task: BaseOperator) -> bool:
    """Tell whether a task loses nothing by ending in the triggerer: outlets, hooks and callbacks need a worker."""
    from airflow.sdk import BaseOperator

    has_hook = task._post_execute_hook or type(task).post_execute is not BaseOperator.post_execute
    # Airflow 3.3 drops the success callback of a task that ends in the triggerer.
    needs_worker = task.outlets or task.returns_dag_result or has_hook or task.on_success_callback
    return task.do_xcom_push and not needs_worker
