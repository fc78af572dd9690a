# SPDX-License-Identifier: Apache-2.0
"""
Shotstack: videos from a timeline, or from a template with merge fields.

Facts come from the vendor's OpenAPI definition, its pages on limitations and webhooks, and its command line client.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, BinaryIO, ClassVar

from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiNotFoundError,
    VideoConfigurationError,
    VideoOutputNotReadyError,
)
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.common import HeaderAuth, count_of, path_of, require_link, state_of
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.shotstack.requests import ShotstackEditRequest, ShotstackTemplateRequest
from airflow_video_providers.hooks.shotstack.schemas import (
    ShotstackAsset,
    ShotstackQueued,
    ShotstackRender,
    ShotstackSource,
)
from airflow_video_providers.hooks.uploads import put_stream, refuse_options
from airflow_video_providers.jobs import JobError, JobState, OutputKind, VideoJob, VideoOutput

STATES = {
    "queued": JobState.QUEUED,
    "fetching": JobState.RUNNING,
    "rendering": JobState.RUNNING,
    "saving": JobState.RUNNING,
    "done": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
}
ENVIRONMENTS = ("v1", "stage")

FILE_LIFE = timedelta(hours=23)
"""For how long after the end of a render its own links are used: the vendor deletes those files after 24 hours."""

_KINDS: dict[str, OutputKind] = {
    ".jpg": "image", ".jpeg": "image", ".png": "image", ".bmp": "image", ".gif": "image", ".mp3": "audio",
}  # fmt: skip
_UPLOAD_PAUSE, _UPLOAD_SECONDS = 2.0, 600.0


class ShotstackHook(VideoHook):
    """
    Shotstack's APIs (Edit, Serve, Ingest) behind one Airflow connection.

    The connection's ``password`` is the API key of one environment, sent as ``x-api-key``; the extra ``environment``
    is ``v1`` (default) or ``stage``. Shotstack lists no renders and takes no idempotency key, so a render whose
    response was lost cannot be found again: ``key_support`` is ``NONE``. It documents no way to cancel one.

    :param conn_id: the Airflow connection (default ``shotstack_default``).
    """

    conn_type = "shotstack"
    hook_name = "Shotstack"
    default_base_url = "https://api.shotstack.io"
    requests_per_second: ClassVar[float] = 5.0  # 300 a minute for a key, half of that in the sandbox
    burst = 10
    rate_window = 60.0

    def request_rate(self) -> float:
        """Return 5 requests a second, in the sandbox 2.5."""
        return self.requests_per_second / (2 if self.extras.get("environment") == ENVIRONMENTS[1] else 1)

    def make_auth(self) -> HeaderAuth:
        """Return what adds the key to a request."""
        return HeaderAuth("x-api-key", self.secret())

    def parse_error(self, body: Any) -> VendorError:
        """
        Read Shotstack's error form: ``message``, and ``response`` as a text or with an ``error`` in it.

        ``Forbidden`` alone is what the gateway before the API says of a wrong key.
        """
        if not isinstance(body, Mapping) or "response" not in body:
            error = parse_error(body)
            return replace(error, cause=VideoApiAuthenticationError) if error.message == "Forbidden" else error
        response, message = body.get("response"), str(body.get("message") or "")
        inner = response.get("error") or response.get("message") if isinstance(response, Mapping) else response
        return VendorError(message=": ".join(part for part in (message, str(inner or "")) if part) or str(body))

    @property
    def environment(self) -> str:
        """
        The environment of the connection.

        :raises VideoConfigurationError: it is neither ``v1`` nor ``stage``.
        """
        environment = self.extras.get("environment") or ENVIRONMENTS[0]
        if environment not in ENVIRONMENTS:
            raise VideoConfigurationError(
                f"The environment of connection {self.conn_id!r} must be v1 or stage, not {environment!r}."
            )
        return str(environment)

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return ShotstackTemplateRequest if "id" in request else ShotstackEditRequest

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Create one render: of a ``timeline``, or of a template by its ``id``.

        Shotstack gives no field of ours back. Where the request has a ``callback``, the key goes into its query, as
        ``airflow_submission_key``.

        :raises VideoConfigurationError: the body is neither, or a template with a ``callback``, which Shotstack does
            not know there: it belongs into the template.
        :raises SubmissionKeyConflictError: the query of ``callback`` holds another key already.
        """
        from_template = "id" in request
        if from_template == ("timeline" in request):
            raise VideoConfigurationError(
                "A Shotstack request needs either 'timeline' with 'output' or the 'id' of a template, not "
                f"{'both' if from_template else 'neither'}."
            )
        if from_template and "callback" in request:
            raise VideoConfigurationError(
                "Shotstack documents no 'callback' beside the 'id' of a template: put it into the template."
            )
        body = dict(request)
        if key is not None and "callback" in body:
            body["callback"] = callbacks.with_key(body["callback"], key, field="callback")
        created = self.render_template(body) if from_template else self.render(body)
        return VideoJob(vendor=self.vendor, job_id=created.id, state=JobState.QUEUED, vendor_status="queued", key=key)

    def get_job(self, job_id: str) -> VideoJob:
        """Poll one render. The vendor tells no progress."""
        return self._to_job(self.get_render(job_id))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the file of a finished render, its poster and its thumbnail where the request asked for them.

        Within 23 hours the links are the render's own; later they are those of the vendor's hosting (Serve API).

        :raises VideoApiNotFoundError: the render is gone, or its files are neither there nor hosted any more.
        """
        render = self._finished(job_id)
        ended = render.updated or render.created
        if ended is None or datetime.now(timezone.utc) - ended < FILE_LIFE:
            return self._outputs(render, dict(render.links()))
        return self._hosted(render)

    def refresh_output(self, job_id: str, output: VideoOutput) -> VideoOutput:
        """
        Return the same output with the link of the vendor's hosting: a render's own link is never given anew.

        :raises VideoApiNotFoundError: the vendor does not host it, or no longer.
        """
        for fresh in self._hosted(self._finished(job_id)):
            if fresh.identity == output.identity:
                return fresh
        raise VideoApiNotFoundError(
            f"render {job_id} has no hosted {output.label or output.kind}", vendor=self.vendor, endpoint="outputs"
        )

    def upload_media(
        self, stream: BinaryIO, *, name: str, size: int, media_type: str | None = None, **options: Any
    ) -> str:
        """Upload a source (Ingest API), wait until the vendor has taken it in, and return its link for a timeline."""
        refuse_options(self.hook_name, options)
        upload = self.create_upload()
        if not upload.url:
            raise VideoConfigurationError(f"Shotstack gave upload {upload.id} no link to send the file to.")
        put_stream(self.client, upload.url, stream=stream, size=size)
        deadline = time.monotonic() + _UPLOAD_SECONDS
        while True:
            source = self.get_source(upload.id)
            if source.status == "ready" and source.source:
                return source.source
            if source.status in ("failed", "deleted") or time.monotonic() >= deadline:
                raise VideoConfigurationError(f"Shotstack has not taken in upload {upload.id}: it is {source.status}.")
            time.sleep(_UPLOAD_PAUSE)

    def callback_request(self, request: Mapping[str, Any], *, url: str, key: str) -> dict[str, Any]:
        """
        Return the request with ``callback``. Shotstack signs nothing, so the address carries a token of ours.

        :raises VideoConfigurationError: Shotstack documents no ``callback`` beside the ``id`` of a template, or the
            request fills it already.
        """
        if "id" in request:
            raise VideoConfigurationError(
                "Shotstack documents no 'callback' beside the 'id' of a template: give the 'timeline' itself, or wait "
                "without a callback. Nothing was sent."
            )
        return callbacks.fill_field(request, "callback", url, vendor=self.hook_name)

    def callback_job_id(self, document: Mapping[str, Any]) -> Any:
        """Return the render's id: ``id`` of a render, ``render`` of a file that the vendor hosts."""
        return document.get("render" if document.get("type") == "serve" else "id")

    def check_connection(self) -> str:
        """Ask for the templates, which costs nothing."""
        templates = count_of(len(self.get_templates()), "template")
        return f"Shotstack accepted the key for {self.environment}; it shows {templates}."

    # ------------------------------------------------------------------ endpoints

    def render(self, body: Mapping[str, Any]) -> ShotstackQueued:
        """``POST /edit/{environment}/render``: create a render of a timeline."""
        return self.fetch(ShotstackQueued, "POST", self._path("edit", "/render"), json=dict(body), envelope="response")

    def render_template(self, body: Mapping[str, Any]) -> ShotstackQueued:
        """``POST /edit/{environment}/templates/render``: create a render of a template."""
        path = self._path("edit", "/templates/render")
        return self.fetch(ShotstackQueued, "POST", path, json=dict(body), envelope="response")

    def get_render(self, render_id: str) -> ShotstackRender:
        """``GET /edit/{environment}/render/{id}?data=false``: without the whole edit."""
        path, params = self._path("edit", "/render/{id}"), {"data": "false"}
        return self.fetch(ShotstackRender, "GET", path, id=render_id, params=params, envelope="response")

    def get_templates(self) -> list[dict[str, Any]]:
        """``GET /edit/{environment}/templates``."""
        found = self.fetch(dict[str, Any], "GET", self._path("edit", "/templates"), envelope="response")
        templates = found.get("templates")
        return templates if isinstance(templates, list) else []

    def get_template(self, template_id: str) -> dict[str, Any]:
        """``GET /edit/{environment}/templates/{id}``."""
        path = self._path("edit", "/templates/{id}")
        return self.fetch(dict[str, Any], "GET", path, id=template_id, envelope="response")

    def get_render_assets(self, render_id: str) -> list[ShotstackAsset]:
        """``GET /serve/{environment}/assets/render/{renderId}``: the hosted files of a render."""
        path = self._path("serve", "/assets/render/{renderId}")
        return self.fetch(list[ShotstackAsset], "GET", path, renderId=render_id, envelope="data")

    def get_asset(self, asset_id: str) -> ShotstackAsset:
        """``GET /serve/{environment}/assets/{id}``."""
        return self.fetch(ShotstackAsset, "GET", self._path("serve", "/assets/{id}"), id=asset_id, envelope="data")

    def delete_asset(self, asset_id: str) -> None:
        """``DELETE /serve/{environment}/assets/{id}``, sent once: remove a hosted file."""
        self.fetch(None, "DELETE", self._path("serve", "/assets/{id}"), id=asset_id, once=True)

    def create_upload(self) -> ShotstackSource:
        """``POST /ingest/{environment}/upload``: a signed link for one PUT."""
        return self.fetch(ShotstackSource, "POST", self._path("ingest", "/upload"), envelope="data")

    def create_source(self, url: str) -> ShotstackSource:
        """``POST /ingest/{environment}/sources``: let the vendor fetch a source."""
        return self.fetch(ShotstackSource, "POST", self._path("ingest", "/sources"), json={"url": url}, envelope="data")

    def get_source(self, source_id: str) -> ShotstackSource:
        """``GET /ingest/{environment}/sources/{id}``."""
        return self.fetch(ShotstackSource, "GET", self._path("ingest", "/sources/{id}"), id=source_id, envelope="data")

    # ------------------------------------------------------------------ from the vendor's words to ours

    def _path(self, api: str, path: str) -> str:
        return f"/{api}/{self.environment}{path}"

    def _finished(self, job_id: str) -> ShotstackRender:
        render = self.get_render(job_id)
        require_link(self._to_job(render), render.url, "url", endpoint="GET /edit/{environment}/render/{id}")
        return render

    def _outputs(self, render: ShotstackRender, links: Mapping[str | None, str]) -> list[VideoOutput]:
        outputs: list[VideoOutput] = []
        for label, link in links.items():
            suffix = path_of(link).suffix.lower()
            kind: OutputKind = "thumbnail" if label else _KINDS.get(suffix, "video")
            seconds = None if label else render.duration
            outputs.append(VideoOutput(kind=kind, label=label, url=link, duration_seconds=seconds))
        return outputs

    def _hosted(self, render: ShotstackRender) -> list[VideoOutput]:
        """Return the outputs by the links of the vendor's hosting: a file is known there by the same name."""
        names = {_name(link): label for label, link in render.links()}
        links: dict[str | None, str] = {}
        assets = self.get_render_assets(render.id)
        for asset in assets:
            name = asset.filename or _name(asset.url or "")
            if asset.status == "ready" and asset.url and name in names:
                links[names[name]] = asset.url
        if None not in links:
            where: dict[str, Any] = {
                "vendor": self.vendor,
                "endpoint": "GET /serve/{environment}/assets/render/{renderId}",
            }
            if any(asset.status == "importing" for asset in assets):
                raise VideoOutputNotReadyError(f"render {render.id} is still copied to the hosting", **where)
            raise VideoApiNotFoundError(
                f"the links of render {render.id} are dead, and the vendor hosts no file of it: it was deleted, or "
                "hosting is off",
                **where,
            )
        return self._outputs(render, links)

    def _to_job(self, render: ShotstackRender) -> VideoJob:
        state = state_of(self.vendor, render.status, STATES)
        return VideoJob(
            vendor=self.vendor,
            job_id=render.id,
            state=state,
            vendor_status=render.status,
            error=JobError(message=render.error) if state is JobState.FAILED else None,
            created_at=render.created,
            updated_at=render.updated,
            finished_at=render.updated if state.is_terminal else None,
        )


def _name(link: str) -> str:
    return path_of(link).name
