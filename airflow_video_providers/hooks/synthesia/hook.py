# SPDX-License-Identifier: Apache-2.0
"""
Synthesia: videos with avatars, from scenes or from a template.

Facts come from the vendor's OpenAPI document of its API of version 2, and from ``docs.synthesia.io``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.hooks.common import HeaderAuth, fill_key, linked_outputs, require_link, state_of
from airflow_video_providers.hooks.lists import (
    each_readable,
    next_offset,
    oldest_usable,
    pages,
    poll_by_list,
    recent_jobs,
    search_list,
)
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.synthesia.requests import SynthesiaTemplateRequest, SynthesiaVideoRequest
from airflow_video_providers.hooks.synthesia.schemas import (
    SynthesiaCaptions,
    SynthesiaThumbnail,
    SynthesiaVideo,
    SynthesiaWebhook,
)
from airflow_video_providers.jobs import CallbackHint, JobError, JobState, VideoJob, VideoOutput

STATES = {
    "in_progress": JobState.RUNNING,
    "approved": JobState.RUNNING,
    "complete": JobState.SUCCEEDED,
    "error": JobState.FAILED,
    "rejected": JobState.FAILED,
    "deleted": JobState.CANCELLED,
}
EVENTS = ("video.completed", "video.failed")

_LIST = "GET /v2/videos"
_PAGE = 100
_PAGES_FOR_ALL = 5


class SynthesiaHook(VideoHook):
    """
    Synthesia's API (version 2) behind one Airflow connection.

    The connection's ``password`` is the API key of a user, sent raw as ``Authorization``. Synthesia gives
    ``callbackId`` back in its list of videos, so a lost job is found surely: ``key_support`` is ``EXACT``. It documents
    no way to cancel a video that is made.

    :param conn_id: the Airflow connection (default ``synthesia_default``).
    """

    conn_type = "synthesia"
    hook_name = "Synthesia"
    default_base_url = "https://api.synthesia.io"
    key_support: ClassVar[KeySupport] = KeySupport.EXACT
    hopeless_codes = frozenset({"rejected"})
    error_causes: ClassVar[Mapping[int, type[VideoApiError]]] = {403: VideoApiAuthenticationError}
    signs_callbacks = True
    callback_window = callbacks.CLOCK_WINDOW

    def make_auth(self) -> HeaderAuth:
        """Return what adds the key to a request: raw, without ``Bearer``."""
        return HeaderAuth("Authorization", self.secret())

    def parse_error(self, body: Any) -> VendorError:
        """Read Synthesia's error form: ``error``, and ``context`` with more of it."""
        error = parse_error(body)
        context = body.get("context") if isinstance(body, Mapping) else None
        return replace(error, message=f"{error.message}: {context}") if isinstance(context, str) and context else error

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return SynthesiaTemplateRequest if "templateId" in request else SynthesiaVideoRequest

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Create one video: from scenes (``input``) or from a template (``templateId`` with ``templateData``).

        The key goes into ``callbackId``.

        :raises VideoConfigurationError: the body is neither.
        :raises SubmissionKeyConflictError: ``callbackId`` is taken.
        """
        from_template = "templateId" in request
        if from_template == ("input" in request):
            raise VideoConfigurationError(
                "A Synthesia request needs either 'input' (scenes) or 'templateId' with 'templateData', not "
                f"{'both' if from_template else 'neither'}."
            )
        body = fill_key(request, "callbackId", key)
        return self._to_job(self.create_video_from_template(body) if from_template else self.create_video(body))

    def get_job(self, job_id: str) -> VideoJob:
        """Poll one video. The vendor tells no progress."""
        return self._to_job(self.get_video(job_id))

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """
        Poll many videos by the list: one request for each 100 videos, five at most.

        One that the list does not show by then is left out.
        """
        found = poll_by_list(self._listed(), job_ids, id_of=lambda video: video.id, most=_PAGES_FOR_ALL * _PAGE)
        return {job_id: self._to_job(video) for job_id, video in found.items()}

    def get_recent_jobs(self, *, since: datetime) -> list[VideoJob]:
        """List the videos that were created since then, those of Synthesia's app too: one request for each 100."""
        most = _PAGES_FOR_ALL * _PAGE
        return recent_jobs(
            self._listed(), created=lambda video: video.createdAt, to_job=self._to_job, since=since, most=most
        )

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """Find the video whose ``callbackId`` is ``key``, among those created since then."""
        found, unread = search_list(
            self._listed(keys=["callbackId"]),
            matches=lambda video: video.callbackId == key,
            created=lambda video: video.createdAt,
            since=since,
        )
        jobs = [self._to_job(video) for video in found]
        return oldest_usable(jobs, unread=unread, vendor=self.vendor, endpoint=_LIST)

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the files of a complete video, with fresh links: ``video``; ``subtitles`` with the labels ``vtt`` and
        ``srt``; ``thumbnail``, and an animated ``image`` with the label ``gif``.
        """
        video = self.get_video(job_id)
        link = require_link(self._to_job(video), video.download, "download", endpoint="GET /v2/videos/{id}")
        captions, pictures = video.captions or SynthesiaCaptions(), video.thumbnail or SynthesiaThumbnail()
        return linked_outputs(
            ("video", None, link, None),
            ("subtitles", "vtt", captions.vtt, "text/vtt"),
            ("subtitles", "srt", captions.srt, "application/x-subrip"),
            ("thumbnail", None, pictures.image, None),
            ("image", "gif", pictures.gif, "image/gif"),
            name=video.title,
            duration_seconds=video.seconds(),
        )

    def check_connection(self) -> str:
        """Ask for one template, which costs nothing."""
        self.get_templates(limit=1)
        return "Synthesia accepted the key; it lists the templates of the workspace."

    # ------------------------------------------------------------------ endpoints

    def create_video(self, body: Mapping[str, Any]) -> SynthesiaVideo:
        """``POST /v2/videos``: create a video from 1 to 25 scenes."""
        return self.fetch(SynthesiaVideo, "POST", "/v2/videos", json=dict(body))

    def create_video_from_template(self, body: Mapping[str, Any]) -> SynthesiaVideo:
        """``POST /v2/videos/fromTemplate``."""
        return self.fetch(SynthesiaVideo, "POST", "/v2/videos/fromTemplate", json=dict(body))

    def get_video(self, video_id: str) -> SynthesiaVideo:
        """``GET /v2/videos/{id}``."""
        return self.fetch(SynthesiaVideo, "GET", "/v2/videos/{id}", id=video_id)

    def list_videos(
        self, *, limit: int = 20, offset: int = 0, source: str | Sequence[str] | None = None
    ) -> list[SynthesiaVideo]:
        """
        ``GET /v2/videos``: one page.

        :param limit: 100 at most. :param source: ``workspace``, ``my_videos``, ``shared_with_me``, or several of them.
        """
        items, _ = self._page({"limit": limit, "offset": offset, "source": source})
        return [video for video in items if video is not None]

    def update_video(self, video_id: str, body: Mapping[str, Any]) -> SynthesiaVideo:
        """``PATCH /v2/videos/{id}``: change ``title``, ``description``, ``visibility`` or ``ctaSettings``."""
        path = "/v2/videos/{id}"
        return self.fetch(SynthesiaVideo, "PATCH", path, id=video_id, json=dict(body), repeatable=True)

    def delete_video(self, video_id: str) -> None:
        """``DELETE /v2/videos/{id}``, sent once; what that does to a video in the making is not documented."""
        self.fetch(None, "DELETE", "/v2/videos/{id}", id=video_id, once=True)

    def get_templates(self, *, limit: int = 20, offset: int = 0) -> list[dict[str, Any]]:
        """``GET /v2/templates``: the templates that videos can be made from."""
        params = {"limit": limit, "offset": offset}
        found = self.fetch(dict[str, Any], "GET", "/v2/templates", params=params)
        templates = found.get("templates")
        return templates if isinstance(templates, list) else []

    def create_webhook(self, url: str, *, events: Sequence[str] = EVENTS) -> SynthesiaWebhook:
        """``POST /v2/webhooks``: register an address; the ``secret`` of the response is shown only now."""
        return self.fetch(SynthesiaWebhook, "POST", "/v2/webhooks", json={"url": url, "events": list(events)})

    # ------------------------------------------------------------------ callbacks

    def register_callback(self, url: str) -> str | None:
        """Register a webhook for the user of the key, and return its secret, which is shown only now."""
        return self.create_webhook(url).secret

    def verify_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        """
        Check ``Synthesia-Signature``: HMAC-SHA256 of ``Synthesia-Timestamp``, a dot and the raw body.

        The time is signed, and must be at most 300 seconds from now. Whether the signature is written in hex or in
        base64, and the time in seconds or milliseconds, could not be verified: all of them are read.
        """
        callbacks.check_size(body)
        secret = self.verifying_secret()
        signed_at = callbacks.read_header(headers, "Synthesia-Timestamp") or ""
        digest = callbacks.sign(secret, signed_at.encode(errors="replace") + b"." + body)
        spellings = [digest, b64encode(bytes.fromhex(digest)).decode()]
        if not callbacks.is_same(callbacks.read_header(headers, "Synthesia-Signature") or "", spellings):
            raise callbacks.forged()
        callbacks.check_time(signed_at)
        data = callbacks.part_of(callbacks.read_document(headers, body), "data")
        return callbacks.make_hint(job_id=data.get("id"), key=data.get("callbackId"))

    # ------------------------------------------------------------------ from the vendor's words to ours

    def _page(
        self, params: Mapping[str, Any], *, keys: Sequence[str] = ()
    ) -> tuple[list[SynthesiaVideo | None], int | None]:
        """Return the videos of one page, None for one that cannot be read, and where the next page begins."""
        found = self.fetch(dict[str, Any], "GET", "/v2/videos", params=params)
        listed = self.client.parse(list[Any], found.get("videos"), endpoint=_LIST)
        items = each_readable(SynthesiaVideo, listed, vendor=self.vendor, endpoint=_LIST, keys=keys)
        return items, next_offset(found.get("nextOffset"), vendor=self.vendor, endpoint=_LIST)

    def _listed(self, *, keys: Sequence[str] = ()) -> Iterator[SynthesiaVideo | None]:
        def read(position: int | None) -> tuple[list[SynthesiaVideo | None], int | None]:
            return self._page({"limit": _PAGE, "offset": position or 0}, keys=keys)

        return pages(read, vendor=self.vendor, endpoint=_LIST)

    def _to_job(self, video: SynthesiaVideo) -> VideoJob:
        state = state_of(self.vendor, video.status, STATES)
        error = None
        if video.status == "rejected":
            error = JobError(code="rejected", message="Synthesia's moderation rejected the video")
        elif state is JobState.FAILED:
            error = JobError(code=video.status)  # no field names a reason
        return VideoJob(
            vendor=self.vendor,
            job_id=video.id,
            state=state,
            vendor_status=video.status,
            name=video.title,
            key=video.callbackId or None,
            error=error,
            created_at=video.createdAt,
            updated_at=video.lastUpdatedAt,
            finished_at=video.lastUpdatedAt if state.is_terminal else None,
        )
