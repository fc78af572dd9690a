# SPDX-License-Identifier: Apache-2.0
"""
Colossyan: videos with avatars, made from a full definition or from a template.

Facts come from ``docs.colossyan.com`` (Video Generation, Assets, Experimental). A job and its video have ids of their
own: the job is polled, the finished file belongs to the video.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks import callbacks, common
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.colossyan import schemas
from airflow_video_providers.hooks.colossyan.requests import ColossyanDefinitionRequest, ColossyanTemplateRequest
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.jobs import CallbackHint, JobState, VideoJob, VideoOutput

KEY_FIELD = "airflow_submission_key"
"""The name in ``callbackPayload`` under which the submission key is sent, and comes back in the callback."""

TOKEN_FIELD = "airflow_callback_token"
"""The name in ``callbackPayload`` under which a callback proves that it belongs to the key."""

RESERVED_NAMES = frozenset({"url", "videoUrl", "shareUrl", "status"})
"""Fields of the callback itself, into whose body ``callbackPayload`` and ``dynamicVariables`` are merged."""

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

    The connection's ``password`` is the token of one workspace (plans Business and Enterprise), sent as
    ``Authorization: Bearer``. Colossyan lists no jobs and takes no idempotency key, so a job whose
    response was lost cannot be found again: ``key_support`` is ``NONE``.

    :param conn_id: the Airflow connection (default ``colossyan_default``).
    """

    conn_type = "colossyan"
    hook_name = "Colossyan"
    default_base_url = "https://app.colossyan.com/api/v1"

    def make_auth(self) -> common.HeaderAuth:
        """Return what adds the token to a request."""
        return common.HeaderAuth("Authorization", f"Bearer {self.secret()}")

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return ColossyanTemplateRequest if "templateJobId" in request else ColossyanDefinitionRequest

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Submit one render: from a template (``templateJobId``) or from a full definition (``videoCreative``).

        The key goes into ``callbackPayload``, beside the user's own fields.

        :raises VideoConfigurationError: the body is neither or both, gives the callback's URL the name that the other
            kind of job has for it, or sends the callback a name that it uses itself.
        :raises SubmissionKeyConflictError: ``callbackPayload`` is no object, or the key's name is taken.
        """
        from_template = "templateJobId" in request
        if from_template == ("videoCreative" in request):
            raise VideoConfigurationError(
                "A Colossyan request needs either 'videoCreative' (a full definition) or 'templateJobId' with "
                f"'dynamicVariables' (a template job), not {'both' if from_template else 'neither'}."
            )
        payload = _callback_payload(request, key)
        body = {**request, "callbackPayload": payload} if payload else request
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
        """Poll one job."""
        return self._to_job(job_id, self.get_video_generation_job(job_id))

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Stop a job that still runs by deleting it; a finished one is left alone.

        Whether the minutes of a stopped render are given back is not documented.
        """
        return common.cancel_by_deleting(
            self, job_id, self.delete_video_generation_job, running=common.running_statuses(STATES)
        )

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """Return the video, its thumbnail and its subtitles (WebVTT, inline), with fresh links."""
        found = self.get_video_generation_job(job_id)
        job = self._to_job(job_id, found)
        video_id = common.require_link(job, found.videoId, "videoId", endpoint="GET /video-generation-jobs/{id}")
        video = self.get_generated_video(video_id)
        link = common.require_link(job, video.publicUrl, "publicUrl", endpoint="GET /generated-videos/{videoId}")
        shared: dict[str, Any] = {"output_id": video.id or video_id, "name": video.name}
        told = {"size": video.videoSizeBytes, "duration_seconds": video.videoDurationSeconds}
        outputs = [VideoOutput(kind="video", url=link, **told, **shared)]
        if video.thumbnailUrl:
            outputs.append(VideoOutput(kind="thumbnail", url=video.thumbnailUrl, **shared))
        if text := video.vttSubtitleString:
            outputs.append(VideoOutput(kind="subtitles", content=text, media_type="text/vtt", **shared))
        return outputs

    # ------------------------------------------------------------------ callbacks

    def callback_url(self, base_url: str, key: str | None = None) -> str:
        """Return the address for callbacks, without a token: that is in ``callbackPayload``."""
        return callbacks.make_address(base_url, conn_id=self.conn_id)

    def callback_request(self, request: Mapping[str, Any], *, url: str, key: str) -> dict[str, Any]:
        """
        Return the request with ``callback``, or ``callbackUrl`` for a template, and a token in ``callbackPayload``.

        Colossyan signs nothing. It gives ``callbackPayload`` back in the callback, so the key goes there with an
        HMAC-SHA256 of connection and key, which no one else can make.

        :raises VideoConfigurationError: the request fills one of the two fields already, or uses a name of ours.
        :raises SubmissionKeyConflictError: ``callbackPayload`` is no object, or the key's name is taken.
        """
        for name in ("callback", "callbackUrl"):
            callbacks.fill_field(request, name, url, vendor=self.hook_name)
        field = "callbackUrl" if "templateJobId" in request else "callback"
        body = {name: value for name, value in request.items() if name not in ("callback", "callbackUrl")}
        payload = _callback_payload({**body, field: url}, key)
        variables = request.get("dynamicVariables")
        if TOKEN_FIELD in payload or (isinstance(variables, Mapping) and TOKEN_FIELD in variables):
            raise VideoConfigurationError(f"The request already holds {TOKEN_FIELD!r}; leave that name free.")
        token = callbacks.make_token(self.callback_secret(), conn_id=self.conn_id, key=key)
        return {**body, field: url, "callbackPayload": {**payload, TOKEN_FIELD: token}}

    def verify_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        """
        Check the token that was sent in ``callbackPayload``; its names are at the top of the body.

        The body names no job. Its three links may hold the id of the job or of the video: no page says what is in
        them, so that these ids are candidates, and :meth:`job_id_of` asks.

        :raises VideoCallbackRefusedError: it is forged, of another connection or key, too long or cannot be read.
        """
        document = callbacks.read_document(headers, body)
        links = (document.get(name) for name in ("url", "videoUrl", "shareUrl"))
        hint = callbacks.make_hint(key=document.get(KEY_FIELD), links=links)
        token = document.get(TOKEN_FIELD)
        if hint.key is None or not isinstance(token, str):
            raise callbacks.forged()
        callbacks.check_token(self.verifying_secret(), token, conn_id=self.conn_id, key=hint.key)
        return hint

    def job_id_of(self, candidate: str) -> str:
        """Return the job of a generated video with this id, which ``GET /generated-videos/{videoId}`` names."""
        try:
            return self.get_generated_video(candidate).jobId or candidate
        except (VideoApiNotFoundError, VideoApiInvalidRequestError):
            return candidate

    def check_connection(self) -> str:
        """Ask for the avatars, which costs nothing."""
        return f"Colossyan accepted the token; its workspace shows {common.count_of(len(self.get_actors()), 'avatar')}."

    def _to_job(self, job_id: str, job: schemas.ColossyanJob) -> VideoJob:
        key = (job.callbackPayload or {}).get(KEY_FIELD)
        return VideoJob(
            vendor=self.vendor,
            job_id=job_id,
            state=common.state_of(self.vendor, job.status, STATES),
            vendor_status=job.status,
            progress=common.share_of(job.progress, job.maximumProgress),
            name=_name(job.videoCreative),
            key=key if isinstance(key, str) else None,
            created_at=job.creationDate,
        )

    # ------------------------------------------------------------------ endpoints

    def create_video_generation_job(self, body: Mapping[str, Any]) -> schemas.ColossyanCreatedJob:
        """``POST /video-generation-jobs``: submit a full definition (the editor can export one)."""
        _check_name_of_url(body, wrong="callbackUrl", right="callback")
        return self.fetch(schemas.ColossyanCreatedJob, "POST", "/video-generation-jobs", json=dict(body))

    def create_template_job(self, body: Mapping[str, Any]) -> schemas.ColossyanCreatedJob:
        """``POST /video-generation-jobs/template-jobs``: submit ``templateJobId`` and ``dynamicVariables``."""
        _check_name_of_url(body, wrong="callback", right="callbackUrl")
        return self.fetch(schemas.ColossyanCreatedJob, "POST", "/video-generation-jobs/template-jobs", json=dict(body))

    def get_video_generation_job(self, job_id: str) -> schemas.ColossyanJob:
        """``GET /video-generation-jobs/{id}``; the vendor's page calls the id ``videoId``, but it is the job's."""
        return self.fetch(schemas.ColossyanJob, "GET", "/video-generation-jobs/{id}", id=job_id)

    def delete_video_generation_job(self, job_id: str) -> schemas.ColossyanDeleted:
        """``DELETE /video-generation-jobs/{id}``, sent once: stop the job, whatever its status."""
        return self.fetch(schemas.ColossyanDeleted, "DELETE", "/video-generation-jobs/{id}", id=job_id, once=True)

    def get_generated_video(self, video_id: str) -> schemas.ColossyanVideo:
        """``GET /generated-videos/{videoId}``: the finished video, by the id that its job names."""
        return self.fetch(schemas.ColossyanVideo, "GET", "/generated-videos/{videoId}", videoId=video_id)

    def delete_generated_video(self, video_id: str) -> schemas.ColossyanDeleted:
        """``DELETE /generated-videos/{videoId}``, sent once: remove a finished video and its files."""
        return self.fetch(
            schemas.ColossyanDeleted, "DELETE", "/generated-videos/{videoId}", videoId=video_id, once=True
        )

    def get_actors(self) -> list[schemas.ColossyanActor]:
        """``GET /assets/actors``: the avatars that the workspace can use."""
        return self.fetch(list[schemas.ColossyanActor], "GET", "/assets/actors")

    def create_actor(self, *, display_name: str, source_file_url: str, gender: str | None = None) -> str:
        """
        ``POST /assets/actors``: make an avatar of a picture or a video; return its name, for a track's ``actor``.

        :param source_file_url: where Colossyan fetches the picture or video.
        :param gender: ``Male`` or ``Female``.
        """
        body = {"displayName": display_name, "sourceFileUrl": source_file_url, "gender": gender}
        body = {name: value for name, value in body.items() if value is not None}
        return self.fetch(schemas.ColossyanActor, "POST", "/assets/actors", json=body).name

    def get_voices(self) -> Any:
        """``GET /assets/voices``: the voices of the workspace, as the vendor gives them; the form is not verified."""
        return self.fetch(object, "GET", "/assets/voices")

    def generate_draft(self, summary: Mapping[str, Any], *, template_id: str | None = None) -> str:
        """
        ``POST /knowledge-to-draft/generate-draft`` (experimental): make a draft for people to edit; return its URL.

        It lives beside the stable API, at its base URL without ``/v1``.

        :param summary: ``title``, ``description`` and ``chapters`` (``title``, ``script``, ``searchTerms``).
        """
        base_url = self.base_url.rstrip("/")
        if not base_url.endswith("/v1"):
            raise VideoConfigurationError(f"Drafts need a base URL that ends in /v1, unlike {base_url!r}.")
        body = {"summary": dict(summary), **({"templateId": template_id} if template_id is not None else {})}
        url = f"{base_url.removesuffix('/v1')}/knowledge-to-draft/generate-draft"
        return self.fetch(str, "POST", url, envelope="url", json=body)


