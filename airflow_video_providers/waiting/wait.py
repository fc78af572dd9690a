# SPDX-License-Identifier: Apache-2.0
"""
One wait for one job, as a state machine: what its polls have told, when the next one is due, how it has ended.

The loop in a worker, the runs of a rescheduled sensor and the shared poller of a triggerer drive the same machine, so
failed polls, missing jobs and deadlines mean the same in all of them:

| a poll | what follows |
|---|---|
| shows the job at work | the next poll, as the schedule says; the counts of failures begin anew |
| shows the job ended | the wait is over, with the job |
| fails: ``VideoConfigurationError``, no response of the vendor | the wait is over, with that error |
| finds no such job, within the vendor's ``find_wait`` after the wait began | the next poll; nothing is counted |
| fails before any poll has shown the job, and not by a passing fault | the wait is over, with that error |
| finds no such job again and again, more than ``max_poll_failures`` | the wait is over: the job was deleted |
| fails again and again, more than ``max_poll_failures`` | the wait is over, with ``VideoPollingError`` |
| is the one at the deadline, and does not end the wait | the wait is over, with ``VideoJobTimeoutError`` |

A poll that finds no such job counts as three failed ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.jobs import JobState, VideoJob, percent
from airflow_video_providers.waiting.outcome import polling_given_up, timed_out
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL, Pace, next_poll, pause_after_failure

DEFAULT_MAX_POLL_FAILURES = 10
"""How many polls in a row may fail before a wait gives up."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What a wait was told by its task.

    :param poll_interval: longest time between two polls, in seconds.
    :param deadline: seconds of the epoch; the poll made then is the last. None: no limit.
    :param max_poll_failures: how many polls in a row may fail.
    :param seed: names the waiting task instance, map index included; spreads tasks that start together.
    :param callback: a callback of the vendor wakes this wait, so that polls only make up for a lost one.
    :param usual: how long other renders of the same list took, in seconds; None: unknown.
    """

    poll_interval: float = DEFAULT_POLL_INTERVAL
    deadline: float | None = None
    max_poll_failures: int = DEFAULT_MAX_POLL_FAILURES
    seed: str = ""
    callback: bool = False
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """
    One wait for one job; frozen: each poll gives a new one. Times are seconds of the epoch.

    :param job: as last polled; a placeholder before a poll has shown it.
    :param since: when the wait began.
    :param due: when the next poll is due.
    :param pace: what the polls have told about the job's speed; None before a poll has shown it.
    :param failures: how many polls in a row have failed.
    :param gone: how many of the last ones found no such job, three for each.
    :param limits: what the task has told.
    :param error: why the wait is over although the job has not ended.
    """

    job: VideoJob
    since: float
    due: float
    limits: Limits
    pace: Pace | None = None
    failures: int = 0
    gone: int = 0
    error: Exception | None = None

    @classmethod
    def begin(cls, job: VideoJob, pace: Pace, limits: Limits) -> Wait:
        """Start to wait for a job that has been polled."""
        wait = cls(job=job, since=pace.since, due=pace.polled, pace=pace, limits=limits)
        return wait._then(pace.polled + wait._gap(job, pace))

    @classmethod
    def begin_unseen(cls, vendor: str, job_id: str, now: float, limits: Limits, *, name: str | None = None) -> Wait:
        """Start to wait for a job that has not been polled yet; its first poll is due."""
        return cls(job=placeholder_job(vendor, job_id, name=name), since=now, due=now, limits=limits)

    @property
    def is_seen(self) -> bool:
        """Whether a poll has shown the job."""
        return self.pace is not None

    @property
    def end(self) -> VideoJob | Exception | None:
        """The job that has ended, or the error that ends the wait before it; None while the wait goes on."""
        if self.error is not None:
            return self.error
        return self.job if self.job.state.is_terminal else None

    def saw(self, job: VideoJob, now: float) -> Wait:
        """Return the wait after a poll that showed the job."""
        pace = Pace.begin(job, now) if self.pace is None else self.pace.observe(job, now)
        job = job.with_facts_of(self.job)  # a list tells less than a single poll
        return Wait(job, self.since, self._until_deadline(now + self._gap(job, pace)), self.limits, pace).expire(now)

    def poll_at(self, due: float) -> Wait:
        """Return the wait with its next poll due at this time, or earlier if it was due earlier."""
        return self._then(min(self.due, due))

    def missed(self, error: Exception, now: float, *, find_wait: float = 0.0) -> Wait:
        """
        Return the wait after a poll that failed.

        :param find_wait: how long the vendor may not show a new job, in seconds.
        """
        limits, gone, failures = self.limits, 0, self.failures
        not_found = isinstance(error, VideoApiNotFoundError)
        if isinstance(error, VideoConfigurationError) and not isinstance(error, VideoApiError):
            return self._then(now, error=error)
        if not_found and now < self.since + find_wait:
            gone = self.gone
        elif not self.is_seen and not may_pass(error):
            return self._then(now, error=error)
        else:
            failures += failure_weight(error)
            gone = self.gone + failure_weight(error) if not_found else 0
        if self.is_seen and gone > limits.max_poll_failures:
            return self.saw(mark_deleted(self.job), now)
        if failures > limits.max_poll_failures:
            return self._then(now, error=polling_given_up(self.job.job_id, error))
        pause = pause_after_failure(max(failures, 1), error, poll_interval=limits.poll_interval, seed=limits.seed)
        return self._then(now + pause, failures=failures, gone=gone).expire(now)

    def expire(self, now: float) -> Wait:
        """Return the wait, timed out if its deadline has passed and nothing else has ended it."""
        deadline = self.limits.deadline
        if deadline is None or now < deadline or self.end is not None:
            return self
        return self._then(now, error=timed_out(self.job))

    def result(self) -> VideoJob:
        """
        Return the job that has ended.

        :raises Exception: the error that ended the wait before it.
        """
        if self.error is not None:
            raise self.error
        if not self.job.state.is_terminal:
            raise RuntimeError(f"the wait goes on: {self.describe()}")
        return self.job

    def describe(self) -> str:
        """
        Return one line for a log, what matters first: how far the job is, how long it still takes, then which it is.

        ``48 %, about 39 s left · running · example 7``; without a progress of the vendor's, the time that was waited.
        """
        job, pace = self.job, self.pace
        if pace is None:
            return job.describe()
        parts = [part for part in (job.vendor_status, job.stage) if part]
        if job.state.is_terminal:
            parts.append(f"after {_duration(pace.polled - self.since)}")
        elif job.progress is None:
            parts.append(f"waited {_duration(pace.polled - self.since)}")
        else:
            expected = pace.expected_end()
            left = f", about {_duration(expected[1] - pace.polled)} left" if expected else ""
            parts.insert(0, f"{percent(job.progress)}{left}")
        if job.error:
            parts.append(str(job.error))
        if job.cost and job.state.is_terminal:
            parts.append(f"costs {job.cost}")
        return " · ".join([*parts, f"{job.vendor} {job.job_id}"])

    @property
    def display(self) -> tuple[str, str | None, int]:
        """What is worth a line of log when it changes."""
        return (self.job.vendor_status, self.job.stage, int((self.job.progress or 0.0) * 10))

    def has_moved(self, before: Wait) -> bool:
        """Tell whether there is something new to log: another status, another stage, ten more points of progress."""
        return self.display != before.display

    def _gap(self, job: VideoJob, pace: Pace) -> float:
        limits = self.limits
        return next_poll(
            job,
            pace,
            poll_interval=limits.poll_interval,
            seed=limits.seed,
            callback=limits.callback,
            usual=limits.usual,
        )

    def _then(self, due: float, **changes: Any) -> Wait:
        return replace(self, due=self._until_deadline(due), **changes)

    def _until_deadline(self, due: float) -> float:
        deadline = self.limits.deadline
        return due if deadline is None else min(due, deadline)


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def may_pass(error: Exception) -> bool:
    """Tell whether a poll may have failed by a passing fault; otherwise a wait for a job not yet seen cannot begin."""
    return isinstance(error, (VideoApiQuotaError, VideoApiUnavailableError, VideoApiUnreadableAnswerError))


def failure_weight(error: Exception) -> int:
    """Return how many failed polls an error counts for: a job that is not there seldom comes back."""
    return 3 if isinstance(error, VideoApiNotFoundError) else 1


def placeholder_job(vendor: str, job_id: str, *, name: str | None = None) -> VideoJob:
    """Return a placeholder for a job that has not been polled successfully yet."""
    return VideoJob(vendor=vendor, job_id=job_id, state=JobState.QUEUED, vendor_status="not seen yet", name=name)


def mark_deleted(job: VideoJob) -> VideoJob:
    """Return a job that was there and is not found any more as cancelled: somebody deleted it at the vendor."""
    return job.model_copy(update={"state": JobState.CANCELLED, "vendor_status": "not found any more"})
