# SPDX-License-Identifier: Apache-2.0
"""
Colossyan: videos with avatars, made from a full definition or from a template.

Facts come from ``docs.colossyan.com`` (Video Generation, Assets, Experimental). A job and its video have ids of their
own: the job is polled, the finished file belongs to the video.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook, raise_if_unfinished
from airflow_video_providers.hooks.colossyan.schemas import (
    ColossyanActor,
    ColossyanActors,
    ColossyanCreatedActor,
    ColossyanCreatedJob,
    ColossyanDeleted,
    ColossyanDraft,
    ColossyanJob,
    ColossyanVideo,
)
from airflow_video_providers.hooks.common import (
    HeaderAuth,
    cancel_by_deleting,
    id_in_path,
    running_statuses,
    share_of,
    state_of,
)
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput

KEY_FIELD = "airflow_submission_key"
"""The name in ``callbackPayload`` under which the submission key travels, and comes back in the call-back."""

RESERVED_PAYLOAD_NAMES = frozenset({"url", "videoUrl", "shareUrl", "status"})
"""What the call-back itself says at the level where ``callbackPayload`` is merged in."""

STATES = {
    "in_queue": JobState.QUEUED,
    "preprocessing": JobState.RUNNING,
    "preprocessing_finished": JobState.RUNNING,
    "generating": JobState.RUNNING,
    "finished": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "deleted": JobState.CANCELLED,
}


class ColossyanHook(VideoHook):
    """
    Colossyan's API behind one Airflow connection.

    The connection's ``password`` is the token of one workspace (plans Business and Enterprise); it is sent as
    ``Authorization: Bearer``. Colossyan lists no jobs and takes no idempotency key, so a job whose creation was not
    answered cannot be found again: ``key_support`` is ``NONE``.

    :param conn_id: the Airflow connection (default ``colossyan_default``).
    """

    conn_type = "colossyan"
    hook_name = "Colossyan"
    default_conn_name = "colossyan_default"
    vendor = "colossyan"
    default_base_url = "https://app.colossyan.com/api/v1"
    key_support: ClassVar[KeySupport] = KeySupport.NONE

    def make_auth(self) -> HeaderAuth:
        """Return what adds the token to a request."""
        return HeaderAuth("Authorization", f"Bearer {self.secret()}")

    # ------------------------------------------------------------------ jobs

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Buy one render.

        A body with ``templateJobId`` makes a video from a template, one with ``videoCreative`` from a definition. The
        key goes into ``callbackPayload``, beside what the user has there.

        :raises VideoConfigurationError: the body is neither, its ``callbackPayload`` uses a name of the call-back, or
            the call-back's address has the name that the other kind of job gives it.
        :raises SubmissionKeyConflictError: ``callbackPayload`` is no object, or holds another key already.
        :raises VideoApiError: ``outcome_unknown`` tells whether a job may exist all the same.
        """
        from_template = "templateJobId" in request
        if from_template == ("videoCreative" in request):
            raise VideoConfigurationError(
                "A Colossyan request needs either 'videoCreative' (a full definition) or 'templateJobId' with "
                f"'dynamicVariables' (a template job), not {'both' if from_template else 'neither'}."
            )
        body = dict(request)
        payload = _callback_payload(request, key)
        if payload is not None:
            body["callbackPayload"] = payload
        created = self.create_template_job(body) if from_template else self.create_video_generation_job(body)
        return VideoJob(
            vendor=self.vendor,
            job_id=created.id,
            state=JobState.QUEUED,
            vendor_status="in_queue",
            name=_name(request.get("videoCreative")),
            key=key,
        )

    def get_job(self, job_id: str) -> VideoJob:
        """
        Look at one job.

        :raises VideoApiNotFoundError: the vendor does not know it, or no longer.
        """
        return self._to_job(job_id, self.get_video_generation_job(job_id))

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Delete a job that still runs; a finished one is left alone.

        Colossyan does not say whether a delete stops a running render or gives its minutes back.

        :return: the job as it was seen before the call; None where the vendor knows it no longer.
        """
        return cancel_by_deleting(self, job_id, self.delete_video_generation_job, running=running_statuses(STATES))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the video, its thumbnail and its subtitles (WebVTT, inline), freshly asked for.

        :raises VideoApiNotFoundError: the job or its video is gone.
        :raises VideoJobError: the job is not done, or ended without a video.
        """
        job = self.get_video_generation_job(job_id)
        raise_if_unfinished(self._to_job(job_id, job))
        video = self.get_generated_video(self._present(job.videoId, "videoId", "GET /video-generation-jobs/{id}"))
        shared = {"output_id": video.id or job.videoId, "name": video.name}
        outputs = [
            VideoOutput(
                kind="video",
                url=self._present(video.publicUrl, "publicUrl", "GET /generated-videos/{videoId}"),
                size=video.videoSizeBytes,
                duration_seconds=video.videoDurationSeconds,
                **shared,
            )
        ]
        if video.thumbnailUrl:
            outputs.append(VideoOutput(kind="thumbnail", url=video.thumbnailUrl, **shared))
        if video.vttSubtitleString:
            outputs.append(
                VideoOutput(kind="subtitles", content=video.vttSubtitleString, media_type="text/vtt", **shared)
            )
        return outputs

    def check_connection(self) -> str:
        """Ask for the avatars, which costs nothing."""
        return f"Colossyan accepted the token; its workspace shows {len(self.get_actors())} avatars."

    def _to_job(self, job_id: str, job: ColossyanJob) -> VideoJob:
        key = (job.callbackPayload or {}).get(KEY_FIELD)
        return VideoJob(
            vendor=self.vendor,
            job_id=job_id,
            state=state_of(self.vendor, job.status, STATES),
            vendor_status=job.status,
            progress=share_of(job.progress, job.maximumProgress),
            name=_name(job.videoCreative),
            key=key if isinstance(key, str) else None,
            created_at=job.creationDate,
        )

    def _present(self, value: str | None, name: str, endpoint: str) -> str:
        if not value:
            raise VideoApiUnreadableAnswerError(
                f"the job is finished, but the answer names no {name}", vendor=self.vendor, endpoint=endpoint
            )
        return value

    # ------------------------------------------------------------------ endpoints

    def create_video_generation_job(self, body: Mapping[str, Any]) -> ColossyanCreatedJob:
        """``POST /video-generation-jobs``: buy a video from a full definition (the editor can export one)."""
        return self._create("/video-generation-jobs", body, not_known="callbackUrl", but="callback")

    def create_template_job(self, body: Mapping[str, Any]) -> ColossyanCreatedJob:
        """``POST /video-generation-jobs/template-jobs``: buy a video from ``templateJobId`` and variables."""
        return self._create("/video-generation-jobs/template-jobs", body, not_known="callback", but="callbackUrl")

    def _create(self, path: str, body: Mapping[str, Any], *, not_known: str, but: str) -> ColossyanCreatedJob:
        if not_known in body:
            raise VideoConfigurationError(
                f"POST {path} knows no {not_known!r}: Colossyan spells the address of the call-back {but!r} there. "
                "With the other name the call-back would never come."
            )
        endpoint = f"POST {path}"
        answer = self.client.call_json("POST", path, endpoint=endpoint, json=dict(body))
        return self.client.parse(ColossyanCreatedJob, answer, endpoint=endpoint, outcome_unknown=True)

    def get_video_generation_job(self, job_id: str) -> ColossyanJob:
        """``GET /video-generation-jobs/{id}``; the vendor's page calls the id ``videoId``, but it is the job's."""
        endpoint = "GET /video-generation-jobs/{id}"
        answer = self.client.get_json(f"/video-generation-jobs/{id_in_path(job_id)}", endpoint=endpoint)
        return self.client.parse(ColossyanJob, answer, endpoint=endpoint)

    def delete_video_generation_job(self, job_id: str) -> ColossyanDeleted:
        """``DELETE /video-generation-jobs/{id}``, sent once, whatever the job's status."""
        return self._delete("/video-generation-jobs/{id}", job_id)

    def get_generated_video(self, video_id: str) -> ColossyanVideo:
        """``GET /generated-videos/{videoId}``: the finished video, by the id that its job names."""
        endpoint = "GET /generated-videos/{videoId}"
        answer = self.client.get_json(f"/generated-videos/{id_in_path(video_id)}", endpoint=endpoint)
        return self.client.parse(ColossyanVideo, answer, endpoint=endpoint)

    def delete_generated_video(self, video_id: str) -> ColossyanDeleted:
        """``DELETE /generated-videos/{videoId}``, sent once: remove a finished video and its files."""
        return self._delete("/generated-videos/{videoId}", video_id)

    def _delete(self, pattern: str, vendor_id: str) -> ColossyanDeleted:
        endpoint = f"DELETE {pattern}"
        path = f"{pattern.rsplit('/', 1)[0]}/{id_in_path(vendor_id)}"
        answer = self.client.call_json("DELETE", path, endpoint=endpoint, once=True)
        return self.client.parse(ColossyanDeleted, answer or {}, endpoint=endpoint)

    def get_actors(self) -> list[ColossyanActor]:
        """``GET /assets/actors``: the avatars that the workspace can use."""
        endpoint = "GET /assets/actors"
        answer = self.client.get_json("/assets/actors", endpoint=endpoint)
        return self.client.parse(ColossyanActors, answer, endpoint=endpoint).root

    def create_actor(self, *, display_name: str, source_file_url: str, gender: str | None = None) -> str:
        """
        ``POST /assets/actors``: make an avatar from a picture or a video.

        :param source_file_url: where Colossyan fetches the picture or video.
        :param gender: ``Male`` or ``Female``.
        :return: the avatar's name, for the ``actor`` of a track.
        """
        endpoint = "POST /assets/actors"
        body = {"displayName": display_name, "sourceFileUrl": source_file_url}
        if gender is not None:
            body["gender"] = gender
        answer = self.client.call_json("POST", "/assets/actors", endpoint=endpoint, json=body)
        return self.client.parse(ColossyanCreatedActor, answer, endpoint=endpoint, outcome_unknown=True).name

    def get_voices(self) -> Any:
        """``GET /assets/voices``: the voices of the workspace, as the vendor gives them; the form is not verified."""
        return self.client.get_json("/assets/voices", endpoint="GET /assets/voices")

    def generate_draft(self, summary: Mapping[str, Any], *, template_id: str | None = None) -> str:
        """
        ``POST /knowledge-to-draft/generate-draft`` (experimental): make a draft that a person edits; no video.

        It lives beside the stable API, at its base URL without ``/v1``.

        :param summary: ``title``, ``description`` and ``chapters`` (``title``, ``script``, ``searchTerms``).
        :return: the address of the draft in Colossyan's editor.
        """
        endpoint = "POST /knowledge-to-draft/generate-draft"
        base_url = self.base_url.rstrip("/")
        if not base_url.endswith("/v1"):
            raise VideoConfigurationError(
                f"Drafts are made at the base URL without its trailing /v1, but {base_url!r} does not end so."
            )
        body: dict[str, Any] = {"summary": dict(summary)}
        if template_id is not None:
            body["templateId"] = template_id
        url = f"{base_url.removesuffix('/v1')}/knowledge-to-draft/generate-draft"
        answer = self.client.call_json("POST", url, endpoint=endpoint, json=body)
        return self.client.parse(ColossyanDraft, answer, endpoint=endpoint, outcome_unknown=True).url


def _callback_payload(request: Mapping[str, Any], key: str | None) -> dict[str, Any] | None:
    """Return what to send as ``callbackPayload``: the user's object and the key; None where there is neither."""
    payload = request.get("callbackPayload")
    if payload is None:
        return None if key is None else {KEY_FIELD: key}
    if not isinstance(payload, Mapping):
        raise SubmissionKeyConflictError(
            "Colossyan's callbackPayload must be an object: the submission key goes into it beside your own fields."
        )
    if taken := RESERVED_PAYLOAD_NAMES.intersection(payload):
        raise VideoConfigurationError(
            f"callbackPayload must not hold {', '.join(sorted(taken))}: Colossyan's call-back uses these names itself."
        )
    if key is None:
        return dict(payload)
    if payload.get(KEY_FIELD, key) != key:
        raise SubmissionKeyConflictError(
            f"callbackPayload already holds {KEY_FIELD!r}; leave that name to the submission key."
        )
    return {**payload, KEY_FIELD: key}


def _name(creative: Any) -> str | None:
    settings = creative.get("settings") if isinstance(creative, Mapping) else None
    name = settings.get("name") if isinstance(settings, Mapping) else None
    return name if isinstance(name, str) else None
