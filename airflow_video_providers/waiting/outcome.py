# SPDX-License-Identifier: Apache-2.0
"""
What the end of a wait means to the task that waited: the job that succeeded, or the error to raise.

A wait in the triggerer tells its end in an event of plain JSON, which a worker turns back into the same job or error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_video_providers.exceptions import (
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobFailedError,
    VideoJobTimeoutError,
    VideoPollingError,
    VideoProviderError,
)
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.metrics import count_ended
from airflow_video_providers.text.redaction import redact
from airflow_video_providers.waiting.schedule import LONGEST_RETRY_AFTER, retry_after_of

_STATUS = {JobState.SUCCEEDED: "success", JobState.FAILED: "failed", JobState.CANCELLED: "cancelled"}


class FinalVideoJobFailedError(VideoJobFailedError, AirflowFailException):
    """The render failed, and Airflow does not retry: another try of this task would find the same."""


class FinalVideoJobCancelledError(VideoJobCancelledError, AirflowFailException):
    """The render was cancelled or deleted, and Airflow does not retry: another try of this task would find the same."""


def raise_unless_succeeded(job: VideoJob, *, final: bool = False) -> VideoJob:
    """
    Return a job that succeeded; count its end for the metrics.

    :param final: raise errors that Airflow does not retry, for a task whose retry could only find the same job again.
    :raises VideoJobCancelledError: it was cancelled or deleted at the vendor.
    :raises VideoJobFailedError: it failed, or has not ended at all.
    """
    count_ended(job)
    if job.state is JobState.SUCCEEDED:
        return job
    video = f'The video "{job.name}"' if job.name else "The video"
    if job.state is JobState.CANCELLED:
        cancelled = FinalVideoJobCancelledError if final else VideoJobCancelledError
        said = f": {job.error}" if job.error else ""
        raise cancelled(f"{video} was cancelled or deleted at {job.vendor}{said} (job {job.job_id})", job=job)
    failed = FinalVideoJobFailedError if final else VideoJobFailedError
    if not job.state.is_terminal:
        raise failed(f"{video} is not done at {job.vendor}: {job.describe()}", job=job)
    has_reason = job.error is not None and (job.error.code or job.error.message)
    reason = f": {job.error}" if has_reason else ", which gives no reason"
    raise failed(f"{video} failed at {job.vendor}{reason} (job {job.job_id})", job=job)


def polling_given_up(job_id: str, error: Exception) -> VideoPollingError:
    """Return the error for a vendor that could not be polled; what becomes of the job is for the task to decide."""
    return VideoPollingError(
        f"Gave up polling job {job_id}: too many polls failed in a row. This wait left it alone. "
        f"Last failure: {describe_failure(error)}",
        retry_after=retry_after_of(error),
    )


def describe_failure(error: Exception) -> str:
    """Return what a log says of a failed poll: also that a Retry-After is not obeyed to its end."""
    known = isinstance(error, VideoProviderError)
    text = str(error) if known else f"{type(error).__name__}: {redact(str(error), longest=500)}"
    asked = retry_after_of(error)
    if asked is None or asked <= LONGEST_RETRY_AFTER:
        return text
    return f"{text} (the vendor asks to wait {asked:.0f} s; one poll is made after {LONGEST_RETRY_AFTER:.0f} s)"


def timed_out(job: VideoJob) -> VideoJobTimeoutError:
    """Return the error for a wait whose time is over; what becomes of the job is for the task to decide."""
    return VideoJobTimeoutError(f"The time to wait for the render is over. Last seen: {job.describe()}", job=job)


def event_of(job: VideoJob, error: Exception | None) -> dict[str, Any]:
    """
    Return the end of a wait as plain JSON: what a trigger fires.

    :param job: as last polled.
    :param error: why the wait ended before the job did; None: the job has ended.
    """
    status, retry_after = _STATUS.get(job.state, "polling_failed"), None
    if isinstance(error, VideoJobTimeoutError):
        status = "timeout"
    elif isinstance(error, VideoPollingError):
        status, retry_after = "polling_failed", error.retry_after
    elif error is not None:
        status = "misconfigured"
    message = None if error is None else str(error)
    return {"status": status, "job": job.to_xcom(), "message": message, "retry_after": retry_after}


def job_in_event(event: Any) -> VideoJob | None:
    """Return the job that the event of a trigger tells of; None for an event that cannot be read, such as None."""
    if not isinstance(event, Mapping) or not isinstance(event.get("status"), str):
        return None
    try:
        return VideoJob.from_xcom(event["job"])
    except (KeyError, ValueError, VideoProviderError):
        return None


def job_from_event(event: Mapping[str, Any], *, final: bool = False) -> VideoJob:
    """
    Turn the event of a trigger into the job that succeeded.

    :param final: let Airflow not retry a render that failed or was cancelled, see :func:`raise_unless_succeeded`.
    :raises VideoJobFailedError: the render failed; :class:`VideoJobCancelledError` when it was cancelled.
    :raises VideoJobTimeoutError: the deadline passed. The trigger left the job as it was.
    :raises VideoPollingError: the vendor could not be polled, or the event cannot be read. The trigger left the job as
        it was.
    :raises VideoConfigurationError: the connection cannot work as it is. The trigger left the job as it was.
    """
    job = job_in_event(event)
    if job is None:
        raise VideoPollingError("The event of the trigger cannot be read; a retry of the task polls the job again.")
    message = str(event.get("message") or job.describe())
    if event["status"] == "timeout":
        raise VideoJobTimeoutError(message, job=job)
    if event["status"] == "polling_failed":
        raise VideoPollingError(message, retry_after=event.get("retry_after"))
    if event["status"] == "misconfigured":
        raise VideoConfigurationError(message)
    return raise_unless_succeeded(job, final=final)
