# SPDX-License-Identifier: Apache-2.0
"""
What becomes of the render of a deferred task when its trigger is killed.

Airflow calls a trigger's ``on_kill`` when a user fails, succeeds or clears the task, and also when another triggerer
takes the trigger over, since its own was late with a heartbeat. The state of the task instance tells which it was:

| state of the task instance | what is done with a job that still runs |
|---|---|
| failed, success, skipped, removed; cleared and not scheduled yet; deleted | cancelled, where the task wants that |
| deferred | left alone: another triggerer waits for it, or the next try does |
| scheduled, queued, running, up_for_retry | left alone: the run that follows cancels or adopts it |
| unknown, since Airflow does not respond | left alone |

Every way ends in one log sentence that names the job.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from airflow_video_providers.hooks.base import VideoHook, aget_video_hook
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.submission.cancel import (
    LOOK_AGAIN,
    Cancellation,
    CancelOutcome,
    Cause,
    cancel_video_job,
    how_to_cancel,
    must_be_shown_by,
)
from airflow_video_providers.submission.task_state import is_ended, state_among

log = logging.getLogger(__name__)

MOST_CANCELS_IN_FLIGHT = 16
"""Most jobs of one connection that are cancelled at a time."""
_STATE_SECONDS = 60.0
"""
How long Airflow may take to give the state of the task instance. It gives a killed trigger 30 seconds, after which the
work goes on: a supervisor that waits for a busy database answers late.
"""
_LOOK_UP_SECONDS = 60.0
"""How long Airflow may take to give the connection."""
_RETRY_SECONDS = 10.0
"""How long a cancelling call is tried again."""


async def handle_kill(conn_id: str, job: VideoJob, ti: Any, *, cancel: bool) -> None:
    """
    Cancel the render of a task that a user has ended; leave it alone in any other case.

    It goes on even if the caller is cancelled meanwhile: when hundreds of tasks are cleared at once, the last ones do
    not get their turn within the time that Airflow gives a killed trigger. Raises nothing but that cancellation.

    :param job: as it was last polled.
    :param ti: the task instance of the trigger.
    :param cancel: whether the task wants its render to be cancelled; if not, the log says how to end it.
    """
    name = f"{job.vendor} job {job.job_id}"
    # A task of its own, which the end of the trigger does not cancel.
    work = _keep(_decide(conn_id, job, ti, cancel=cancel, name=name))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        log.warning(
            "No time is left to see %s cancelled; the triggerer goes on trying. Until then it may be charged. %s",
            name,
            how_to_cancel(conn_id, job.job_id, job.page_url),
        )
        raise


async def _decide(conn_id: str, job: VideoJob, ti: Any, *, cancel: bool, name: str) -> None:
    how = how_to_cancel(conn_id, job.job_id, job.page_url)
    try:
        state = await _get_state(ti)
    except Exception as error:
        said = str(error) or type(error).__name__
        log.warning("%s is left alone, since Airflow does not say what became of its task (%s). %s", name, said, how)
        return
    await _carry_out(conn_id, job, state, cancel=cancel, name=name)


async def handle_kills(conn_id: str, jobs: Sequence[VideoJob], ti: Any, *, cancel: bool) -> None:
    """Do the same for all renders of one task, which Airflow is asked about once."""
    work = _keep(_decide_for_all(conn_id, jobs, ti, cancel=cancel))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        log.warning("No time is left to see %d jobs cancelled; the triggerer goes on trying.", len(jobs))
        raise


async def _decide_for_all(conn_id: str, jobs: Sequence[VideoJob], ti: Any, *, cancel: bool) -> None:
    try:
        state = await _get_state(ti)
    except Exception as error:
        said, names = str(error) or type(error).__name__, ", ".join(job.job_id for job in jobs)
        log.warning("Airflow does not say what became of the task (%s); its jobs are left alone: %s", said, names)
        return
    await asyncio.gather(
        *(_carry_out(conn_id, job, state, cancel=cancel, name=f"{job.vendor} job {job.job_id}") for job in jobs)
    )


async def _carry_out(conn_id: str, job: VideoJob, state: str | None, *, cancel: bool, name: str) -> None:
    how = how_to_cancel(conn_id, job.job_id, job.page_url)
    if state == "deferred":
        log.info("%s is left alone: its task is still deferred, so another triggerer has taken it over.", name)
    elif not is_ended(state):
        log.info("%s is left alone: the task is %s, and its next run decides.", name, state)
    elif not cancel:
        log.warning("The task was ended (%s), but %s goes on if it still runs. %s", state or "cleared", name, how)
    else:
        try:
            await _canceller(conn_id).cancel(job)
        except Exception as error:
            said = str(error) or type(error).__name__
            log.error("%s was not cancelled, it may go on and be charged: %s. %s", name, said.rstrip("."), how)


async def _get_state(ti: Any) -> str | None:
    """Ask Airflow for the state of the task instance; None: it was cleared."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if ti is None:
        raise LookupError("the trigger belongs to no task instance")
    ask = partial(
        RuntimeTaskInstance.get_task_states,
        dag_id=ti.dag_id,
        task_ids=[ti.task_id],
        run_ids=[ti.run_id],
        map_index=ti.map_index,
    )
    try:
        # In a thread, since Airflow offers no other way; it asks the triggerer's supervisor.
        states = await asyncio.wait_for(asyncio.to_thread(ask), _STATE_SECONDS)
    except asyncio.TimeoutError:
        raise TimeoutError(f"no response within {_STATE_SECONDS:.0f} s") from None
    return state_among(states, ti.run_id)


