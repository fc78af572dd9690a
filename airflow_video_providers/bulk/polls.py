# SPDX-License-Identifier: Apache-2.0
"""
The polls of a window in a worker: one list for all where the vendor has one, else each job when it is due.

The renders that have ended tell when the others will: the next ones are polled when a quarter of those took as long.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.waiting.outcome import describe_failure
from airflow_video_providers.waiting.schedule import Pace
from airflow_video_providers.waiting.wait import Limits, Wait, placeholder_job

log = logging.getLogger(__name__)

_THREADS = 8
_LIST_EVERY = 10.0
_LISTS_A_RENDER = 5
_SHORTEST_LIST_EVERY = 2.0
_REMEMBERED = 100


class Polls:
    """
    The waits of the renders that run.

    :param poll_interval: longest time between two polls of a job, in seconds.
    """

    def __init__(self, hook: VideoHook, *, poll_interval: float, seed: str = "") -> None:
        self._hook, self._poll_interval, self._seed = hook, poll_interval, seed
        self._waits: dict[int, Wait] = {}
        self._list_from = 0.0
        self._took: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def usual(self) -> float | None:
        """After how many seconds a quarter of the last renders had ended; None before the first one has."""
        return sorted(self._took)[len(self._took) // 4] if self._took else None

    def learn(self, job: VideoJob, seconds: float) -> None:
        """Take note of how long a render took: by the vendor's times, else until a poll showed that it had ended."""
        if job.state is JobState.SUCCEEDED:
            if job.created_at is not None and job.finished_at is not None:
                seconds = (job.finished_at - job.created_at).total_seconds()
            self._took.append(max(0.0, seconds))

    def add(
        self, number: int, job_id: str, job: VideoJob | None, *, deadline: float, began: float | None = None
    ) -> None:
        """
        Begin to wait for the job of an item.

        :param job: as it was just submitted; None: it has not been polled here.
        :param deadline: when to give it up, in seconds of the epoch.
        :param began: when it was submitted, where a trigger has polled it until now; None: it is polled at once.
        """
        limits = Limits(
            poll_interval=self._poll_interval, deadline=deadline, seed=f"{self._seed} {number}", usual=self.usual
        )
        now = time.time()
        if job is None and began is None:
            self._waits[number] = Wait.begin_unseen(self._hook.vendor, job_id, now, limits)
            return
        if job is None:
            job, now = placeholder_job(self._hook.vendor, job_id), now if limits.usual is None else float(began or now)
        self._waits[number] = Wait.begin(job, Pace.begin(job, now), limits)

    def drop(self, number: int) -> None:
        """Wait no more for the job of an item."""
        self._waits.pop(number, None)

    def waiting(self) -> dict[int, Wait]:
        """Return the waits, by the numbers of their items."""
        return dict(self._waits)

    def next_due(self) -> float:
        """Return when the next poll is due, in seconds of the epoch; infinite where there is none."""
        due = min((wait.due for wait in self._waits.values()), default=math.inf)
        return max(due, self._list_from) if self._lists(len(self._waits)) else due

    def _lists(self, count: int) -> bool:
        """Tell whether this many jobs are polled by the vendor's list."""
        return self._hook.can_list and count > 1

    def poll_due(self, now: float) -> Iterator[tuple[int, VideoJob | Exception]]:
        """Poll what is due, and yield the ends: the job, or the error that ended its wait."""
        due = [number for number, wait in self._waits.items() if wait.due <= now or wait.end is not None]
        if not due:
            return
        if self._lists(len(due)):
            due = self._poll_list(due) if now >= self._list_from else []
        if due:
            with ThreadPoolExecutor(min(_THREADS, len(due)), thread_name_prefix="poll") as threads:
                list(threads.map(self._poll_one, due))
        for number, wait in list(self._waits.items()):
            if wait.end is not None:
                del self._waits[number]
                yield number, wait.end

    def _poll_one(self, number: int) -> None:
        wait = self._waits[number]
        try:
            job = self._hook.get_job(wait.job.job_id)
        except Exception as error:  # whatever a response of one job makes of a hook, the others go on
            self._waits[number] = wait.missed(error, time.time(), find_wait=self._hook.find_wait)
        else:
            self._waits[number] = wait.saw(job, time.time())

    def _poll_list(self, due: list[int]) -> list[int]:
        """Poll all jobs in one request; return the numbers of those that are due and were not shown."""
        numbers = {wait.job.job_id: number for number, wait in self._waits.items()}
        usual = math.inf if self.usual is None else max(self.usual / _LISTS_A_RENDER, _SHORTEST_LIST_EVERY)
        self._list_from = time.time() + min(_LIST_EVERY, self._poll_interval, usual)
        try:
            found = self._hook.get_jobs(list(numbers))
        except Exception as error:
            log.warning("%s", describe_failure(error))
            for number in due:
                self._waits[number] = self._waits[number].missed(error, time.time())
            return []
        now = time.time()
        for job_id, number in numbers.items():
            if job := found.get(job_id):
                self._waits[number] = self._waits[number].saw(job, now)
        return [number for number in due if self._waits[number].job.job_id not in found]
