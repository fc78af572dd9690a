# SPDX-License-Identifier: Apache-2.0
"""
Hour One: videos with presenters, made from a source draft, a template or a workflow.

Facts come from ``hourone.gitbook.io/api-docs`` (Videos, Webhooks) and from the service's own OpenAPI document. The
vendor was bought by Wix in 2025; whether its API takes new customers is not verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from airflow_video_providers.api.settings import ClientSettings, HeaderText
from airflow_video_providers.exceptions import SubmissionKeyConflictError, VideoSearchInconclusiveError
from airflow_video_providers.hooks import callbacks, common, lists
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.hooks.hourone import schemas
from airflow_video_providers.hooks.hourone.requests import HourOneVideoRequest
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.jobs import CallbackHint, JobState, VideoJob, VideoOutput

LONGEST_CORRELATION_ID = 100

SHORTEST_CUT_LIST = 10
"""A list of fewer videos is taken to be whole; from here on the server may have cut it, for all that is documented."""

STATES = {
    "not_started": JobState.QUEUED,
    "started": JobState.RUNNING,
    "processing": JobState.RUNNING,
    "ready": JobState.SUCCEEDED,
    "published": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "stopped": JobState.CANCELLED,
    "cancelled": JobState.CANCELLED,
}

_SEPARATOR = "|"
_LIST = "GET /videos"


class HourOneSettings(ClientSettings):
    """
    The extras of a connection of Hour One, beside those of every vendor.

    :param workspace_id: sent as ``workspace-id`` where the vendor takes it; empty (default): not sent.
    :param team_id: likewise, as ``team-id``.
    :param list_complete_below: a list of fewer videos is taken to be whole (default 10).
    """

    workspace_id: HeaderText = ""
    team_id: HeaderText = ""
    list_complete_below: int = Field(default=SHORTEST_CUT_LIST, ge=1)


class HourOneHook(VideoHook):
    """
    Hour One's API behind one Airflow connection.

    The connection's ``password`` is the API key; the extras ``workspace_id`` and ``team_id`` are sent as headers where
    the vendor takes them. A job can be found again by its ``correlation_id`` (``key_support`` is ``EXACT``), as far as
    the list of videos is known to be whole: one of 10 videos or more proves nothing about a key that it does not show,
    unless the extra ``list_complete_below`` says how many videos the list of this account shows without being cut.

    :param conn_id: the Airflow connection (default ``hourone_default``).
    """

    conn_type = "hourone"
    hook_name = "Hour One"
    default_base_url = "https://api.makereals.com/api/v1"
    key_support: ClassVar[KeySupport] = KeySupport.EXACT
    signs_callbacks = True
    settings_model = HourOneSettings
    settings: HourOneSettings

    def make_auth(self) -> common.HeaderAuth:
        """Return what adds the API key to a request."""
        return common.HeaderAuth("api-key", self.secret())

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return HourOneVideoRequest

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Submit one render.

        A missing ``type`` is filled in: ``create`` for a body with ``template_id``, ``workflow`` for one with
        ``workflow_id``, else ``override``. The key goes into ``correlation_id``, behind the user's own.

        :raises SubmissionKeyConflictError: the user's ``correlation_id`` and the key do not fit into 100 characters.
        """
        body = dict(request)
        if body.get("type") in (None, ""):
            shapes = {"create": body.get("template_id"), "workflow": body.get("workflow_id")}
            body["type"] = next((shape for shape, value in shapes.items() if value), "override")
        if key is not None:
            body["correlation_id"] = _correlation_id(request, key)
        return self._to_job(self.create_video(body), key=key)

    def get_job(self, job_id: str) -> VideoJob:
        """Poll one job."""
        return self._to_job(self.get_video(job_id))

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """Poll many jobs by one list request; a job that the list does not show is left out."""
        wanted = set(job_ids)
        return {video.id: self._to_job(video) for video in self.get_videos() if video.id in wanted} if wanted else {}

    def get_recent_jobs(self, *, since: datetime) -> list[VideoJob]:
        """List the videos in one request. The vendor gives no time of creation, so ``since`` leaves none out."""
        videos, _ = lists.readable(schemas.HourOneVideo, self._list_videos(), vendor=self.vendor, endpoint=_LIST)
        return lists.read_jobs(videos, self._to_job)

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Search the list for a ``correlation_id`` that ends in the key.

        The vendor gives no time of creation, so of several matches the first in the list that has neither failed nor
        been cancelled is taken; the others are named in the log. ``request`` and ``since`` are not needed.

        :raises VideoSearchInconclusiveError: none is found, but one that cannot be read may be it, or the list may be
            cut: to say that there is none could pay for a second render.
        """
        carried = _carried(key)
        listed = self._list_videos()
        ours = [item for item in listed if _may_carry(item, carried)]
        videos, unread = lists.readable(schemas.HourOneVideo, ours, vendor=self.vendor, endpoint=_LIST)
        # One that was read may still have an id of ours in a form that was not.
        odd = [video for video in videos if video.correlation_id is None and "correlation_id" in video.model_fields_set]
        jobs = [self._to_job(video, key=key) for video in videos if video.correlation_id is not None]
        found = lists.oldest_usable(jobs, unread=len(unread) + len(odd), vendor=self.vendor, endpoint=_LIST)
        if found is None and len(listed) >= self.settings.list_complete_below:
            raise VideoSearchInconclusiveError(
                f"no video carries the key, but the list of {len(listed)} may be cut, since its paging is not "
                "documented: the one that was submitted may be beyond it. Where you know that the list of your account "
                "shows more, say how many in the connection's extra 'list_complete_below'",
                vendor=self.vendor,
                endpoint=_LIST,
            )
        return found

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Delete a job that still runs; a finished one is left alone.

        Whether a delete stops a running render or gives its cost back is not documented.
        """
        return common.cancel_by_deleting(self, job_id, self.delete_video, running=common.running_statuses(STATES))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the video with a fresh link. Subtitles are made on request: :meth:`create_subtitles`.

        :raises VideoOutputNotReadyError: the video is done, but names no link: not yet, or not on this plan.
        """
        video = self.get_video(job_id)
        field, endpoint = "download_url (a free plan cannot download)", "GET /videos/{video_id}"
        link = common.require_link(self._to_job(video), video.download_url, field, endpoint=endpoint)
        return [VideoOutput(kind="video", url=link, output_id=video.id, name=video.name)]

    def check_connection(self) -> str:
        """Ask for the videos, which costs nothing, and is what finding a job again needs."""
        return f"Hour One accepted the API key; the account shows {common.count_of(len(self.get_videos()), 'video')}."

    def verify_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        """
        Check ``x-hourone-signature``: HMAC-SHA256 of the raw body, in hex.

        Hour One signs no time and sends no id of the event, so one that was heard can be sent again for ever: it is a
        hint to poll, and nothing more. It names the video and not the key.
        """
        callbacks.check_size(body)
        signature = callbacks.read_header(headers, "x-hourone-signature")
        callbacks.check_signature(self.verifying_secret(), body, signature)
        data = callbacks.part_of(callbacks.read_document(headers, body), "data")
        return callbacks.make_hint(job_id=data.get("id"))

    def _to_job(self, video: schemas.HourOneVideo, *, key: str | None = None) -> VideoJob:
        if key is None and video.correlation_id:
            key = video.correlation_id.rsplit(_SEPARATOR, 1)[-1]
        return VideoJob(
            vendor=self.vendor,
            job_id=video.id,
            state=common.state_of(self.vendor, video.status, STATES),
            vendor_status=video.status,
            # The vendor allows -1 and does not say what it means: it is clamped to 0, never read as an error.
            progress=common.share_of(video.progress, 100),
            name=video.name,
            key=key,
            page_url=video.video_player_url,
        )

    # ------------------------------------------------------------------ endpoints

    def create_video(self, body: Mapping[str, Any]) -> schemas.HourOneVideo:
        """``POST /videos``: submit a video of ``type`` ``override``, ``create`` or ``workflow``."""
        return self.fetch(schemas.HourOneVideo, "POST", "/videos", json=dict(body), headers=self._place())

    def get_video(self, video_id: str) -> schemas.HourOneVideo:
        """``GET /videos/{video_id}``: its ``download_url`` is there once it is ready."""
        return self.fetch(schemas.HourOneVideo, "GET", "/videos/{video_id}", video_id=video_id)

    def get_videos(self) -> list[schemas.HourOneVideo]:
        """``GET /videos``: all videos of the account that can be read; no paging, filter or order is documented."""
        return lists.readable(schemas.HourOneVideo, self._list_videos(), vendor=self.vendor, endpoint=_LIST)[0]

    def _list_videos(self) -> list[Any]:
        return self.fetch(list[Any], "GET", "/videos")

    def get_video_metadata(self, video_id: str) -> schemas.HourOneVideoMetadata:
        """``GET /videos/{video_id}/metadata``: the duration of the video and of its scenes, in an unstated unit."""
        return self.fetch(schemas.HourOneVideoMetadata, "GET", "/videos/{video_id}/metadata", video_id=video_id)

    def create_subtitles(
        self, video_id: str, *, language_code: str, format: Literal["vtt", "srt"] = "vtt"
    ) -> schemas.HourOneSubtitles:
        """
        ``POST /videos/{video_id}/subtitles``: make subtitles of a video that is ready.

        :param language_code: ``en es de pt it fr nl ja tr pl hu cz he zh hi ru ko ar``.
        """
        body = {"language_code": language_code, "format": format}
        path = "/videos/{video_id}/subtitles"
        return self.fetch(schemas.HourOneSubtitles, "POST", path, video_id=video_id, json=body)

    def delete_video(self, video_id: str) -> None:
        """``DELETE /videos/{video_id}``, sent once, whatever the video's status."""
        self.fetch(None, "DELETE", "/videos/{video_id}", video_id=video_id, once=True)

    def create_voice_preview(self, *, transcript: str, source_draft_id: str) -> schemas.HourOneVoicePreview:
        """``POST /voice-preview``: speak at most 500 characters with the voice of a draft."""
        body = {"transcript": transcript, "source_draft_id": source_draft_id}
        return self.fetch(schemas.HourOneVoicePreview, "POST", "/voice-preview", json=body, headers=self._place())

    def get_voice_preview(self, task_id: str) -> schemas.HourOneVoicePreview:
        """``GET /voice-preview/{task_id}``: ``in_progress``, ``ready`` with a ``url``, or ``failed``."""
        return self.fetch(schemas.HourOneVoicePreview, "GET", "/voice-preview/{task_id}", task_id=task_id)

    def get_analytics_summary(
        self,
        *,
        breakdown: Literal["daily", "weekly", "monthly"] | None = None,
        from_date: date | None = None,
        to_date: date | None = None,
        correlation_id: str | None = None,
    ) -> list[schemas.HourOneUsage]:
        """
        ``GET /analytics/summary``: how many videos were made in each month, week or day, and their total duration.

        :param breakdown: default ``monthly``; the vendor allows a month of days, and a year of weeks or months.
        """
        params = {
            "breakdown": breakdown,
            "from_date": from_date and from_date.isoformat(),
            "to_date": to_date and to_date.isoformat(),
            "correlation_id": correlation_id,
        }
        return self.fetch(list[schemas.HourOneUsage], "GET", "/analytics/summary", params=params)

    def _place(self) -> dict[str, str]:
        headers = {"workspace-id": self.settings.workspace_id, "team-id": self.settings.team_id}
        return {name: value for name, value in headers.items() if value}


