# SPDX-License-Identifier: Apache-2.0
"""
The contract that every vendor's hook keeps, and by which operators, sensors, triggers and transfers know a vendor.

A third party's subclass, registered as the hook of its own connection type, works everywhere the same way: it names its
``vendor``, says in ``key_support`` whether a job can be found again, and implements :meth:`VideoHook.make_auth`,
:meth:`VideoHook.submit_job`, :meth:`VideoHook.get_job`, :meth:`VideoHook.get_outputs` and
:meth:`VideoHook.check_connection`. Its constructor can be called with the connection's id alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from airflow.sdk import BaseHook

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.callback_hook import CallbackHook
from airflow_video_providers.hooks.requests import RequestChecks
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput

if TYPE_CHECKING:
    from airflow.sdk import Connection

_ATTRIBUTES = ("conn_type", "hook_name", "default_base_url")
_METHODS = ("make_auth", "submit_job", "get_job", "get_outputs", "check_connection")
_OFFERS = {
    "can_list": "get_jobs",
    "can_find": "find_job",
    "can_cancel": "cancel_job",
    "can_upload": "upload_media",
    "can_watch": "get_recent_jobs",
    "takes_callback": "callback_request",
    "can_register_callback": "register_callback",
    "can_check": "check_request",
    "can_estimate": "estimate_cost",
}


class KeySupport(str, Enum):
    """How surely a vendor lets a client find the job that carries its key."""

    EXACT = "exact"
    """The vendor gives the key back: found means adopt, not found means that there is none."""
    BEST_EFFORT = "best_effort"
    """A likely match can be found; that none is found is a strong hint, not a proof."""
    NONE = "none"
    """The vendor offers no way to search."""


class VideoHook(RequestChecks, CallbackHook):
    """
    One video API behind one Airflow connection: what operators, sensors, triggers and transfers ask of a vendor.

    :param conn_id: the Airflow connection.
    :param retry_deadline: overrides the connection's value, in seconds; a poller that asks again anyway sets it low.
    """

    key_support: ClassVar[KeySupport] = KeySupport.NONE
    replay_seconds: ClassVar[float | None] = None
    """For how long the vendor responds to a repeated create with the same key by the job of the first one, in seconds;
    None: it does not know idempotency keys."""
    find_wait: ClassVar[float] = 60.0
    """For how long the vendor may not show a new job, in seconds; before, a job that is not found proves nothing."""
    hopeless_codes: ClassVar[frozenset[str]] = frozenset()
    """
    Values of ``job.error.code`` that the same request would meet again, such as those of moderation: a retry would pay
    for nothing. One that ends in a dot stands for all codes that begin with it. Where a code is not among them, the
    words of the reason decide: ``retry_policy.is_hopeless``.
    """
    submits_by_client: ClassVar[bool] = True
    """Whether :meth:`submit_job` sends through :attr:`client`, where a dry run stops it; False: a dry run does not call
    it, and shows the request as it is given."""
    can_list: ClassVar[bool]
    """Whether :meth:`get_jobs` polls many jobs in one request."""
    can_watch: ClassVar[bool]
    """Whether :meth:`get_recent_jobs` lists the account's jobs, whoever made them."""
    can_find: ClassVar[bool]
    """Whether :meth:`find_job` can find a job by its submission key."""
    can_cancel: ClassVar[bool]
    """Whether :meth:`cancel_job` ends a running job."""
    can_upload: ClassVar[bool]
    """Whether :meth:`upload_media` takes source media."""
    can_check: ClassVar[bool]
    """Whether :meth:`check_request` has the vendor check a request for free."""
    can_estimate: ClassVar[bool]
    """Whether :meth:`estimate_cost` tells what a request will cost before it is submitted."""

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        """
        Read off what the vendor can do: a method that is not overridden is one that it does not offer.

        :param abstract: the class is the base of a vendor's hook and need not be complete.
        :raises TypeError: a method or attribute that every hook needs is missing; all of them are named.
        """
        super().__init_subclass__(**kwargs)
        for name, method in _OFFERS.items():
            setattr(cls, name, _is_overridden(cls, method))
        if abstract:
            return
        missing = [name for name in _ATTRIBUTES if not hasattr(cls, name)]
        missing += [f"{name}()" for name in _METHODS if not _is_overridden(cls, name)]
        if cls.key_support is not KeySupport.NONE and not cls.can_find:
            missing.append(f"find_job(), which its key_support {cls.key_support.name} needs")
        if _is_overridden(cls, "estimates_at_submission") and not cls.can_cancel:
            missing.append("cancel_job(), by which its estimates_at_submission keeps max_cost")
        if missing:
            raise TypeError(f"{cls.__name__} is not a complete VideoHook: it lacks {', '.join(missing)}.")
        if not hasattr(cls, "vendor"):
            cls.vendor = cls.conn_type
        if not hasattr(cls, "default_conn_name"):
            cls.default_conn_name = f"{cls.conn_type}_default"

    # ------------------------------------------------------------------ jobs

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Submit one render, which is paid.

        :param request: the vendor's own JSON body, in its own field names.
        :param key: put into the field that the vendor gives back, beside the user's own data where it holds both.
        :raises SubmissionKeyConflictError: the field is taken and cannot hold both; raised before anything is sent.
        :raises VideoApiError: ``outcome_unknown`` tells whether a job may exist all the same.
        """
        raise NotImplementedError

    def get_job(self, job_id: str) -> VideoJob:
        """
        Poll one job.

        :raises VideoApiNotFoundError: the vendor does not know it, or no longer.
        """
        raise NotImplementedError

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """
        Poll many jobs; a job that is not found is left out.

        Default: one request a job, one after another. A vendor with a list overrides it with one request for all, and
        may leave out jobs that the list does not show.
        """
        found: dict[str, VideoJob] = {}
        for job_id in job_ids:
            try:
                found[job_id] = self.get_job(job_id)
            except VideoApiNotFoundError:
                continue
        return found

    def get_recent_jobs(self, *, since: datetime) -> list[VideoJob]:
        """
        List the jobs of the account, whoever made them, in a few requests: those that were created since a time.

        Jobs that cannot be read are left out. A list that is longer than 500 jobs may be cut at its older end.

        :param since: aware. Where the vendor gives no time of creation, older jobs may be among them.
        :raises VideoConfigurationError: the vendor documents no list of an account's jobs.
        """
        raise VideoConfigurationError(f"{self.hook_name} documents no list of the jobs of an account.")

    def replay_window(self, request: Mapping[str, Any]) -> float | None:
        """
        Return for how many seconds the vendor replays the response to this request; None: not at all.

        Default: :attr:`replay_seconds`. A vendor that honours idempotency keys on some of its calls only overrides it.
        """
        return self.replay_seconds

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Find the job that an earlier try submitted with ``key``; of several, the oldest that has neither failed nor
        been cancelled.

        :param request: what was submitted, for vendors where a match needs more than the key; or no more of it than
            :meth:`search_terms` returned, where the task's request has changed since.
        :param since: when the submission was intended (aware); older jobs are passed over.
        :return: the job, or None where none is seen; what that proves is said by ``key_support``.
        :raises VideoSearchInconclusiveError: none is found, but one that cannot be read may be it.
        """
        return None

    def search_terms(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the part of a request that :meth:`find_job` reads, as a request of its own; default: none of it.

        It is kept with the submission, so that a render is found after its task's request has changed. Keep it short,
        and leave out what is secret.
        """
        return {}

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        End a job that still runs. Poll first: a finished job is left alone, since deleting it may delete its files.

        :return: the job as polled before the call; None where the vendor knows it no longer.
        :raises VideoConfigurationError: the vendor documents no way to cancel a job.
        """
        raise VideoConfigurationError(f"{self.hook_name} documents no way to cancel a job.")

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the files of a finished job, links freshly minted or None where they are minted on request.

        :raises VideoApiNotFoundError: the job or its files are gone.
        :raises VideoOutputNotReadyError: the job is finished, but its response names no link yet.
        :raises VideoJobError: the job is not done, or ended without files.
        """
        raise NotImplementedError

    def refresh_output(self, job_id: str, output: VideoOutput) -> VideoOutput:
        """
        Return the same output with a fresh link.

        :raises VideoApiNotFoundError: the job does not offer it any more.
        """
        for fresh in self.get_outputs(job_id):
            if fresh.identity == output.identity:
                return fresh
        raise VideoApiNotFoundError(
            f"job {job_id} no longer offers its {output.kind} {output.name or ''}".strip(),
            vendor=self.vendor,
            endpoint="outputs",
        )

    def upload_media(
        self, stream: BinaryIO, *, name: str, size: int, media_type: str | None = None, **options: Any
    ) -> str:
        """
        Send source media to the vendor, streamed at constant memory.

        :param stream: read to its end.
        :param name: the file's name at the vendor.
        :param size: bytes in the stream.
        :param options: what the vendor needs beside (its page names them).
        :return: the id (or path) that a job request needs.
        :raises SourceError: the stream does not hold ``size`` bytes.
        :raises VideoConfigurationError: an option is not known; or the vendor documents no upload.
        """
        raise VideoConfigurationError(f"{self.hook_name} documents no upload of source media.")


def _is_overridden(kind: type[VideoHook], method: str) -> bool:
    return getattr(kind, method) is not getattr(VideoHook, method)


def get_video_hook(conn_id: str) -> VideoHook:
    """
    Return the vendor's hook for a connection: what makes operators and transfers vendor-neutral.

    :raises VideoConfigurationError: the connection is of a type that is no video API.
    """
    return _checked(BaseHook.get_hook(conn_id), conn_id)


async def aget_video_hook(conn_id: str) -> VideoHook:
    """
    Return the vendor's hook for a connection, in a trigger: the look-up does not block the event loop.

    :raises VideoConfigurationError: the connection is of a type that is no video API.
    """
    connection = await BaseHook.aget_connection(conn_id)
    # In a thread: the first hook of a process makes Airflow read all of its providers.
    hook = _checked(await asyncio.to_thread(_hook_of, connection), conn_id)
    hook.connection = connection
    return hook


_one_at_a_time = threading.Lock()


def _hook_of(connection: Connection) -> Any:
    # Airflow reads its providers without a lock: two threads at once can leave it without a hook for good.
    with _one_at_a_time:
        return connection.get_hook()


def _checked(hook: Any, conn_id: str) -> VideoHook:
    if not isinstance(hook, VideoHook):
        kind = getattr(hook, "conn_type", type(hook).__name__)
        raise VideoConfigurationError(
            f"Connection {conn_id!r} is of type {kind!r}, which is no video API. Use one whose hook is a VideoHook."
        )
    return hook


def raise_if_unfinished(job: VideoJob) -> None:
    """
    Raise for a job that has no files, or none yet.

    :raises VideoJobFailedError: the job failed or was cancelled.
    :raises VideoJobError: the job is not done yet.
    """
    if job.state is JobState.CANCELLED:
        raise VideoJobCancelledError(f"{job.describe()}; it has no files", job=job)
    if job.state is JobState.FAILED:
        raise VideoJobFailedError(f"{job.describe()}; it has no files", job=job)
    if not job.state.is_terminal:
        raise VideoJobError(f"{job.describe()}; wait until it has finished: only then it has files", job=job)
