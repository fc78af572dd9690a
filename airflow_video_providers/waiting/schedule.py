# SPDX-License-Identifier: Apache-2.0
"""
When to ask a vendor about a job next, and how long to put up with answers that do not come.

The same schedule serves a wait in the worker, the next date of a rescheduled sensor, and the triggerer. It is pure: all
that it knows of a job's past is its :class:`Pace`, which is plain JSON and survives between two processes.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.jobs import JobState, VideoJob

if TYPE_CHECKING:
    from airflow_video_providers.hooks.base import VideoHook

DEFAULT_POLL_INTERVAL = 120.0
"""Longest time between two looks at a job, in seconds."""
DEFAULT_MAX_POLL_FAILURES = 10
"""How many looks in a row may fail before a wait gives up; one that finds no such job counts three times."""
SHORTEST_INTERVAL = 10.0
"""Shortest time between two looks at a job, in seconds (less only where ``poll_interval`` is less)."""
FIRST_INTERVAL = 15.0
"""How soon after the first look a job that reports its progress is looked at again, in seconds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What the looks at a job have told about its speed. Times are seconds of the epoch.

    :param since: the first look.
    :param looked: the last look.
    :param started: the last moment at which nothing was done yet.
    :param progress: share of the work done, 0..1, as last seen; 0 where the vendor does not say.
    :param before: the last look that saw less than that, ``reached``: the first one that saw it.
    """

    since: float
    looked: float
    started: float
    progress: float
    before: float
    reached: float

    @classmethod
    def begin(cls, job: VideoJob, now: float) -> Pace:
        """Start from the first look at a job, which may have run for a while already."""
        progress = job.progress or 0.0
        started = now
        if progress and job.created_at is not None:
            started = min(now, job.created_at.timestamp())
        return cls(since=now, looked=now, started=started, progress=progress, before=started, reached=now)

    def observe(self, job: VideoJob, now: float) -> Pace:
        """Take in one more look."""
        progress = job.progress or 0.0
        if progress > self.progress:
            return replace(self, looked=now, progress=progress, before=self.looked, reached=now)
        if progress < self.progress or not progress:
            # Still queued, or begun anew: the clock of the work starts here.
            return replace(self, looked=now, started=now, progress=progress, before=now, reached=now)
        return replace(self, looked=now)

    def expected_end(self) -> tuple[float, float] | None:
        """Return the earliest and the latest time at which the work ends at its speed so far; None if unknown."""
        if self.progress <= 0 or self.reached <= self.started:
            return None
        return (
            self.started + (self.before - self.started) / self.progress,
            self.started + (self.reached - self.started) / self.progress,
        )

    def to_json(self) -> dict[str, float]:
        """Return plain JSON: what is kept between two looks of a rescheduled sensor."""
        return asdict(self)


def next_poll(job: VideoJob, pace: Pace, *, poll_interval: float = DEFAULT_POLL_INTERVAL, seed: str = "") -> float:
    """
    Return how many seconds after the last look the next one is due.

    - A job that reports progress is looked at again early. Once it moves, its speed tells when it is expected to end:
      the looks skip most of the time until then and come close together around that time. ``benchmarks`` holds the
      simulation behind the numbers.
    - A vendor that says nothing is asked the more seldom the longer the render takes: after a quarter of
      ``poll_interval`` and a twentieth of the time waited so far.
    - Never sooner than :data:`SHORTEST_INTERVAL`, never later than ``poll_interval``.

    :param job: the last look.
    :param pace: what all looks have told.
    :param poll_interval: the longest time between two looks.
    :param seed: names the waiting task instance, map index included; spreads tasks that start together.
    """
    spread = _spread(seed)
    if job.progress is None:
        # One wide spread at the start is enough: the same beat keeps tasks apart for good.
        gap = (poll_interval / 4 + (pace.looked - pace.since) / 20) * (0.5 + spread if pace.looked == pace.since else 1)
    else:
        # Also at the ceiling: tasks that start together would otherwise stay together.
        gap = min(_gap(pace, poll_interval) * (0.9 + 0.2 * spread), poll_interval * (0.9 + 0.1 * spread))
    return min(max(gap, min(SHORTEST_INTERVAL, poll_interval)), poll_interval)


def _gap(pace: Pace, poll_interval: float) -> float:
    end = pace.expected_end()
    if end is None:
        return min(max(FIRST_INTERVAL, pace.looked - pace.since), poll_interval / 2)
    earliest, latest = end
    if pace.looked < earliest:
        return 0.9 * (earliest - pace.looked)
    return max((latest - earliest) / 5, (pace.looked - latest) / 3)


def _spread(seed: str) -> float:
    """Return a number in 0..1 that is always the same for one task instance."""
    digest = hashlib.blake2b(seed.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def next_try(failures: int, error: Exception, *, poll_interval: float = DEFAULT_POLL_INTERVAL, seed: str = "") -> float:
    """
    Return how many seconds after a failed look the next one is due: a backoff, or the vendor's Retry-After if longer.

    A little later for some than for others, so that those whom a vendor turned away do not come back in one instant.
    """
    pause: float = min(SHORTEST_INTERVAL * 2 ** min(failures - 1, 10), poll_interval)
    return max(pause, retry_after_of(error) or 0.0) + _spread(seed) * min(SHORTEST_INTERVAL, poll_interval)


def retry_after_of(error: BaseException | None) -> float | None:
    """Return the seconds that the vendor asked to wait, or None."""
    return error.retry_after if isinstance(error, VideoApiError) else None


def may_pass(error: Exception) -> bool:
    """Tell whether a failed first look may be a passing fault, or says that the wait can never begin."""
    return isinstance(error, (VideoApiQuotaError, VideoApiUnavailableError, VideoApiUnreadableAnswerError))


def weight(error: Exception) -> int:
    """Return how many failed looks an error counts for: a job that is not there seldom comes back."""
    return 3 if isinstance(error, VideoApiNotFoundError) else 1


def gone_after(gone: int, error: Exception) -> int:
    """Count the failed looks, up to the last one, that found no such job; any other answer sets it back to 0."""
    return gone + weight(error) if isinstance(error, VideoApiNotFoundError) else 0


def unseen(vendor: str, job_id: str) -> VideoJob:
    """Stand for a job that no look has shown yet."""
    return VideoJob(vendor=vendor, job_id=job_id, state=JobState.QUEUED, vendor_status="not seen yet")


def deleted(job: VideoJob) -> VideoJob:
    """Return a job that was there and is not found any more: somebody deleted it at the vendor."""
    return job.model_copy(update={"state": JobState.CANCELLED, "vendor_status": "not found any more"})


def polling_given_up(job_id: str, error: BaseException) -> VideoPollingError:
    """Say that the vendor could not be asked, with the last failure as the cause; the task decides about the job."""
    failure = VideoPollingError(
        f"Gave up polling job {job_id}: too many polls failed in a row. This wait left it alone. Last failure: {error}",
        retry_after=retry_after_of(error),
    )
    failure.__cause__ = error
    return failure


def timed_out(job: VideoJob) -> VideoJobTimeoutError:
    """Say that a wait's time is over; what becomes of the job is for the task to decide."""
    return VideoJobTimeoutError(f"The time to wait for the render is over. Last seen: {job.describe()}", job=job)


