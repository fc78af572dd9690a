# SPDX-License-Identifier: Apache-2.0
"""
Creatomate: videos and pictures from templates, or from a description of all their elements (RenderScript).

Facts come from the vendor's reference ``creatomate.com/llms/api.md``, its pages on limits, webhooks and the render
object, and its client for Node.js.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.common import HeaderAuth, count_of, require_link, state_of
from airflow_video_providers.hooks.creatomate.requests import CreatomateRequest
from airflow_video_providers.hooks.creatomate.schemas import CreatomateCheck, CreatomateRender
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.jobs import JobError, JobState, OutputKind, VideoJob, VideoOutput
from airflow_video_providers.text.redaction import clean_label

log = logging.getLogger(__name__)

STATES = {
    "planned": JobState.QUEUED,
    "waiting": JobState.QUEUED,
    "transcribing": JobState.RUNNING,
    "rendering": JobState.RUNNING,
    "succeeded": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
}

_KINDS: dict[str, OutputKind] = {"jpg": "image", "png": "image", "gif": "image", "mp3": "audio"}


class CreatomateHook(VideoHook):
    """
    Creatomate's API behind one Airflow connection.

    The connection's ``password`` is the API key of one project, sent as ``Authorization: Bearer``. Creatomate lists no
    renders and takes no idempotency key, so a render whose response was lost cannot be found again:
    ``key_support`` is ``NONE``. It documents no way to cancel a render either.

    :param conn_id: the Airflow connection (default ``creatomate_default``).
    """

    conn_type = "creatomate"
    hook_name = "Creatomate"
    default_base_url = "https://api.creatomate.com"
    requests_per_second = 3.0  # 30 requests in 10 seconds for an account, whatever they ask for
    burst = 30
    rate_window = 10.0

    def make_auth(self) -> HeaderAuth:
        """Return what adds the key to a request."""
        return HeaderAuth("Authorization", f"Bearer {self.secret()}")

    def parse_error(self, body: Any) -> VendorError:
        """Read Creatomate's error form: every failure has a ``hint``."""
        error = parse_error(body)
        hint = body.get("hint") if isinstance(body, Mapping) else None
        return replace(error, message=hint) if isinstance(hint, str) else error

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return CreatomateRequest

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Create one render: of ``template_id`` with ``modifications``, or of RenderScript.

        The key goes into ``metadata``, which the vendor gives back in the render and in its webhook. A ``metadata`` of
        the user's own stays as it is; the key is then left out, since nothing can be searched for it.

        :raises VideoConfigurationError: the body renders nothing (``dry_run``), or several templates at once
            (``tags``).
        """
        if "dry_run" in request:
            raise VideoConfigurationError(
                "A Creatomate request with 'dry_run' renders nothing: leave it out, and give the task dry_run=True."
            )
        if "tags" in request:
            raise VideoConfigurationError(
                "A Creatomate request with 'tags' renders several templates at once; a task renders one video. "
                "Give 'template_id', or call create_renders."
            )
        body = dict(request)
        if key is not None and not body.get("metadata"):
            body["metadata"] = key
        render = self.create_render(body)
        for remark in (*render.errors, *render.warnings):
            log.warning("Creatomate took the request, and says: %s", _said(remark))
        return self._to_job(render, key=key)

    def get_job(self, job_id: str) -> VideoJob:
        """Poll one render, which the vendor keeps for 30 days; it tells no progress."""
        return self._to_job(self.get_render(job_id))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """Return the file of a finished render, and its snapshot where the template has one; both live for 30 days."""
        render = self.get_render(job_id)
        url = require_link(self._to_job(render), render.url, "url", endpoint="GET /v2/renders/{id}")
        outputs = [
            VideoOutput(
                kind=_KINDS.get((render.output_format or "mp4").lower(), "video"),
                url=url,
                output_id=render.id,
                name=render.template_name,
                size=render.file_size,
                duration_seconds=render.duration,
            )
        ]
        if render.snapshot_url:
            outputs.append(VideoOutput(kind="thumbnail", url=render.snapshot_url, output_id=render.id))
        return outputs

    def callback_request(self, request: Mapping[str, Any], *, url: str, key: str) -> dict[str, Any]:
        """
        Return the request with ``webhook_url``. Creatomate signs nothing, so the address carries a token of ours.

        :raises VideoConfigurationError: the request fills ``webhook_url`` already.
        """
        return callbacks.fill_field(request, "webhook_url", url, vendor=self.hook_name)

    def callback_job_id(self, document: Mapping[str, Any]) -> Any:
        """Return the render's id: the body is the render, as a GET shows it."""
        return document.get("id")

    def check_request(self, request: Mapping[str, Any]) -> str:
        """
        Have Creatomate validate a request (``dry_run``), which renders and costs nothing.

        :raises VideoConfigurationError: Creatomate would refuse it; each of its errors is a line of the advice.
        """
        check = self.validate_render(request)
        if not check.valid:
            said = [_said(error) for error in check.errors or ()]
            raise VideoConfigurationError(
                f"Creatomate would refuse the request: {said[0] if said else 'it gives no reason'}", advice=said[1:]
            )
        warnings = [_said(warning) for warning in check.warnings or ()]
        return "; ".join(["it is valid", *(f"warning: {warning}" for warning in warnings)])

    def check_connection(self) -> str:
        """Ask for the project's templates, which costs nothing."""
        return f"Creatomate accepted the key; its project shows {count_of(len(self.get_templates()), 'template')}."

    # ------------------------------------------------------------------ endpoints

    def create_render(self, body: Mapping[str, Any]) -> CreatomateRender:
        """``POST /v2/renders``: create one render."""
        return self.fetch(CreatomateRender, "POST", "/v2/renders", json=dict(body))

    def create_renders(self, body: Mapping[str, Any]) -> list[CreatomateRender]:
        """``POST /v1/renders``: create one render, or one of each template that has one of the ``tags``."""
        return self.fetch(list[CreatomateRender], "POST", "/v1/renders", json=dict(body))

    def validate_render(self, body: Mapping[str, Any]) -> CreatomateCheck:
        """``POST /v2/renders`` with ``dry_run``: validate a request; nothing is rendered or charged."""
        return self.fetch(CreatomateCheck, "POST", "/v2/renders", json={**body, "dry_run": True}, repeatable=True)

    def get_render(self, render_id: str) -> CreatomateRender:
        """``GET /v2/renders/{id}``."""
        return self.fetch(CreatomateRender, "GET", "/v2/renders/{id}", id=render_id)

    def get_templates(self) -> list[dict[str, Any]]:
        """``GET /v2/templates``: the templates of the project, as the vendor gives them."""
        return self.fetch(list[dict[str, Any]], "GET", "/v2/templates")

    # ------------------------------------------------------------------ from the vendor's words to ours

    def _to_job(self, render: CreatomateRender, *, key: str | None = None) -> VideoJob:
        state = state_of(self.vendor, render.status, STATES)
        return VideoJob(
            vendor=self.vendor,
            job_id=render.id,
            state=state,
            vendor_status=render.status,
            name=render.template_name,
            key=key or render.metadata or None,
            error=JobError(message=render.error_message) if state is JobState.FAILED else None,
        )


def _said(problem: Any) -> str:
    """Return an error or a warning of a validation as one line; its form is not documented."""
    text = problem.get("message") if isinstance(problem, Mapping) else None
    return clean_label(text or problem, longest=300)
