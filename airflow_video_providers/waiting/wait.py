# SPDX-License-Identifier: Apache-2.0
"""One wait for one job in a triggerer: what its looks have told, and when the next one is due."""

from __future__ import annotations

import asyncio
import math
import time

from airflow_video_providers.exceptions import VideoJobTimeoutError, VideoPollingError
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.waiting.schedule import (
    DEFAULT_MAX_POLL_FAILURES,
    DEFAULT_POLL_INTERVAL,
    Pace,
    deleted,
    gone_after,
    moved,
    next_poll,
    next_try,
    polling_given_up,
    timed_out,
    weight,
)

_LAST_LOOK_SECONDS = 60.0
"""How long the look at the deadline may take before the wait ends without it."""


class Waiter:
    """
    One wait for one job.

    :param job: the last look at it, and ``pace`` what all looks have told.
    :param poll_interval: longest time between two looks, in seconds.
    :param deadline: seconds of the epoch at which the wait is over, or None.
    :param seed: names the waiting task instance.
    :param max_poll_failures: how many looks in a row may fail.
    :ivar show_from: seconds of the epoch from which on a look is news even if the job did not move.
    """

    __slots__ = (
        "deadline",
        "due",
        "error",
        "failures",
        "given_up_at",
        "gone",
        "job",
        "max_poll_failures",
        "news",
        "pace",
        "poll_interval",
        "queued",
        "seed",
        "show_from",
    )

    def __init__(
        self,
        job: VideoJob,
        pace: Pace,
        *,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        deadline: float | None = None,
        seed: str = "",
        max_poll_failures: int = DEFAULT_MAX_POLL_FAILURES,
    ) -> None:
        self.job = job
        self.pace = pace
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.seed = seed
        self.max_poll_failures = max_poll_failures
        self.given_up_at = math.inf if deadline is None else max(deadline, time.time()) + _LAST_LOOK_SECONDS
        self.failures = self.gone = 0
        self.error: VideoPollingError | VideoJobTimeoutError | None = None
        self.news = asyncio.Event()
        self.show_from = math.inf
        self.queued: float | None = None
        self.plan(pace.looked + next_poll(job, pace, poll_interval=poll_interval, seed=seed))

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.error is not None or self.job.state.is_terminal

    def plan(self, due: float) -> None:
        """Set the time of the next look; the deadline's look is the last."""
        self.due = due if self.deadline is None else min(due, self.deadline)

    def saw(self, job: VideoJob, now: float) -> None:
        """Take in a look."""
        if job.state.is_terminal or moved(job) != moved(self.job) or now >= self.show_from:
            self.news.set()
        self.failures = self.gone = 0
        self.pace = self.pace.observe(job, now)
        self.job = job
        self.plan(now + next_poll(job, self.pace, poll_interval=self.poll_interval, seed=self.seed))
        self.check_deadline(now)

    def missed(self, error: Exception, now: float) -> None:
        """Take in a look that failed."""
        self.failures += weight(error)
        self.gone = gone_after(self.gone, error)
        if self.gone > self.max_poll_failures:
            self.saw(deleted(self.job), now)
            return
        if self.failures > self.max_poll_failures:
            self.fail(polling_given_up(self.job.job_id, error))
            return
        self.plan(now + next_try(self.failures, error, poll_interval=self.poll_interval, seed=self.seed))
        self.check_deadline(now)

    def check_deadline(self, now: float) -> None:
        """End the wait if its time is over."""
        if self.deadline is not None and now >= self.deadline and not self.is_over:
            self.fail(timed_out(self.job))

    def fail(self, error: VideoPollingError | VideoJobTimeoutError) -> None:
        """End the wait without an end of the job."""
        self.error = error
        self.news.set()