def wait_for_job(
    hook: VideoHook,
    job: VideoJob,
    *,
    poll_interval: float = DEFAULT_POLL_INTERVAL,
    deadline: float | None = None,
    seed: str = "",
    max_poll_failures: int = DEFAULT_MAX_POLL_FAILURES,
    log: Any = None,
    pace: Pace | None = None,
    on_look: Callable[[VideoJob, Pace], None] | None = None,
) -> VideoJob:
    """
    Wait in this thread until a job has ended, well or badly.

    :param job: the last look at it; returned at once when it has ended.
    :param poll_interval: longest time between two looks, in seconds.
    :param deadline: seconds of the epoch; the look made then is the last. None: no limit.
    :param seed: names the waiting task instance; spreads tasks that start together.
    :param max_poll_failures: how many looks in a row may fail.
    :param pace: what earlier looks told.
    :param on_look: called after each look that worked.
    :return: the job in its terminal state; ``outcome.raise_unless_succeeded`` tells how it ended.
    :raises VideoJobTimeoutError: the deadline passed. The job is left alone.
    :raises VideoPollingError: too many looks failed in a row. The job is left alone. Where all of them found no such
        job it is returned as cancelled.
    """
    logger = log or logging.getLogger(__name__)
    pace = pace or Pace.begin(job, time.time())
    progress_log = ProgressLog(logger)
    failures = gone = 0
    delay = next_poll(job, pace, poll_interval=poll_interval, seed=seed)
    while not job.state.is_terminal:
        now = time.time()
        if deadline is not None and now >= deadline:
            raise timed_out(job)
        time.sleep(delay if deadline is None else max(0.0, min(delay, deadline - now)))
        try:
            job = hook.get_job(job.job_id)
        except VideoApiError as error:
            failures += weight(error)
            gone = gone_after(gone, error)
            if gone > max_poll_failures:
                return deleted(job)
            if failures > max_poll_failures:
                raise polling_given_up(job.job_id, error) from error
            delay = next_try(failures, error, poll_interval=poll_interval, seed=seed)
            logger.warning("%s; looking again in %.0f s", error, delay)
            continue
        failures = gone = 0
        pace = pace.observe(job, time.time())
        progress_log.look(job, pace)
        if on_look:
            on_look(job, pace)
        delay = next_poll(job, pace, poll_interval=poll_interval, seed=seed)
    return job


class ProgressLog:
    """Logs a job when it has moved: another status, another stage, or ten more points of progress."""

    __slots__ = ("_log", "_seen")

    def __init__(self, log: Any) -> None:
        self._log = log
        self._seen: tuple[str, str | None, int] | None = None

    def look(self, job: VideoJob, pace: Pace) -> None:
        """Log the look if it tells something new."""
        seen = moved(job)
        if seen == self._seen:
            return
        self._seen = seen
        self._log.info("%s", describe_wait(job, pace))


def moved(job: VideoJob) -> tuple[str, str | None, int]:
    """Return what of a job is worth a line in a log when it changes."""
    return (job.vendor_status, job.stage, int((job.progress or 0.0) * 10))


def describe_wait(job: VideoJob, pace: Pace, *, since: float | None = None) -> str:
    """Return one line: the job, how long it has been waited for, when it is expected to end."""
    text = f"{job.describe()}; waited {pace.looked - (pace.since if since is None else since):.0f} s"
    end = pace.expected_end()
    if end is not None and not job.state.is_terminal:
        text += f", expected to end in about {max(0.0, end[1] - pace.looked):.0f} s"
    return text
