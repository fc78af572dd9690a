# SPDX-License-Identifier: Apache-2.0
"""
HeyGen (API v3): videos with avatars, from templates, and by its video agent.

Facts come from the vendor's reference ``developers.heygen.com`` and from its command line client ``heygen-cli``, which
is made from its OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO, ClassVar

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.common import HeaderAuth, fill_key, linked_outputs, require_link, state_of
from airflow_video_providers.hooks.heygen.endpoints import HeyGenEndpoints
from airflow_video_providers.hooks.heygen.requests import HeyGenAgentRequest, HeyGenTemplateRequest, HeyGenVideoRequest
from airflow_video_providers.hooks.heygen.schemas import HeyGenVideo, HeyGenVideoStatus
from airflow_video_providers.hooks.lists import (
    CLOCK_MARGIN,
    each_readable,
    oldest_usable,
    pages,
    recent_jobs,
    search_list,
)
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.uploads import put_stream, refuse_options
from airflow_video_providers.jobs import CallbackHint, JobError, JobState, VideoJob, VideoOutput
from airflow_video_providers.text.redaction import clean_label

STATES = {
    "waiting": JobState.QUEUED,
    "pending": JobState.QUEUED,
    "queued": JobState.QUEUED,
    "processing": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
}
EVENTS = ("avatar_video.success", "avatar_video.fail")
TYPES = ("avatar", "image", "cinematic_avatar", "studio")

_MODELS: dict[str, type[VendorRequest]] = {
    "video": HeyGenVideoRequest,
    "template": HeyGenTemplateRequest,
    "agent": HeyGenAgentRequest,
}
_LIST = "GET /v3/videos"
_STATUSES_A_REQUEST = 100
_LONGEST_TITLE_IN_SEARCH = 100
_MOST_RECENT = 500


class HeyGenHook(HeyGenEndpoints):
    """
    HeyGen's API (v3) behind one Airflow connection.

    The connection's ``password`` is the API key, sent as ``X-Api-Key``; with the extra ``oauth`` it is an OAuth token.
    HeyGen replays the response to a create for 24 hours to a request with the same ``Idempotency-Key``
    (``replay_seconds``), so that a lost response pays for nothing twice. Later a video is found by its title:
    ``key_support`` is ``BEST_EFFORT``. It documents no way to cancel a video.

    :param conn_id: the Airflow connection (default ``heygen_default``).
    """

    conn_type = "heygen"
    hook_name = "HeyGen"
    default_base_url = "https://api.heygen.com"
    key_support: ClassVar[KeySupport] = KeySupport.BEST_EFFORT
    replay_seconds = 24 * 3600.0
    signs_callbacks = True
    callback_window = callbacks.CLOCK_WINDOW

    def make_auth(self) -> HeaderAuth:
        """Return what adds the key or token to a request."""
        if self.extras.get("oauth") in (True, "true", "True"):
            return HeaderAuth("Authorization", f"Bearer {self.secret()}")
        return HeaderAuth("X-Api-Key", self.secret())

    # ------------------------------------------------------------------ jobs

    def replay_window(self, request: Mapping[str, Any]) -> float | None:
        """Return 24 hours for videos and templates; no idempotency key is documented for the video agent."""
        return None if _form(request) == "agent" else self.replay_seconds

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return _MODELS[_form(request)]

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Create one video: by ``type``; from a template, by ``template_id``; or by the video agent, by ``prompt`` alone.

        The key goes into the header ``Idempotency-Key``, into ``callback_id`` and, where the request has none, into
        ``title``. A response that is replayed tells how the video stood when it was created.

        :raises VideoConfigurationError: the body is none of the three.
        :raises SubmissionKeyConflictError: ``callback_id`` is taken.
        """
        form = _form(request)
        body = {name: value for name, value in request.items() if name != "template_id"}
        if key is not None:
            body = _with_key(body, key, form)
        if form == "agent":
            session = self.create_video_agent(body)
            if not session.video_id:
                raise VideoApiUnreadableAnswerError(
                    f"the video agent began session {session.session_id}, but the response names no video yet; look "
                    "for it in HeyGen's app",
                    vendor=self.vendor,
                    endpoint="POST /v3/video-agents",
                    outcome_unknown=True,
                )
            video_id, status = session.video_id, "waiting"
        elif form == "template":
            created = self.create_video_from_template(str(request["template_id"]), body, key=key)
            video_id, status = created.video_id, created.status or "waiting"
        else:
            created = self.create_video(body, key=key)
            video_id, status = created.video_id, created.status or "waiting"
        return VideoJob(
            vendor=self.vendor,
            job_id=video_id,
            state=state_of(self.vendor, status, STATES),
            vendor_status=status,
            name=body.get("title") if isinstance(body.get("title"), str) else None,
            key=key,
        )

    def get_job(self, job_id: str) -> VideoJob:
        """Poll one video. The vendor tells no progress."""
        return self._to_job(self.get_video(job_id))

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """Poll many videos: one request for each 100."""
        found: dict[str, VideoJob] = {}
        wanted = set(job_ids)
        ids = sorted(wanted)
        for start in range(0, len(ids), _STATUSES_A_REQUEST):
            for line in self.get_video_statuses(ids[start : start + _STATUSES_A_REQUEST]):
                if line.video_id in wanted and line.status != "not_found":
                    found[line.video_id] = self._to_polled(line.video_id, line)
        return found

    def get_recent_jobs(self, *, since: datetime) -> list[VideoJob]:
        """List the videos that were created since then, those of HeyGen's app too: one request for each 100."""
        return recent_jobs(
            self._listed(None),
            created=lambda video: video.created_at,
            to_job=self._to_job,
            since=since,
            most=_MOST_RECENT,
        )

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Find the video by its title, among those created since then: the key itself where the request has no title.

        Two videos of one title cannot be told apart. A minute is allowed between the clocks.
        """
        title = request.get("title") or key
        if not isinstance(title, str):
            return None
        found, unread = search_list(
            self._listed(title[:_LONGEST_TITLE_IN_SEARCH]),
            matches=lambda video: video.title == title and _is_since(video.created_at, since),
            created=lambda video: video.created_at,
            since=since,
        )
        jobs = [self._to_job(video) for video in found]
        return oldest_usable(jobs, unread=unread, vendor=self.vendor, endpoint=_LIST)

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the files of a finished video, with fresh links: ``video``, and with the label ``captioned`` the one with
        captions in it; ``subtitles`` (SRT); ``thumbnail``; an animated ``image`` with the label ``gif``.
        """
        video = self.get_video(job_id)
        link = require_link(self._to_job(video), video.video_url, "video_url", endpoint="GET /v3/videos/{id}")
        return linked_outputs(
            ("video", None, link, None),
            ("video", "captioned", video.captioned_video_url, None),
            ("subtitles", None, video.subtitle_url, "application/x-subrip"),
            ("thumbnail", None, video.thumbnail_url, None),
            ("image", "gif", video.gif_url, "image/gif"),
            name=video.title,
            duration_seconds=video.duration,
        )

    def upload_media(
        self, stream: BinaryIO, *, name: str, size: int, media_type: str | None = None, **options: Any
    ) -> str:
        """Upload an asset (picture, video, sound or PDF) by a link of its own, and return its id."""
        refuse_options(self.hook_name, options)
        upload = self.create_direct_upload(name, content_type=media_type or "application/octet-stream", size_bytes=size)
        if upload.max_bytes is not None and size > upload.max_bytes:
            raise VideoConfigurationError(f"HeyGen takes assets of {upload.max_bytes} bytes at most, not of {size}.")
        put_stream(self.client, upload.upload_url, stream=stream, size=size, headers=upload.upload_headers)
        self.complete_upload(upload.asset_id)
        return upload.asset_id

    def check_connection(self) -> str:
        """Ask for the user, which costs nothing, and tell the balance where the vendor does."""
        try:
            user = self.get_user()
        except VideoApiNotFoundError:
            user = self.get_user("/v3/user/me")  # the vendor's own pages spell the path in both ways
        wallet = user.get("wallet")
        return f"HeyGen accepted the key{_balance_of(wallet) if isinstance(wallet, Mapping) else ''}."

    # ------------------------------------------------------------------ from the vendor's words to ours

    def _listed(self, title: str | None) -> Iterator[HeyGenVideo | None]:
        def read(token: str | None) -> tuple[list[HeyGenVideo | None], str | None]:
            items, after = self._read_videos({"limit": 100, "token": token, "title": title})
            return each_readable(HeyGenVideo, items, vendor=self.vendor, endpoint=_LIST), after

        return pages(read, vendor=self.vendor, endpoint=_LIST)

    def _to_job(self, video: HeyGenVideo) -> VideoJob:
        state = state_of(self.vendor, video.status, STATES)
        failed = state is JobState.FAILED
        return VideoJob(
            vendor=self.vendor,
            job_id=video.id,
            state=state,
            vendor_status=video.status,
            name=video.title,
            page_url=video.video_page_url,
            error=JobError(code=video.failure_code, message=video.failure_message) if failed else None,
            created_at=video.created_at,
            finished_at=video.completed_at,
        )

    # ------------------------------------------------------------------ callbacks

    def callback_request(self, request: Mapping[str, Any], *, url: str, key: str) -> dict[str, Any]:
        """
        Return the request with ``callback_url``.

        Whether HeyGen signs what it posts there is not documented, so the address carries a token of ours.

        :raises VideoConfigurationError: the video agent and cinematic avatars know no ``callback_url``, or the request
            fills it already.
        """
        if _form(request) == "agent" or request.get("type") == "cinematic_avatar":
            raise VideoConfigurationError(
                "HeyGen documents no 'callback_url' for the video agent and for cinematic avatars: register the "
                "webhook of the account instead (register_callback). Nothing was sent."
            )
        return callbacks.fill_field(request, "callback_url", url, vendor=self.hook_name)

    def register_callback(self, url: str) -> str | None:
        """Register the account's webhook for the events of videos, and return its secret, which is shown only now."""
        return self.create_webhook(url, events=EVENTS).secret

    def verify_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        """
        Check a webhook of the account by ``Heygen-Signature``, a post to a request's ``callback_url`` by its token.

        The signature is HMAC-SHA256 of the raw body in hex. ``Heygen-Timestamp`` must be at most 300 seconds from now,
        but is not signed: it bounds the vendor's own repeats, not those of someone who has heard one.
        """
        callbacks.check_size(body)
        secret, key = self.verifying_secret(), None
        if callbacks.read_header(headers, callbacks.TOKEN_HEADER) is not None:
            key, _ = callbacks.check_address_token(secret, headers, conn_id=self.conn_id)
        else:
            callbacks.check_signature(secret, body, callbacks.read_header(headers, "Heygen-Signature"))
            callbacks.check_time(callbacks.read_header(headers, "Heygen-Timestamp"))
        data = callbacks.part_of(callbacks.read_document(headers, body), "event_data")
        return callbacks.make_hint(job_id=data.get("video_id"), key=key or data.get("callback_id"))

    def callback_event_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return ``Heygen-Event-Id``, which is not signed."""
        return callbacks.read_header(headers, "Heygen-Event-Id")

    def _to_polled(self, job_id: str, line: HeyGenVideoStatus) -> VideoJob:
        state = state_of(self.vendor, line.status, STATES)
        return VideoJob(
            vendor=self.vendor,
            job_id=job_id,
            state=state,
            vendor_status=line.status,
            error=_error(line.error) if state is JobState.FAILED else None,
        )


def _is_since(created_at: datetime | None, since: datetime) -> bool:
    return created_at is not None and created_at >= since - CLOCK_MARGIN


def _form(request: Mapping[str, Any]) -> str:
    """Tell which create a request is for: ``video``, ``template`` or ``agent``."""
    if "template_id" in request and "type" not in request:
        return "template"
    if "template_id" not in request and "type" in request:
        if request["type"] not in TYPES:
            raise VideoConfigurationError(
                f"'type' of a HeyGen request must be one of {', '.join(TYPES)}, not {request['type']!r}."
            )
        return "video"
    if "prompt" in request and "type" not in request and "template_id" not in request:
        return "agent"
    raise VideoConfigurationError(
        "A HeyGen request needs 'type' (a video), 'template_id' with 'variables' (a template) or 'prompt' alone (the "
        "video agent)."
    )


def _with_key(body: dict[str, Any], key: str, form: str) -> dict[str, Any]:
    marked = fill_key(body, "callback_id", key)
    if body.get("type") != "cinematic_avatar":  # which knows no callback_id
        body = marked
    if form != "agent" and not body.get("title"):
        body["title"] = key
    return body


def _error(error: Any) -> JobError:
    if isinstance(error, Mapping):
        code, message = error.get("code"), error.get("message")
        return JobError(code=None if code is None else str(code), message=None if message is None else str(message))
    return JobError(message=None if error is None else str(error))


def _balance_of(wallet: Mapping[str, Any]) -> str:
    balance = next((wallet[name] for name in ("remaining_balance", "balance") if name in wallet), None)
    if not isinstance(balance, (int, float)):
        return ""
    currency = clean_label(wallet.get("currency") or "", longest=10).upper()
    return f"; its wallet holds {balance:g} {currency}".rstrip()