class _Canceller:
    """Cancels jobs of one connection, by one hook and in a few threads of its own; ends with the last of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, conn_id: str) -> None:
        self._key = (loop, conn_id)
        self._threads = ThreadPoolExecutor(MOST_CANCELS_IN_FLIGHT, thread_name_prefix=f"cancel-{conn_id}")
        self._waiting = 0
        self._hook: asyncio.Task[VideoHook] | None = None

    async def cancel(self, job: VideoJob) -> None:
        """
        Poll the job and cancel it if it still runs; the log says what became of it.

        :raises Exception: the connection cannot be looked up, or the hook has a fault.
        """
        self._waiting += 1
        try:
            if self._hook is None:
                self._hook = self._key[0].create_task(self._open_hook())
            hook = await self._hook
            # In the context of the killed trigger: its log tells what became of the job.
            run = contextvars.copy_context().run
            shown_by = must_be_shown_by(job.created_at, hook.find_wait)
            cancel = partial(
                cancel_video_job, hook, job.job_id, reason=Cause.KILLED.value, shown_by=shown_by, seconds=0
            )
            # One that is not shown yet holds no thread meanwhile: others run.
            while (ended := await self._call(partial(run, cancel))).outcome is CancelOutcome.NOT_SHOWN:
                try:
                    await asyncio.sleep(LOOK_AGAIN)
                except asyncio.CancelledError:  # the triggerer ends
                    log.error("%s", ended.text)
                    raise
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._end()

    async def _call(self, cancel: Callable[[], Cancellation]) -> Cancellation:
        return await self._key[0].run_in_executor(self._threads, cancel)

    async def _open_hook(self) -> VideoHook:
        try:
            hook = await asyncio.wait_for(aget_video_hook(self._key[1]), _LOOK_UP_SECONDS)
        except asyncio.TimeoutError:
            text = f"connection {self._key[1]!r} was not given by Airflow within {_LOOK_UP_SECONDS:.0f} s"
            raise TimeoutError(text) from None
        hook.retry_deadline = _RETRY_SECONDS
        return hook

    def _end(self) -> None:
        del _cancellers[self._key]
        self._threads.shutdown(wait=False)
        if self._hook is not None and self._hook.done() and not self._hook.cancelled() and not self._hook.exception():
            self._hook.result().close()


# Keyed by the loop too: `dag.test()` gives every trigger a loop of its own.
_cancellers: dict[tuple[asyncio.AbstractEventLoop, str], _Canceller] = {}
_kept: set[asyncio.Task[None]] = set()


def _canceller(conn_id: str) -> _Canceller:
    key = (asyncio.get_running_loop(), conn_id)
    if key not in _cancellers:
        _cancellers[key] = _Canceller(*key)
    return _cancellers[key]


def _keep(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task and keep a reference to it until it ends."""
    task = asyncio.get_running_loop().create_task(work)
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    return task
