# SPDX-License-Identifier: Apache-2.0
"""
fal: one gateway to many models that generate video (Veo, Kling, Seedance, Wan and hundreds more).

Facts come from the vendor's client ``fal-client`` 1.0.3, and from its pages on the queue, the platform API, webhooks,
errors and the life of files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO, ClassVar

from airflow_video_providers.exceptions import VideoApiInvalidRequestError, VideoApiNotFoundError
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.base import KeySupport, raise_if_unfinished
from airflow_video_providers.hooks.common import first_words, missing_link, state_of
from airflow_video_providers.hooks.fal.endpoints import LIST
from airflow_video_providers.hooks.fal.files import find_outputs
from airflow_video_providers.hooks.fal.names import make_job_id, parse_job_id, split_request
from airflow_video_providers.hooks.fal.requests import FalModelRequest
from airflow_video_providers.hooks.fal.schemas import FalRequest
from airflow_video_providers.hooks.fal.webhooks import FalWebhooks
from airflow_video_providers.hooks.lists import CLOCK_MARGIN, each_readable, oldest_usable, pages
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.uploads import put_stream, refuse_options
from airflow_video_providers.jobs import JobCost, JobError, JobState, VideoJob, VideoOutput

STATES = {
    "IN_QUEUE": JobState.QUEUED,
    "IN_PROGRESS": JobState.RUNNING,
    "COMPLETED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
    "CANCELLED": JobState.CANCELLED,
}


class FalHook(FalWebhooks):
    """
    fal's queue behind one Airflow connection.

    The connection's ``password`` is the API key, sent as ``Authorization: Key``. fal takes no key of ours; a lost
    request is searched in the list of the endpoint's requests by its input: ``key_support`` is ``BEST_EFFORT``.
    Extras: those of :class:`~airflow_video_providers.hooks.fal.endpoints.FalSettings`.

    A job's id is the endpoint and fal's request id: ``fal-ai/veo3.1|<request id>``.

    :param conn_id: the Airflow connection (default ``fal_default``).
    """

    conn_type = "fal"
    hook_name = "fal"
    default_base_url = "https://queue.fal.run"
    key_support: ClassVar[KeySupport] = KeySupport.BEST_EFFORT

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return FalModelRequest

    def estimate_cost(self, request: Mapping[str, Any]) -> JobCost | None:
        """
        Return what a request will cost: the model's price of a unit, times the units that the request asks for.

        The price comes from fal's platform API and costs nothing. The units are known where the model is priced by the
        video, or by the second and the request has ``duration`` (``5``, ``"5"`` or ``"8s"``); else None.
        """
        endpoint, body = split_request(request)
        price = self.get_price(endpoint)
        units = None if price is None else _units(price.unit, body)
        return (
            None
            if price is None or units is None
            else JobCost(amount=round(price.unit_price * units, 6), unit=price.currency.lower())
        )

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Put one request into the queue.

        The request is the model's own input, and beside it ``endpoint`` (``fal-ai/veo3.1``) and, optionally,
        ``fal_webhook`` (an address). The key goes into the query of that address, as ``airflow_submission_key``;
        without it, it is not sent.

        :raises VideoConfigurationError: ``endpoint`` is missing or wrong.
        :raises SubmissionKeyConflictError: the query of ``fal_webhook`` holds another key already.
        """
        endpoint, body = split_request(request)
        webhook = request.get("fal_webhook")
        if webhook is not None:
            webhook = callbacks.with_key(webhook, key, field="fal_webhook")
        queued = self.create_request(endpoint, body, webhook=webhook)
        return VideoJob(
            vendor=self.vendor,
            job_id=make_job_id(endpoint, queued.request_id),
            state=JobState.QUEUED,
            vendor_status="IN_QUEUE",
            stage=_stage(queued.queue_position),
            name=first_words(body.get("prompt")),
            key=key,
        )

    def get_job(self, job_id: str) -> VideoJob:
        """
        Poll one request; its place in the queue is the stage.

        :raises VideoApiNotFoundError: the vendor does not know it, or no longer: it keeps a request for 30 days.
        """
        endpoint, request_id = parse_job_id(job_id)
        status = self.get_request_status(endpoint, request_id)
        state = state_of(self.vendor, status.status, STATES)
        error = None
        if state is JobState.FAILED or (state is JobState.SUCCEEDED and status.error):
            state, error = JobState.FAILED, JobError(code=status.error_type, message=self._text(status.error))
        return VideoJob(
            vendor=self.vendor,
            job_id=job_id,
            state=state,
            vendor_status=status.status,
            stage=_stage(status.queue_position) if state is JobState.QUEUED else None,
            error=error,
        )

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Find the request with the very same input, among those of the endpoint that were sent since then; one that has
        not ended is polled once.

        The list can lack requests that have not ended yet, so that none is found proves nothing. Two requests with the
        same input cannot be told apart: give each a ``seed`` of its own. A minute is allowed between the clocks.
        """
        endpoint, body = split_request(request)
        wanted, found, unread = _canonical(body), list[VideoJob](), 0
        for item in self._listed(endpoint, since - CLOCK_MARGIN):
            if item is None:
                unread += 1
            elif _is_since(item.sent_at, since) and _canonical(item.json_input) == wanted:
                found.append(self._to_listed(endpoint, item))
        return oldest_usable(found, unread=unread, vendor=self.vendor, endpoint=LIST)

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Cancel a request that has not ended. One that waits is removed; one that runs is asked to stop, and may go on.
        """
        endpoint, request_id = parse_job_id(job_id)
        try:
            job = self.get_job(job_id)
            if job.state.is_terminal:
                return job
        except VideoApiNotFoundError:
            return None
        try:
            self.cancel_request(endpoint, request_id)
        except VideoApiNotFoundError:
            return job
        except VideoApiInvalidRequestError:
            return self.get_job(job_id)  # it has ended meanwhile
        return job

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the files that the model made: every object with a ``url`` in its result.

        :raises VideoJobError: it has not ended, or failed, or its result names no file.
        """
        job = self.get_job(job_id)
        raise_if_unfinished(job)
        outputs = find_outputs(self.get_result(*parse_job_id(job_id)))
        if not outputs:
            raise missing_link(job, "url", endpoint="GET /{app}/requests/{id}")
        return outputs

    def upload_media(
        self, stream: BinaryIO, *, name: str, size: int, media_type: str | None = None, **options: Any
    ) -> str:
        """Upload a file to fal's storage, and return its link for a request."""
        refuse_options(self.hook_name, options)
        content_type = media_type or "application/octet-stream"
        upload = self.create_upload(name, content_type=content_type)
        put_stream(self.storage, upload.upload_url, stream=stream, size=size, media_type=content_type)
        return upload.file_url

    def check_connection(self) -> str:
        """Ask for the price of a model, which costs nothing; the list of models would need no key."""
        self.get_price("fal-ai/flux/dev")
        return "fal accepted the key; it tells its prices."

    # ------------------------------------------------------------------ from the vendor's words to ours

    def _text(self, error: Any) -> str | None:
        """Read the error of a completed request: a text, or the list of a model's own checks."""
        return None if error is None else self.parse_error({"detail": error}).message

    def _listed(self, endpoint: str, start: datetime) -> Iterator[FalRequest | None]:
        def read(cursor: str | None) -> tuple[list[FalRequest | None], str | None]:
            items, after = self.list_requests(endpoint, start=start, cursor=cursor)
            return each_readable(FalRequest, items, vendor=self.vendor, endpoint=LIST), after

        return pages(read, vendor=self.vendor, endpoint=LIST)

    def _to_listed(self, endpoint: str, item: FalRequest) -> VideoJob:
        state = JobState.RUNNING
        if item.ended_at is not None:
            good = item.status_code is not None and 200 <= item.status_code < 300
            state = JobState.SUCCEEDED if good else JobState.FAILED
        else:
            try:
                state = self.get_job(make_job_id(endpoint, item.request_id)).state
            except VideoApiNotFoundError:
                state = JobState.CANCELLED  # removed from the queue
        return VideoJob(
            vendor=self.vendor,
            job_id=make_job_id(endpoint, item.request_id),
            state=state,
            vendor_status="IN_PROGRESS" if item.ended_at is None else "COMPLETED",
            created_at=item.sent_at,
            finished_at=item.ended_at,
        )


def _is_since(sent_at: datetime | None, since: datetime) -> bool:
    return sent_at is not None and sent_at >= since - CLOCK_MARGIN


def _canonical(body: Any) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _stage(position: int | None) -> str | None:
    return None if position is None else f"{position} before it in the queue"


def _units(unit: str, body: Mapping[str, Any]) -> float | None:
    """Return how many units of a price a request asks for; None: its fields do not tell."""
    unit = unit.lower().rstrip("s")
    if unit in ("video", "request", "generation"):
        return 1.0
    if unit not in ("second", "video_second"):
        return None
    text = str(body.get("duration") or "").strip().lower().removesuffix("s")
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < 86400 else None
