# SPDX-License-Identifier: Apache-2.0
"""
Xvid MediaHub: transcoding and rendering jobs with several outputs, thumbnails and archives.

Facts come from the manual (``mediahub.xvid.com/manual``) and its older wiki (``docs-prd.xvid.com``).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, BinaryIO, ClassVar
from urllib.parse import quote

from airflow_video_providers.api.client import VendorError, VideoApiClient, parse_error
from airflow_video_providers.api.errors import LONGEST_MESSAGE
from airflow_video_providers.api.settings import seconds
from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiAuthenticationError,
    VideoApiNotFoundError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks.base import KeySupport, raise_if_unfinished
from airflow_video_providers.hooks.common import (
    cancel_by_deleting,
    not_surely_absent,
    running_statuses,
    share_of,
    state_of,
)
from airflow_video_providers.hooks.xvid.auth import XvidTokenAuth
from airflow_video_providers.hooks.xvid.endpoints import XvidEndpoints
from airflow_video_providers.hooks.xvid.schemas import CreatedJob, FileReference, Job
from airflow_video_providers.hooks.xvid.xml import decode_error
from airflow_video_providers.jobs import JobError, JobState, OutputKind, VideoJob, VideoOutput

log = logging.getLogger(__name__)

STATES = {
    "QUEUED": JobState.QUEUED,
    "PROCESSING": JobState.RUNNING,
    "SUCCESS": JobState.SUCCEEDED,
    "FAILURE": JobState.FAILED,
}

_SEPARATOR = " | "
_LONGEST_USER_DATA = 4000  # in a query, percent-encoded; servers commonly refuse a request line above 8 KB


class XvidHook(XvidEndpoints):
    """
    Xvid MediaHub behind one Airflow connection.

    The connection's ``login`` is the client id, its ``password`` the client secret; the extra ``scope`` is a
    comma-separated list of rights and left out of the token request where it is empty; so is ``token_lifetime``, in
    seconds, for which a token is asked to be good. A job can be found again by its
    ``user_data``, so ``key_support`` is ``EXACT``. Deleting a finished job deletes its files: :meth:`cancel_job` never
    does. Xvid keeps outputs for 7 days by default.

    :param conn_id: the Airflow connection (default ``xvid_default``).
    """

    conn_type = "xvid"
    hook_name = "Xvid MediaHub"
    default_conn_name = "xvid_default"
    vendor = "xvid"
    default_base_url = "https://api.xvid.com/v1"
    key_support: ClassVar[KeySupport] = KeySupport.EXACT

    # ------------------------------------------------------------------ the connection

    @cached_property
    def plain_client(self) -> VideoApiClient:
        """A session without credentials: for the token request, and for the store's upload form."""
        return VideoApiClient(
            vendor=self.vendor,
            base_url=self.base_url,
            settings=self.client_settings(),
            secrets=[self.secret()],
        )

    def make_auth(self) -> XvidTokenAuth:
        """Return what adds the access token to a request."""
        if not self.connection.login:
            raise VideoConfigurationError(
                f"Connection {self.conn_id!r} has no login. Put the Xvid client id there, and the client secret into "
                "the password."
            )
        scope = self.extras.get("scope") or ""
        if not isinstance(scope, str):
            scope = ",".join(str(item) for item in scope)
        return XvidTokenAuth(
            self.plain_client,
            client_id=self.connection.login.strip(),
            client_secret=self.secret(),
            scope=scope.strip(),
            lifetime=int(seconds(self.extras, "token_lifetime", 0, conn_id=self.conn_id)) or None,
        )

    def make_client(self) -> VideoApiClient:
        """Build the session; it keeps every token out of messages."""
        client = super().make_client()
        client.error_parser = parse_xvid_error
        client.error_decoder = decode_error
        client.secrets = self.plain_client.secrets
        return client

    def close(self) -> None:
        """Close both sessions, where they were opened; the next call opens others."""
        plain: VideoApiClient | None = self.__dict__.pop("plain_client", None)
        if plain is not None:
            plain.close()
        super().close()

    def check_connection(self) -> str:
        """Fetch a token and read one job, which costs nothing."""
        self.list_jobs(limit=1)
        return "Xvid accepted the client id and secret, and lets them read jobs."

    # ------------------------------------------------------------------ jobs

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Buy one render.

        :param request: the content of Xvid's ``job``, or the whole body ``{"job": {...}}``.
        :param key: goes into ``user_data``, behind the user's own text and `` | ``.
        :raises SubmissionKeyConflictError: ``user_data`` is no text, or too long to be looked for in a query.
        :raises VideoApiError: ``outcome_unknown`` tells whether a job may exist all the same.
        """
        job = _content(request)
        if key is not None:
            job = {**job, "user_data": _with_key(job.get("user_data"), key)}
        return self._to_job(self.create_job(job))

    def get_job(self, job_id: str) -> VideoJob:
        """
        Look at one job.

        :raises VideoApiNotFoundError: Xvid does not know it, or it was cancelled or deleted.
        """
        return self._to_job(self.read_job(job_id))

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """
        Look at many jobs by the list of those that run or finished in the last 15 minutes: a request per 1000 of them.

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

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Ask for the jobs with the ``user_data`` that :meth:`submit_job` makes of the same request and key.

        Whether Xvid's filter is exact is not documented, so the key is compared again here. Of several jobs the oldest
        that has not failed is taken; the others are named in the log. ``since`` is not used: keys are unique, and the
        vendor's clock may differ from ours.

        :raises VideoApiUnreadableAnswerError: none is found, but one that cannot be read may be it: to say that there
            is none could buy a second render.
        """
        user_data = _with_key(_content(request).get("user_data"), key)
        usable: list[VideoJob] = []
        unread = 0
        for page in self._job_pages(user_data=user_data):
            jobs = [self._to_job(job) for job in page.jobs if _key_of(job.user_data) == key]
            usable += [job for job in jobs if job.state is not JobState.FAILED]
            unread += sum(_may_carry(item, key) for item in page.unreadable)
        if not usable and unread:
            raise not_surely_absent(unread, vendor=self.vendor, endpoint="GET /jobs/")
        if not usable:
            return None
        oldest = min(usable, key=lambda job: job.created_at.timestamp() if job.created_at else 0.0)
        if len(usable) > 1:
            others = ", ".join(job.job_id for job in usable if job is not oldest)
            log.warning(
                "xvid: %d jobs carry the same key; taking the oldest, %s, not %s",
                len(usable),
                oldest.job_id,
                others,
            )
        return oldest

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Delete a job that is ``QUEUED`` or ``PROCESSING``; any other is left alone, since its files would go too.

        A DELETE that fails is not repeated before another look; that goes on until the ``retry_deadline`` is over.
        Between a look and its DELETE the job may still finish: Xvid offers no way to exclude that.

        :return: the job as last seen; None where Xvid knows it no longer.
        :raises VideoJobError: the manual does not name the job's status; it was left alone.
        :raises VideoApiError: the deletion kept failing and the job still runs.
        """
        return cancel_by_deleting(self, job_id, self.delete_job, running=running_statuses(STATES))

    # ------------------------------------------------------------------ files

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return every file of a finished job: its videos, thumbnails and thumbnail archives, without links.

        Links are minted on request, since they die soon: :meth:`refresh_output`.

        :raises VideoApiNotFoundError: the job is gone, or offers no file: they went to the pipeline's own target, or
            their 7 days are over.
        :raises VideoJobError: the job is not done, or ended without files.
        """
        job = self.read_job(job_id, expand=("file",))
        raise_if_unfinished(self._to_job(job))
        files = list(_files_of(job))
        if not files:
            raise VideoApiNotFoundError(f"job {job_id} offers no file", vendor=self.vendor, endpoint="GET /jobs/{id}")
        if any(file.is_bare for _, file, _ in files):  # the answer did not put the files in place of their pointers
            known = {file.id: file for file in self.list_files(job_id=job_id).files}
            files = [(kind, known.get(file.id or "", file), name) for kind, file, name in files]
        return [_to_output(kind, file, name) for kind, file, name in files]

    def refresh_output(self, job_id: str, output: VideoOutput) -> VideoOutput:
        """
        Return the same output with a fresh link, minted for this file alone.

        :raises VideoApiNotFoundError: the file is gone.
        :raises VideoApiUnreadableAnswerError: Xvid gives one link for each item of an archive, not one for the whole.
        """
        if output.output_id is None:
            return super().refresh_output(job_id, output)
        links = self.get_download_links(output.output_id)
        if len(links) != 1:
            raise VideoApiUnreadableAnswerError(
                f"the {output.kind} {output.output_id} is offered as {len(links)} single files",
                vendor=self.vendor,
                endpoint="GET /files/downloads/",
            )
        return output.model_copy(update={"url": links[0], "expires_at": None})

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
        :raises DestinationError: Xvid did not take the file, or not in time.
        """
        from airflow_video_providers.hooks.xvid.upload import upload_file

        if not pipeline_id:
            raise VideoConfigurationError("Xvid stores source media for one pipeline: give its pipeline_id.")
        if options:
            raise VideoConfigurationError(f"Xvid's upload takes no {', '.join(sorted(options))}.")
        return upload_file(
            self,
            self.plain_client,
            stream,
            name=name,
            size=size,
            media_type=media_type,
            pipeline_id=pipeline_id,
            expires_at=expires_at,
            wait_seconds=wait_seconds,
            done_status=done_status,
        )

    # ------------------------------------------------------------------ mapping

    def _to_job(self, job: CreatedJob) -> VideoJob:
        state = state_of(self.vendor, job.status, STATES)
        outputs = job.outputs or ()
        return VideoJob(
            vendor=self.vendor,
            job_id=job.id,
            state=state,
            vendor_status=job.status,
            progress=share_of(job.percentage_completed, 100),
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


def parse_xvid_error(body: Any) -> VendorError:
    """Read Xvid's error form; code 0x0000003, written with or without 0x, is a token that it does not accept."""
    error = parse_error(body)
    refused = (error.code or "").lower().removeprefix("0x") == "0000003"
    return replace(error, cause=VideoApiAuthenticationError) if refused else error


def _content(request: Mapping[str, Any]) -> Mapping[str, Any]:
    job = request.get("job")
    return job if len(request) == 1 and isinstance(job, Mapping) else request


def _with_key(user_data: Any, key: str) -> str:
    if user_data in (None, ""):
        return key
    if not isinstance(user_data, str):
        raise SubmissionKeyConflictError(
            f"user_data must be a text, so that it can hold the submission key beside it, not a "
            f"{type(user_data).__name__}. Nothing was sent."
        )
    combined = f"{user_data}{_SEPARATOR}{key}"
    if len(quote(combined, safe="")) > _LONGEST_USER_DATA:
        raise SubmissionKeyConflictError(
            f"user_data is too long to find the job by it: with the submission key it has more than "
            f"{_LONGEST_USER_DATA} percent-encoded characters. Shorten it. Nothing was sent."
        )
    return combined


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


def _files_of(job: Job) -> Iterator[tuple[OutputKind, FileReference, str | None]]:
    """Yield what a job made: kind, file, name of the output; a file sent to the user's own target has no id."""
    for output in job.outputs or ():
        if output.file is not None and output.file.id:
            yield "video", output.file, output.output_name
        for thumbnails in output.thumbnails or ():
            if thumbnails.file is not None and thumbnails.file.id:
                yield "thumbnail", thumbnails.file, thumbnails.thumbnail_names
        if output.thumbnail_zip is not None and output.thumbnail_zip.file and output.thumbnail_zip.file.id:
            yield "archive", output.thumbnail_zip.file, output.output_name


def _to_output(kind: OutputKind, file: FileReference, name: str | None) -> VideoOutput:
    return VideoOutput(
        kind="archive" if file.type == "archive" else kind,
        output_id=file.id,
        name=file.name or name,
        media_type=file.mime_type,
        size=file.size,
        md5=file.md5_checksum,
        duration_seconds=None if file.duration is None else file.duration / 1000,
    )
