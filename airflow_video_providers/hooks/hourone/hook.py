# SPDX-License-Identifier: Apache-2.0
"""
Hour One: videos with presenters, made from a source draft, a template or a workflow.

Facts come from ``hourone.gitbook.io/api-docs`` (Videos, Webhooks) and from the service's own OpenAPI document. The
vendor was bought by Wix in 2025; whether its API takes new customers is not verified.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Literal

from airflow_video_providers.api.settings import header_text
from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook, raise_if_unfinished
from airflow_video_providers.hooks.common import (
    HeaderAuth,
    cancel_by_deleting,
    id_in_path,
    not_surely_absent,
    readable,
    running_statuses,
    share_of,
    state_of,
)
from airflow_video_providers.hooks.hourone.schemas import (
    HourOneAnalyticsSummary,
    HourOneSubtitles,
    HourOneVideo,
    HourOneVideoMetadata,
    HourOneVideos,
    HourOneVoicePreview,
)
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput

log = logging.getLogger(__name__)

LONGEST_CORRELATION_ID = 100

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


class HourOneHook(VideoHook):
    """
    Hour One's API behind one Airflow connection.

    The connection's ``password`` is the API key, sent as ``api-key``; its extras ``workspace_id`` and ``team_id`` are
    sent as headers when a video is created. A job can be found again by its ``correlation_id``, so ``key_support`` is
    ``EXACT``, as far as the vendor's list shows all videos: it documents no paging.

    :param conn_id: the Airflow connection (default ``hourone_default``).
    """

    conn_type = "hourone"
    hook_name = "Hour One"
    default_conn_name = "hourone_default"
    vendor = "hourone"
    default_base_url = "https://api.makereals.com/api/v1"
    key_support: ClassVar[KeySupport] = KeySupport.EXACT

    def make_auth(self) -> HeaderAuth:
        """Return what adds the API key to a request."""
        return HeaderAuth("api-key", self.secret())

    # ------------------------------------------------------------------ jobs

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Buy one render.

        A body with ``scenes`` and neither ``type`` nor ``template_id`` is sent with ``"type": "override"``; one
        without both is the older form and passes through. The key goes into ``correlation_id``, behind the user's own.

        :raises SubmissionKeyConflictError: the user's ``correlation_id`` and the key do not fit into 100 characters.
        :raises VideoApiError: ``outcome_unknown`` tells whether a job may exist all the same.
        """
        body = dict(request)
        if "scenes" in body and "type" not in body and "template_id" not in body:
            body["type"] = "override"
        if key is not None:
            body["correlation_id"] = _correlation_id(request, key)
        return self._to_job(self.create_video(body), key=key)

    def get_job(self, job_id: str) -> VideoJob:
        """
        Look at one job.

        :raises VideoApiNotFoundError: the vendor does not know it, or no longer.
        """
        return self._to_job(self.get_video(job_id))

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """Look at many jobs with one list request; a job that the list does not show is left out."""
        wanted = set(job_ids)
        if not wanted:
            return {}
        return {video.id: self._to_job(video) for video in self.get_videos() if video.id in wanted}

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Scan the list for a ``correlation_id`` that ends in the key.

        The vendor gives no time of creation, so of several matches the first in the list that has neither failed nor
        been cancelled is taken; the others are named in the log. ``request`` and ``since`` are not needed.

        :raises VideoApiUnreadableAnswerError: none is found, but one that cannot be read may be it: to say that there
            is none could buy a second render.
        """
        carried = _carried(key)
        ours = [item for item in self._list_videos() if _may_carry(item, carried)]
        videos, unread = readable(HourOneVideo, ours, vendor=self.vendor, endpoint=_LIST)
        # One that was read may still have an id of ours in a form that was not.
        odd = [video for video in videos if video.correlation_id is None and "correlation_id" in video.model_fields_set]
        jobs = [self._to_job(video, key=key) for video in videos if video.correlation_id is not None]
        usable = [job for job in jobs if job.state not in (JobState.FAILED, JobState.CANCELLED)]
        if not usable and (unread or odd):
            raise not_surely_absent(len(unread) + len(odd), vendor=self.vendor, endpoint=_LIST)
        if not usable:
            return None
        if len(usable) > 1:
            others = ", ".join(job.job_id for job in usable[1:])
            log.warning(
                "hourone: %d videos carry the same key; taking %s, not %s", len(usable), usable[0].job_id, others
            )
        return usable[0]

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Delete a job that still runs; a finished one is left alone.

        Hour One does not say whether a delete stops a running render or gives its cost back.

        :return: the job as it was seen before the call; None where the vendor knows it no longer.
        """
        return cancel_by_deleting(self, job_id, self.delete_video, running=running_statuses(STATES))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the video with a freshly asked link. Subtitles are made on request: :meth:`create_subtitles`.

        :raises VideoApiNotFoundError: the video is gone.
        :raises VideoJobError: the video is not done, or ended without a file.
        """
        video = self.get_video(job_id)
        raise_if_unfinished(self._to_job(video))
        if not video.download_url:
            raise VideoApiUnreadableAnswerError(
                f"the video is {video.status}, but the answer names no download_url",
                vendor=self.vendor,
                endpoint="GET /videos/{video_id}",
            )
        return [VideoOutput(kind="video", url=video.download_url, output_id=video.id, name=video.name)]

    def check_connection(self) -> str:
        """Ask for the videos, which costs nothing, and is what finding a job again needs."""
        return f"Hour One accepted the API key; the account shows {len(self.get_videos())} videos."

    def _to_job(self, video: HourOneVideo, *, key: str | None = None) -> VideoJob:
        if key is None and video.correlation_id:
            key = video.correlation_id.rsplit(_SEPARATOR, 1)[-1]
        return VideoJob(
            vendor=self.vendor,
            job_id=video.id,
            state=state_of(self.vendor, video.status, STATES),
            vendor_status=video.status,
            # The vendor allows -1 and does not say what it means: it is clamped to 0, never read as an error.
            progress=share_of(video.progress, 100),
            name=video.name,
            key=key,
            page_url=video.video_player_url,
        )

    # ------------------------------------------------------------------ endpoints: videos

    def create_video(self, body: Mapping[str, Any]) -> HourOneVideo:
        """
        ``POST /videos``: buy a video of ``type`` ``override``, ``create`` or ``workflow``, or in the older form.

        The connection's ``workspace_id`` and ``team_id`` go along as headers.
        """
        headers = {}
        for extra, header in (("workspace_id", "workspace-id"), ("team_id", "team-id")):
            what = f"Extra {extra!r} of connection {self.conn_id!r}"
            if value := header_text(self.extras.get(extra) or "", what=what):
                headers[header] = value
        endpoint = "POST /videos"
        answer = self.client.call_json("POST", "/videos", endpoint=endpoint, json=dict(body), headers=headers)
        return self.client.parse(HourOneVideo, answer, endpoint=endpoint, outcome_unknown=True)

    def get_video(self, video_id: str) -> HourOneVideo:
        """``GET /videos/{video_id}``: its ``download_url`` is there once it is ready."""
        endpoint = "GET /videos/{video_id}"
        answer = self.client.get_json(f"/videos/{id_in_path(video_id)}", endpoint=endpoint)
        return self.client.parse(HourOneVideo, answer, endpoint=endpoint)

    def get_videos(self) -> list[HourOneVideo]:
        """``GET /videos``: all videos of the account that can be read; no paging, filter or order is documented."""
        return readable(HourOneVideo, self._list_videos(), vendor=self.vendor, endpoint=_LIST)[0]

    def _list_videos(self) -> list[Any]:
        return self.client.parse(HourOneVideos, self.client.get_json("/videos", endpoint=_LIST), endpoint=_LIST).root

    def get_video_metadata(self, video_id: str) -> HourOneVideoMetadata:
        """``GET /videos/{video_id}/metadata``: the duration of the video and of its scenes, in an unstated unit."""
        endpoint = "GET /videos/{video_id}/metadata"
        answer = self.client.get_json(f"/videos/{id_in_path(video_id)}/metadata", endpoint=endpoint)
        return self.client.parse(HourOneVideoMetadata, answer, endpoint=endpoint)

    def create_subtitles(
        self, video_id: str, *, language_code: str, format: Literal["vtt", "srt"] = "vtt"
    ) -> HourOneSubtitles:
        """
        ``POST /videos/{video_id}/subtitles``: make subtitles of a video that is ready.

        :param language_code: ``en es de pt it fr nl ja tr pl hu cz he zh hi ru ko ar``.
        """
        endpoint = "POST /videos/{video_id}/subtitles"
        answer = self.client.call_json(
            "POST",
            f"/videos/{id_in_path(video_id)}/subtitles",
            endpoint=endpoint,
            json={"language_code": language_code, "format": format},
        )
        return self.client.parse(HourOneSubtitles, answer, endpoint=endpoint, outcome_unknown=True)

    def delete_video(self, video_id: str) -> None:
        """``DELETE /videos/{video_id}``, sent once, whatever the video's status."""
        self.client.call("DELETE", f"/videos/{id_in_path(video_id)}", endpoint="DELETE /videos/{video_id}", once=True)

    # ------------------------------------------------------------------ endpoints: voices and numbers

    def create_voice_preview(self, *, transcript: str, source_draft_id: str) -> HourOneVoicePreview:
        """``POST /voice-preview``: speak at most 500 characters with the voice of a draft."""
        endpoint = "POST /voice-preview"
        body = {"transcript": transcript, "source_draft_id": source_draft_id}
        answer = self.client.call_json("POST", "/voice-preview", endpoint=endpoint, json=body)
        return self.client.parse(HourOneVoicePreview, answer, endpoint=endpoint, outcome_unknown=True)

    def get_voice_preview(self, task_id: str) -> HourOneVoicePreview:
        """``GET /voice-preview/{task_id}``: ``in_progress``, ``ready`` with a ``url``, or ``failed``."""
        endpoint = "GET /voice-preview/{task_id}"
        answer = self.client.get_json(f"/voice-preview/{id_in_path(task_id)}", endpoint=endpoint)
        return self.client.parse(HourOneVoicePreview, answer, endpoint=endpoint)

    def get_analytics_summary(
        self,
        *,
        breakdown: Literal["daily", "weekly", "monthly"] | None = None,
        from_date: date | None = None,
        to_date: date | None = None,
        correlation_id: str | None = None,
    ) -> HourOneAnalyticsSummary:
        """``GET /analytics/summary``: how many videos were made, and their total duration."""
        endpoint = "GET /analytics/summary"
        params = {
            "breakdown": breakdown,
            "from_date": from_date and from_date.isoformat(),
            "to_date": to_date and to_date.isoformat(),
            "correlation_id": correlation_id,
        }
        answer = self.client.get_json(
            "/analytics/summary", endpoint=endpoint, params={k: v for k, v in params.items() if v is not None}
        )
        return self.client.parse(HourOneAnalyticsSummary, answer, endpoint=endpoint)


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
