# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for the renders of a bulk task, and wakes it when enough of them have ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_video_providers.exceptions import VideoPollingError
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.submission.cancel_in_triggerer import handle_kills
from airflow_video_providers.waiting.in_triggerer import watch
from airflow_video_providers.waiting.schedule import Pace
from airflow_video_providers.waiting.wait import Limits, Wait
from airflow_video_providers.waiting.waiter import Waiter

WAKE_SECONDS = 30.0
"""How long a render that has ended waits for others at the most, before the task is woken."""
_SETTLING_SECONDS = 10.0


class VideoJobsTrigger(BaseTrigger):
    """
    Wait for many renders of one connection, all by the poll that the triggerer's waits share.

    It fires one event when ``wake_at`` renders have ended, when the first of them has waited for 30 seconds, or when
    all have: ``{"ended": [{"number", "job", "at"}, ...], "error": None or text}``; ``at``: when a poll showed the end.

    :param conn_id: the Airflow connection.
    :param jobs: ``{"number": of the item, "job_id", "key", "vendor", "deadline", "submitted_at"}`` for each, times
        in seconds of the epoch. A job whose deadline passes is among the ended ones, in the state that was seen last.
    :param poll_interval: longest time between two polls of a job, in seconds.
    :param wake_at: how many ended renders wake the task.
    :param deferred_at: seconds of the epoch; the task is not resumed within 10 seconds of it.
    :param seed: names the task instance, map index included.
    :param cancel_on_kill: cancel the renders when a user clears, fails or succeeds the task.
    :param callback: the vendor calls back when a job has ended, so that polls only make up for a lost callback.
    :param usual: how long the other renders of the list took, in seconds; None: unknown.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        jobs: list[dict[str, Any]],
        poll_interval: float,
        wake_at: int,
        deferred_at: float,
        seed: str = "",
        cancel_on_kill: bool = True,
        callback: bool = False,
        usual: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Airflow
        self.conn_id = conn_id
        self.jobs = jobs
        self.poll_interval = poll_interval
        self.wake_at = wake_at
        self.deferred_at = deferred_at
        self.seed = seed
        self.cancel_on_kill = cancel_on_kill
        self.callback = callback
        self.usual = usual
        self._ended: dict[int, tuple[VideoJob, float]] = {}
        self._called_back = 0
        self._error: str | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make the trigger again."""
        names = (
            "conn_id", "jobs", "poll_interval", "wake_at", "deferred_at", "seed", "cancel_on_kill", "callback", "usual",
        )  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire one event."""
        news = asyncio.Event()
        tasks = [asyncio.ensure_future(self._watch(job, news)) for job in self.jobs]
        first: float | None = None
        try:
            while len(self._ended) < min(self.wake_at, len(self.jobs)) and self._error is None:
                if self._ended and first is None:
                    first = time.monotonic()
                left = None if first is None else max(0.0, first + WAKE_SECONDS - time.monotonic())
                if left == 0.0:
                    break
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(news.wait(), left)
                news.clear()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.task_instance is not None:
            await asyncio.sleep(max(0.0, self.deferred_at + _SETTLING_SECONDS - time.time()))
        by_callback = f", {self._called_back} called back" if self._called_back else ""
        self.log.info("%d of %d renders have ended%s", len(self._ended), len(self.jobs), by_callback)
        ended = [{"number": number, "job": job.to_xcom(), "at": at} for number, (job, at) in self._ended.items()]
        yield TriggerEvent({"ended": ended, "error": self._error})

    async def _watch(self, told: dict[str, Any], news: asyncio.Event) -> None:
        number = int(told["number"])
        limits = Limits(
            poll_interval=self.poll_interval,
            deadline=told["deadline"],
            seed=f"{self.seed} {number}",
            callback=self.callback,
            usual=self.usual,
        )
        now = time.time()
        job = VideoJob(vendor=told["vendor"], job_id=told["job_id"], state=JobState.RUNNING, vendor_status="deferred")
        began = now if self.usual is None else told.get("submitted_at") or now
        wait = Wait.begin(job, Pace.begin(job, began), limits)
        waiter = Waiter(wait, told.get("key"))
        async with contextlib.aclosing(watch(self.conn_id, waiter)) as polls:
            async for wait in polls:
                if wait.end is None:
                    continue
                if isinstance(wait.error, VideoPollingError):
                    self._error = str(wait.error)
                else:
                    self._ended[number] = (wait.job, time.time())
                    self._called_back += waiter.is_called_back
                news.set()

    async def on_kill(self) -> None:
        """Cancel the renders if a user ended the task and it wants that; leave them alone in any other case."""
        left = [told for told in self.jobs if int(told["number"]) not in self._ended]
        await handle_kills(self.conn_id, placeholders(left), self.task_instance, cancel=self.cancel_on_kill)


def placeholders(jobs: Sequence[dict[str, Any]]) -> list[VideoJob]:
    """Return jobs of which no more is known than their ids, and when they were submitted."""
    return [
        VideoJob(
            vendor=told["vendor"],
            job_id=told["job_id"],
            state=JobState.RUNNING,
            vendor_status="deferred",
            created_at=told.get("submitted_at"),
        )
        for told in jobs
    ]
