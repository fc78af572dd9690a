# SPDX-License-Identifier: Apache-2.0
"""
When a vendor is polled about a job next.

The same schedule serves a wait in the worker, the next date of a rescheduled sensor, and the triggerer. It is pure: all
that it knows of a job's past is its :class:`Pace`, which is plain JSON and survives between two processes.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace

from airflow_video_providers.exceptions import VideoApiError
from airflow_video_providers.jobs import VideoJob

DEFAULT_POLL_INTERVAL = 120.0
"""Longest time between two polls of a job, in seconds."""
SHORTEST_INTERVAL = 10.0
"""Shortest time between two polls of a job, in seconds (less only where ``poll_interval`` is less)."""
FIRST_INTERVAL = 15.0
"""How soon after the first poll a job that reports its progress is polled again, in seconds."""
CALLBACK_INTERVALS = (5.0, 15.0)
"""
The shortest and the longest time between two polls of a job whose vendor calls back, as multiples of ``poll_interval``.
"""
LONGEST_RETRY_AFTER = 900.0
"""
The most of a vendor's Retry-After that a wait obeys, in seconds.

A longer one would silence all waits of a connection, also those whose renders have finished. One request after this
time finds out whether the vendor still refuses.
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What the polls of a job have told about its speed. Times are seconds of the epoch.

    :param since: the first poll.
    :param polled: the last poll.
    :param started: the last moment at which nothing was done yet.
    :param progress: share of the work done, 0..1, as last seen; 0 where the vendor does not say.
    :param before: the last poll that saw less than that, ``reached``: the first one that saw it.
    """

    since: float
    polled: float
    started: float
    progress: float
    before: float
    reached: float

    @classmethod
    def begin(cls, job: VideoJob, now: float) -> Pace:
        """Start from the first poll of a job, which may have run for a while already."""
        progress = job.progress or 0.0
        started = now
        if progress and job.created_at is not None:
            started = min(now, job.created_at.timestamp())
        return cls(since=now, polled=now, started=started, progress=progress, before=started, reached=now)

    def observe(self, job: VideoJob, now: float) -> Pace:
        """Return the pace after one more poll."""
        progress = job.progress or 0.0
        if progress > self.progress:
            return replace(self, polled=now, progress=progress, before=self.polled, reached=now)
        if progress < self.progress or not progress:
            # Still queued, or begun anew: the clock of the work starts here.
            return replace(self, polled=now, started=now, progress=progress, before=now, reached=now)
        return replace(self, polled=now)

    def expected_end(self) -> tuple[float, float] | None:
        """Return the earliest and the latest time at which the work ends at its speed so far; None if unknown."""
        if self.progress <= 0 or self.reached <= self.started:
            return None
        return (
            self.started + (self.before - self.started) / self.progress,
            self.started + (self.reached - self.started) / self.progress,
        )

    def to_json(self) -> dict[str, float]:
        """Return plain JSON: what is kept between two processes."""
        return asdict(self)


def next_poll(
    job: VideoJob,
    pace: Pace,
    *,
    poll_interval: float = DEFAULT_POLL_INTERVAL,
    seed: str = "",
    callback: bool = False,
    usual: float | None = None,
) -> float:
    """
    Return how many seconds after the last poll the next one is due.

    - A job that reports progress is polled again early. Once it moves, its speed tells when it is expected to end: the
      polls skip most of the time until then and come close together around that time. ``benchmarks`` holds the
      simulation behind the numbers.
    - A vendor that reports none is polled the more seldom the longer the render takes: after a quarter of
      ``poll_interval`` and a twentieth of the time waited so far.
    - Where other renders of the same list have told how long one takes, the first of these polls is skipped until then,
      and the next ones come closer together.
    - Never sooner than :data:`SHORTEST_INTERVAL`, never later than ``poll_interval``.
    - Where the vendor calls back, polls only make up for a callback that is lost: the time waited so far is doubled by
      each, within :data:`CALLBACK_INTERVALS`.

    :param job: as last polled.
    :param pace: what all polls have told.
    :param poll_interval: the longest time between two polls.
    :param seed: names the waiting task instance, map index included; spreads tasks that start together.
    :param callback: a callback of the vendor wakes this wait.
    :param usual: seconds from the first poll after which the render has ended, if it is like the others of its list;
        None: unknown.
    """
    spread = _spread(seed)
    if callback:
        shortest, longest = (share * poll_interval for share in CALLBACK_INTERVALS)
        return min(max(pace.polled - pace.since, shortest), longest) * (0.9 + 0.1 * spread)
    waited = pace.polled - pace.since
    if usual is not None and pace.expected_end() is None:
        gap = usual - waited if waited < usual else min((waited - usual) / 3, _blind_gap(waited, poll_interval))
    elif job.progress is None:
        # One wide spread at the start is enough: the same beat keeps tasks apart for good.
        gap = _blind_gap(waited, poll_interval) * (0.5 + spread if not waited else 1)
    else:
        # Also at the ceiling: tasks that start together would otherwise stay together.
        gap = min(_gap(pace, poll_interval) * (0.9 + 0.2 * spread), poll_interval * (0.9 + 0.1 * spread))
    return min(max(gap, min(SHORTEST_INTERVAL, poll_interval)), poll_interval)


def _blind_gap(waited: float, poll_interval: float) -> float:
    return poll_interval / 4 + waited / 20


def _gap(pace: Pace, poll_interval: float) -> float:
    end = pace.expected_end()
    if end is None:
        return min(max(FIRST_INTERVAL, pace.polled - pace.since), poll_interval / 2)
    earliest, latest = end
    if pace.polled < earliest:
        return 0.9 * (earliest - pace.polled)
    return max((latest - earliest) / 5, (pace.polled - latest) / 3)


def _spread(seed: str) -> float:
    """Return a number in 0..1 that is always the same for one task instance."""
    digest = hashlib.blake2b(seed.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def pause_after_failure(
    failures: int, error: Exception, *, poll_interval: float = DEFAULT_POLL_INTERVAL, seed: str = ""
) -> float:
    """
    Return how many seconds after a failed poll the next one is due.

    The longer of a backoff and the vendor's Retry-After, and a little later for some than for others, so that those
    whom a vendor turned away do not come back in one instant.

    :param failures: how many polls in a row have failed, this one included.
    """
    backoff: float = min(SHORTEST_INTERVAL * 2 ** min(failures - 1, 10), poll_interval)
    return max(backoff, usable_retry_after(error)) + _spread(seed) * min(SHORTEST_INTERVAL, poll_interval)


def usable_retry_after(error: Exception) -> float:
    """Return the seconds of the vendor's Retry-After that a wait obeys; 0 where the vendor asked for none."""
    asked = retry_after_of(error)
    return 0.0 if asked is None else min(asked, LONGEST_RETRY_AFTER)


def retry_after_of(error: BaseException) -> float | None:
    """Return the seconds that the vendor asked to wait, or None."""
    return error.retry_after if isinstance(error, VideoApiError) else None
