# SPDX-License-Identifier: Apache-2.0
"""What the end of a wait means to the task that waited: the job that succeeded, or the error to raise."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowFailException

from airflow_video_providers.exceptions import VideoJobCancelledError, VideoJobFailedError
from airflow_video_providers.jobs import JobState, VideoJob


class FinalVideoJobFailedError(VideoJobFailedError, AirflowFailException):
    """The render failed, and Airflow does not retry: another try of this task would find the same."""


class FinalVideoJobCancelledError(VideoJobCancelledError, AirflowFailException):
    """The render was cancelled or deleted, and Airflow does not retry: another try of this task would find the same."""


def raise_unless_succeeded(job: VideoJob, *, final: bool = False) -> VideoJob:
    """
    Return a job that succeeded.

    :param final: raise errors that Airflow does not retry, for a task whose retry could only find the same job again.
    :raises VideoJobCancelledError: it was cancelled or deleted at the vendor.
    :raises VideoJobFailedError: it failed, or has not ended at all.
    """
    if job.state is JobState.SUCCEEDED:
        return job
    if job.state is JobState.CANCELLED:
        cancelled = FinalVideoJobCancelledError if final else VideoJobCancelledError
        raise cancelled(f"The render was cancelled or deleted at the vendor. {job.describe()}", job=job)
    failed = FinalVideoJobFailedError if final else VideoJobFailedError
    raise failed(f"The render failed at the vendor. {job.describe()}", job=job)