def _carried(key: str) -> str:
    """Return the form of a key in which it fits behind the separator and can be found again."""
    if len(key) > LONGEST_CORRELATION_ID or _SEPARATOR in key:
        return hashlib.sha256(key.encode()).hexdigest()
    return key


def _may_carry(item: Any, carried: str) -> bool:
    """Tell whether an item of the list is ours, or does not say that it is not."""
    if not isinstance(item, Mapping) or "correlation_id" not in item:
        return True
    own = item["correlation_id"]
    if isinstance(own, (str, int)):
        return str(own).rsplit(_SEPARATOR, 1)[-1] == carried
    return own is not None


def _correlation_id(request: Mapping[str, Any], key: str) -> str:
    """Return what to send as ``correlation_id``: the user's own, where there is one, and the key behind it."""
    key = _carried(key)
    own = request.get("correlation_id")
    if own in (None, "", key):
        return key
    combined = f"{own}{_SEPARATOR}{key}"
    if len(combined) > LONGEST_CORRELATION_ID:
        room = LONGEST_CORRELATION_ID - len(_SEPARATOR) - len(key)
        raise SubmissionKeyConflictError(
            f"Hour One's correlation_id holds {LONGEST_CORRELATION_ID} characters and must carry the submission key. "
            f"Shorten your own from {len(str(own))} to {room} characters, or move it to 'metadata'."
        )
    return combined