def _check_name_of_url(body: Mapping[str, Any], *, wrong: str, right: str) -> None:
    if wrong in body:
        raise VideoConfigurationError(
            f"This kind of Colossyan job has no {wrong!r}: the callback's URL is {right!r} there. Nothing was sent."
        )


def _callback_payload(request: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """Return the ``callbackPayload`` to send: the user's object and the key; empty where there is neither."""
    payload = request.get("callbackPayload")
    variables = request.get("dynamicVariables")
    variables = variables if isinstance(variables, Mapping) else {}
    if payload is not None and not isinstance(payload, Mapping):
        raise SubmissionKeyConflictError(
            "Colossyan's callbackPayload must be an object: the submission key goes into it beside your own fields."
        )
    merged = {**({} if payload is None else payload)}
    has_callback = bool(request.get("callback") or request.get("callbackUrl"))
    if taken := RESERVED_NAMES.intersection([*merged, *(variables if has_callback else ())]):
        raise VideoConfigurationError(
            f"callbackPayload and dynamicVariables must not hold {', '.join(sorted(taken))}: Colossyan merges them "
            "into the body of its callback, which uses these names itself."
        )
    if key is None:
        return merged
    if KEY_FIELD in variables or merged.get(KEY_FIELD, key) != key:
        raise SubmissionKeyConflictError(
            f"The request already holds {KEY_FIELD!r}; leave that name to the submission key."
        )
    return {**merged, KEY_FIELD: key}


def _name(creative: Any) -> str | None:
    settings = creative.get("settings") if isinstance(creative, Mapping) else None
    name = settings.get("name") if isinstance(settings, Mapping) else None
    return name if isinstance(name, str) else None
