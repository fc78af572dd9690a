# SPDX-License-Identifier: Apache-2.0
"""Small parts that the vendors' hooks share, and that a third party's hook may use too."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Container, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from requests.auth import AuthBase

from airflow_video_providers.api.paths import id_in_path
from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoJobError,
    VideoOutputNotReadyError,
)
from airflow_video_providers.hooks.base import raise_if_unfinished
from airflow_video_providers.jobs import JobState, OutputKind, VideoJob, VideoOutput
from airflow_video_providers.text.redaction import clean_reason

if TYPE_CHECKING:
    from requests import PreparedRequest

    from airflow_video_providers.hooks.base import VideoHook

log = logging.getLogger(__name__)

__all__ = [
    "HeaderAuth",
    "cancel_by_deleting",
    "count_of",
    "fill_key",
    "first_words",
    "id_in_path",
    "linked_outputs",
    "missing_link",
    "path_of",
    "require_link",
    "running_statuses",
    "share_of",
    "state_of",
]

Link = TypeVar("Link")

_TOLD_STATUSES: set[tuple[str, str]] = set()
_MOST_TOLD_STATUSES = 256  # of one process: a list can hold thousands


class HeaderAuth(AuthBase):
    """Sends the credentials in one header."""

    def __init__(self, header: str, value: str) -> None:
        self.header = header
        self.value = value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header to a request."""
        request.headers[self.header] = self.value
        return request


def fill_key(request: Mapping[str, Any], field: str, key: str | None) -> dict[str, Any]:
    """
    Return a request with the submission key in a field that the vendor gives back; without a key, as it is.

    :raises SubmissionKeyConflictError: the request fills the field already.
    """
    if key is None:
        return dict(request)
    if request.get(field) not in (None, "", key):
        raise SubmissionKeyConflictError(f"The request fills {field!r}; leave it to the submission key.")
    return {**request, field: key}


def missing_link(job: VideoJob, field: str, *, endpoint: str) -> VideoOutputNotReadyError:
    """Return the error for a job that is finished, while its response does not name a file's link yet."""
    return VideoOutputNotReadyError(
        f"job {job.job_id} is {job.vendor_status}, but the response names no {field}",
        vendor=job.vendor,
        endpoint=endpoint,
    )


def require_link(job: VideoJob, link: Link | None, field: str, *, endpoint: str) -> Link:
    """
    Return the link of a job's main file.

    :param field: of the response that should name it.
    :raises VideoJobError: the job is not done, or ended without files.
    :raises VideoOutputNotReadyError: the job is finished, but the response names no link yet.
    """
    raise_if_unfinished(job)
    if not link:
        raise missing_link(job, field, endpoint=endpoint)
    return link


def linked_outputs(
    *files: tuple[OutputKind, str | None, str | None, str | None], name: str | None, duration_seconds: float | None
) -> list[VideoOutput]:
    """
    Return an output for each file of a job that has a link.

    :param files: kind, label, link and media type of each.
    :param name: of all of them. :param duration_seconds: the play time of the videos.
    """
    return [
        VideoOutput(
            kind=kind,
            label=label,
            url=link,
            name=name,
            media_type=media_type,
            duration_seconds=duration_seconds if kind == "video" else None,
        )
        for kind, label, link, media_type in files
        if link
    ]


def state_of(vendor: str, status: str, states: Mapping[str, JobState]) -> JobState:
    """Return the state that a vendor's status means; an unknown one is RUNNING, logged once per value, 256 at most."""
    state = states.get(status)
    if state is None:
        told = (vendor, clean_reason(status, longest=100))
        if told not in _TOLD_STATUSES and len(_TOLD_STATUSES) < _MOST_TOLD_STATUSES:
            _TOLD_STATUSES.add(told)
            log.warning("%s: status %r is not documented; the job is taken as running until its timeout", *told)
        return JobState.RUNNING
    return state


def share_of(done: float | None, total: float | None) -> float | None:
    """Return ``done / total`` within 0..1; None where either is missing or not finite, or the total is not above 0."""
    if done is None or total is None or not (math.isfinite(done) and math.isfinite(total)) or total <= 0:
        return None
    return min(1.0, max(0.0, done / total))


def path_of(link: str) -> PurePosixPath:
    """Return the path of a link, for the name and kind of its file; an empty one where the link cannot be read."""
    try:
        return PurePosixPath(urlsplit(link).path)
    except ValueError:
        return PurePosixPath()


def first_words(text: Any) -> str | None:
    """Return the first 80 characters of a prompt, as the name of its video; None where it is no text or empty."""
    return text[:80] if isinstance(text, str) and text.strip() else None


def count_of(number: float, noun: str) -> str:
    """Return ``1 avatar``, ``2 avatars``."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def cancel_by_deleting(
    hook: VideoHook, job_id: str, delete: Callable[[str], object], *, running: Container[str]
) -> VideoJob | None:
    """
    Cancel a job where the vendor's only way is a DELETE; a job that does not surely run is left alone.

    Between two tries the job may finish, and deleting it then would delete its files. So the job is polled before each
    DELETE, which also tells a lost response from a lost request. Tries go on until the hook's ``retry_deadline`` is
    over.

    :param delete: sends one DELETE, once.
    :param running: the vendor's statuses of a job that runs or waits to run.
    :return: the job as last polled before it was deleted, or None where the vendor does not know it; one that ended by
        itself is terminal.
    :raises VideoJobError: the job's status is not documented; it may be finished, so it was left alone.
    :raises VideoApiError: the vendor kept failing and the job still runs.
    """
    deadline = time.monotonic() + hook.client.settings.retry_deadline
    pause = 0.5
    seen: VideoJob | None = None
    failure: VideoApiError | None = None
    while True:
        try:
            job = hook.get_job(job_id)
        except VideoApiNotFoundError:
            return seen
        if job.state.is_terminal:
            # Cancelled since the first poll: by our own DELETE, whose response was lost.
            return seen if seen is not None and job.state is JobState.CANCELLED else job
        if job.vendor_status not in running:
            raise VideoJobError(
                f"{job.describe()}; this status is not documented, so the job was not deleted: it may be finished",
                job=job,
            )
        seen = job
        if failure is not None and time.monotonic() >= deadline:
            raise failure
        try:
            delete(job_id)
        except VideoApiNotFoundError:
            return seen
        except (VideoApiUnavailableError, VideoApiQuotaError, VideoApiUnreadableAnswerError) as error:
            failure = error
        else:
            return seen
        wait = max(pause, failure.retry_after or 0.0)
        log.warning("%s; polling the job again in %.1f s", failure, wait)
        time.sleep(max(0.0, min(wait, deadline - time.monotonic())))
        pause = min(2 * pause, 15.0)


def running_statuses(states: Mapping[str, JobState]) -> frozenset[str]:
    """Return the statuses of a job that runs or waits to run."""
    return frozenset(status for status, state in states.items() if not state.is_terminal)
