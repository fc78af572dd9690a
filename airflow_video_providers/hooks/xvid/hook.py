# SPDX-License-Identifier: Apache-2.0
"""
Xvid MediaHub: transcoding and rendering jobs with several outputs, thumbnails and archives.

Facts come from the manual (``mediahub.xvid.com/manual``) and its older wiki (``docs-prd.xvid.com``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, BinaryIO, ClassVar
from urllib.parse import quote

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.errors import LONGEST_MESSAGE
from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiNotFoundError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks import callbacks, common, lists
from airflow_video_providers.hooks.base import KeySupport, raise_if_unfinished
from airflow_video_providers.hooks.uploads import refuse_options
from airflow_video_providers.hooks.xvid.auth import XvidTokenAuth
from airflow_video_providers.hooks.xvid.client import XvidClient, missing_rights
from airflow_video_providers.hooks.xvid.endpoints import XvidEndpoints
from airflow_video_providers.hooks.xvid.outputs import files_of, to_outputs
from airflow_video_providers.hooks.xvid.schemas import CreatedJob, Job
from airflow_video_providers.hooks.xvid.settings import XvidSettings
from airflow_video_providers.jobs import JobError, JobState, VideoJob, VideoOutput

STATES = {
    "QUEUED": JobState.QUEUED,
    "PROCESSING": JobState.RUNNING,
    "SUCCESS": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
}

_SEPARATOR = " | "
_MOST_RECENT = 500
_LONGEST_USER_DATA = 4000  # in a query, percent-encoded; servers commonly refuse a request line above 8 KB


class XvidHook(XvidEndpoints):
    """
    Xvid MediaHub behind one Airflow connection.

    The connection's ``login`` is the client id, its ``password`` the client secret. Extras: ``scope``, the rights that
    the token is asked for, separated by commas (``mediahub_read,mediahub_write`` for all but AutoGraph; empty: not
    sent); ``token_lifetime``, seconds for which a token is asked to be good; ``autograph_tag`` or ``expert_mode``,
    sent for the links of watermarked files. A job can be found again by its ``user_data``, so ``key_support`` is
    ``EXACT``. Deleting a finished job deletes its files: :meth:`cancel_job` never does. Xvid keeps outputs for 7 days
    by default.

    :param conn_id: the Airflow connection (default ``xvid_default``).
    """

    conn_type = "xvid"
    hook_name = "Xvid MediaHub"
    default_base_url = "https://api.xvid.com/v1"
    key_support: ClassVar[KeySupport] = KeySupport.EXACT
    settings_model = XvidSettings
    settings: XvidSettings

    # ------------------------------------------------------------------ the connection

    @cached_property
    def plain_client(self) -> VideoApiClient:
        """A session without credentials: for the token request, and for the store's upload form."""
        return VideoApiClient(
            vendor=self.vendor,
            base_url=self.base_url,
            settings=self.settings,
            secrets=[self.secret()],
        )

    def make_auth(self) -> XvidTokenAuth:
        """Return what adds the access token to a request."""
        if not self.connection.login:
            raise VideoConfigurationError(
                f"Connection {self.conn_id!r} has no login. Put the Xvid client id there, and the client secret into "
                "the password."
            )
        lifetime = self.settings.token_lifetime
        return XvidTokenAuth(
            self.plain_client,
            client_id=self.connection.login.strip(),
            client_secret=self.secret(),
            scope=self.settings.scope,
            lifetime=None if lifetime is None else int(lifetime),
        )

    def make_client(self) -> XvidClient:
        """Build the session; it keeps every token out of messages."""
        auth = self.make_auth()
        return XvidClient(
            plain=self.plain_client,
            scope=self.settings.scope,
            vendor=self.vendor,
            base_url=self.base_url,
            auth=auth,
            settings=self.settings,
        )

    def close(self) -> None:
        """Close both sessions, where they were opened; the next call opens others."""
        plain: VideoApiClient | None = self.__dict__.pop("plain_client", None)
        if plain is not None:
            plain.close()
        super().close()

    def check_connection(self) -> str:
        """Fetch a token and read one job, which costs nothing; say what the scope leaves out."""
        self.list_jobs(limit=1)
        return f"Xvid accepted the client id and secret, and lets them read jobs. {missing_rights(self.settings.scope)}"

    # ------------------------------------------------------------------ jobs

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Submit one render.

        :param request: the content of Xvid's ``job``, or the whole body ``{"job": {...}}``.
        :param key: goes into ``user_data``, behind the user's own text and `` | ``.
        :raises SubmissionKeyConflictError: ``user_data`` is no text, or too long to be searched in a query.
        """
        job = _content(request)
        if key is not None:
            job = {**job, "user_data": _with_key(job.get("user_data"), key)}
        return self._to_job(self.create_job(job))

    def get_job(self, job_id: str) -> VideoJob:
        """
        Poll one job.

        :raises VideoApiNotFoundError: Xvid does not know it, or it was cancelled or deleted.
        """
        return self._to_job(self.read_job(job_id))

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """
        Poll many jobs by the list of those that run or finished in the last 15 minutes: a request per 1000 of them.

        A job that this list does not show is left out: it finished earlier, or is gone; :meth:`get_job` tells which.
        """
        wanted = set(job_ids)
        if len(wanted) <= 1:
            return super().get_jobs(wanted)
        found: dict[str, VideoJob] = {}
        for job in self.iterate_jobs(inprogress=True):
            if job.id in wanted:
                found[job.id] = self._to_job(job)
                if len(found) == len(wanted):
                    break
        return found

    def get_recent_jobs(self, *, since: datetime) -> list[VideoJob]:
        """Ask for the 500 jobs that were created last, in one request, and return those since then."""
        jobs = self.list_jobs(limit=_MOST_RECENT, sort="created_at", direction=-1).jobs
        return lists.recent_jobs(
            jobs, created=lambda job: job.created_at, to_job=self._to_job, since=since, most=_MOST_RECENT
        )

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Ask for the jobs with the ``user_data`` that :meth:`submit_job` makes of the same request and key.

        Whether Xvid's filter is exact is not documented, so the key is compared again here. Of several jobs the oldest
        that has not failed is taken; the others are named in the log. ``since`` is not used: keys are unique, and the
        vendor's clock may differ from ours.

        :raises VideoSearchInconclusiveError: none is found, but one that cannot be read may be it: to say that there is
            none could pay for a second render.
        """
        user_data = _with_key(_content(request).get("user_data"), key)
        listed = list(self._listed_jobs(user_data=user_data))
        jobs = [self._to_job(job) for job in listed if isinstance(job, Job) and _key_of(job.user_data) == key]
        unread = sum(not isinstance(item, Job) and _may_carry(item, key) for item in listed)
        return lists.oldest_usable(jobs, unread=unread, vendor=self.vendor, endpoint="GET /jobs/")

    def search_terms(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the user's own ``user_data``: the filter of the search is made of it and the key."""
        user_data = _content(request).get("user_data")
        return {} if user_data is None else {"user_data": user_data}

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Delete a job that is ``QUEUED`` or ``PROCESSING``; any other is left alone, since its files would go too.

        A DELETE that fails is not repeated before another poll; that goes on until the ``retry_deadline`` is over.
        Between a poll and its DELETE the job may still finish: Xvid offers no way to exclude that.

        :return: the job as last polled; None where Xvid knows it no longer.
        :raises VideoJobError: the manual does not name the job's status; it was left alone.
        :raises VideoApiError: the deletion kept failing and the job still runs.
        """
        return common.cancel_by_deleting(self, job_id, self.delete_job, running=common.running_statuses(STATES))

    # ------------------------------------------------------------------ files

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return every file of a finished job: its videos, thumbnails and thumbnail archives, without links.

        Links are minted on request, since they die soon: :meth:`refresh_output`.

        :raises VideoApiNotFoundError: the job is gone, or offers no file: they went to the pipeline's own target, or
            their 7 days are over.
        """
        job = self.read_job(job_id, expand=("file",))
        raise_if_unfinished(self._to_job(job))
        files = list(files_of(job))
        if not files:
            raise VideoApiNotFoundError(f"job {job_id} offers no file", vendor=self.vendor, endpoint="GET /jobs/{id}")
        if any(file.is_bare for _, file, _ in files):  # the response did not put the files in place of their pointers
            known = {file.id: file for file in self.list_files(job_id=job_id).files}
            files = [(kind, known.get(file.id or "", file), name) for kind, file, name in files]
        return to_outputs(files)

    def refresh_output(self, job_id: str, output: VideoOutput) -> VideoOutput:
        """
        Return the same output with a fresh link, minted for this file alone.

        :raises VideoApiNotFoundError: the file is gone.
        :raises VideoApiUnreadableAnswerError: Xvid gives one link for each item of an archive, not one for the whole.
        """
        if output.output_id is None:
            return super().refresh_output(job_id, output)
        links = self.get_download_links(output.output_id, **self._viewer(output))
        if len(links) != 1:
            raise VideoApiUnreadableAnswerError(
                f"the {output.kind} {output.output_id} is offered as {len(links)} single files",
                vendor=self.vendor,
                endpoint="GET /files/downloads/",
            )
        return output.model_copy(update={"url": links[0], "expires_at": None})

    def _viewer(self, output: VideoOutput) -> dict[str, Any]:
        """Return what the connection says about AutoGraph, for a file that is watermarked for each viewer anew."""
        settings = {"autograph_tag": self.settings.autograph_tag, "expert_mode": self.settings.expert_mode}
        said = {name: value for name, value in settings.items() if value}
        if not said or output.output_id is None or not self.read_file(output.output_id).autograph:
            return {}
        return said

    def upload_media(
        self,
        stream: BinaryIO,
        *,
        name: str,
        size: int,
        media_type: str | None = None,
        pipeline_id: str | None = None,
        expires_at: int | None = None,
        wait_seconds: float = 600.0,
        done_status: str | None = None,
        **options: Any,
    ) -> str:
        """
        Send source media into Xvid's store, at constant memory, and wait until it is there.

        What fails leaves an unfinished upload behind, which Xvid removes by itself.

        :param name: object key below the pipeline's root, e.g. ``uploads/in.mp4``.
        :param pipeline_id: the pipeline whose jobs will read it (required).
        :param expires_at: seconds since 1970 when an unused upload is removed; 0: never; default: after 7 days.
        :param wait_seconds: how long the store may take to put the file in place (default 600).
        :param done_status: the status that means done; default: any that is not known to mean waiting or failure, since
            the manual does not name it.
        :return: what a job's ``input.input_name`` names it by.
        :raises SourceError: the stream is shorter or longer than ``size``.
        :raises DestinationError: Xvid did not take the file, or still works on it after ``wait_seconds``. One that was
            taken, but whose status never moved, is a warning: the name of the last status is not documented.
        """
        from airflow_video_providers.hooks.xvid.upload import as_wait, upload_file

        if not pipeline_id or not isinstance(pipeline_id, (str, int)):  # an id of digits may come as a number
            raise VideoConfigurationError("Xvid stores source media for one pipeline: give its pipeline_id, a text.")
        wait = as_wait(wait_seconds)
        refuse_options(self.hook_name, options)
        return upload_file(
            self,
            self.plain_client,
            stream,
            name=name,
            size=size,
            media_type=media_type,
            pipeline_id=pipeline_id,
            expires_at=expires_at,
            wait_seconds=wait,
            done_status=done_status,
        )

    def callback_job_id(self, document: Mapping[str, Any]) -> Any:
        """
        Return the id of the job that a ping of a pipeline names.

        What a ping carries is not documented: an ``id`` is read under ``job``, as in the response to a create, else at
        the top.
        """
        return callbacks.part_of(document, "job").get("id") or document.get("id")

    # ------------------------------------------------------------------ mapping

    def _to_job(self, job: CreatedJob) -> VideoJob:
        state = common.state_of(self.vendor, job.status, STATES)
        outputs = job.outputs or ()
        return VideoJob(
            vendor=self.vendor,
            job_id=job.id,
            state=state,
            vendor_status=job.status,
            progress=common.share_of(job.percentage_completed, 100),
            name=next((output.output_name for output in outputs if output.output_name), None),
            key=_key_of(job.user_data),
            error=self._reason(job) if state is JobState.FAILED else None,
            created_at=job.created_at,
            updated_at=job.updated_at,
            finished_at=job.finished_at,
        )

    def _reason(self, job: CreatedJob) -> JobError:
        message = job.error_msg and self.client.redact(job.error_msg, longest=LONGEST_MESSAGE)
        return JobError(code=job.error_code, message=message)


def _content(request: Mapping[str, Any]) -> Mapping[str, Any]:
    job = request.get("job")
    return job if len(request) == 1 and isinstance(job, Mapping) else request


def _with_key(user_data: Any, key: str) -> str:
    if user_data in (None, ""):
        return key
    if not isinstance(user_data, str) or not _is_unicode(user_data):
        raise SubmissionKeyConflictError(
            f"user_data must be a text, so that it can hold the submission key beside it, not a "
            f"{type(user_data).__name__} or half a character. Nothing was sent."
        )
    combined = f"{user_data}{_SEPARATOR}{key}"
    if len(quote(combined, safe="", errors="replace")) > _LONGEST_USER_DATA:
        raise SubmissionKeyConflictError(
            f"user_data is too long to find the job by it: with the submission key it has more than "
            f"{_LONGEST_USER_DATA} percent-encoded characters. Shorten it. Nothing was sent."
        )
    return combined


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _key_of(user_data: str | None) -> str | None:
    return user_data.rpartition(_SEPARATOR)[2].strip() if user_data else None


def _may_carry(item: Any, key: str) -> bool:
    """Tell whether a job that cannot be read is ours, or does not say that it is not."""
    if not isinstance(item, Mapping) or "user_data" not in item:
        return True
    user_data = item["user_data"]
    if isinstance(user_data, (str, int)):
        return _key_of(str(user_data)) == key
    return user_data is not None
