# SPDX-License-Identifier: Apache-2.0
"""
Runway: generated video, from text, images or videos, by its own models and those that it resells.

Facts come from the vendor's OpenAPI document of version 2024-11-06 (by its SDK ``runwayml`` 5.24) and from
``docs.dev.runwayml.com``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.common import (
    HeaderAuth,
    cancel_by_deleting,
    count_of,
    first_words,
    path_of,
    require_link,
    running_statuses,
    share_of,
    state_of,
)
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.runway.requests import RunwayRequest
from airflow_video_providers.hooks.runway.schemas import (
    RunwayCreated,
    RunwayCredits,
    RunwayOrganization,
    RunwayTask,
    RunwayUpload,
)
from airflow_video_providers.hooks.uploads import post_form, refuse_options
from airflow_video_providers.jobs import JobCost, JobError, JobState, OutputKind, VideoJob, VideoOutput

API_VERSION = "2024-11-06"

STATES = {
    "PENDING": JobState.QUEUED,
    "THROTTLED": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
}

WORKFLOW = "workflow:"
"""What the id of a workflow's invocation begins with here: the vendor polls it at another path than a task."""

_KINDS: dict[str, OutputKind] = {
    ".png": "image", ".jpg": "image", ".jpeg": "image", ".webp": "image",
    ".wav": "audio", ".mp3": "audio", ".m4a": "audio", ".flac": "audio",
    ".zip": "archive", ".json": "archive",
}  # fmt: skip


class RunwayHook(VideoHook):
    """
    Runway's API behind one Airflow connection.

    The connection's ``password`` is the API secret, sent as ``Authorization: Bearer``; the extra ``api_version`` is
    sent as ``X-Runway-Version`` (default 2024-11-06). Runway lists no tasks and takes no key of ours, so a task whose
    response was lost cannot be found again: ``key_support`` is ``NONE``.

    :param conn_id: the Airflow connection (default ``runway_default``).
    """

    conn_type = "runway"
    hook_name = "Runway"
    default_base_url = "https://api.dev.runwayml.com"
    hopeless_codes = frozenset({"SAFETY."})

    def make_auth(self) -> HeaderAuth:
        """Return what adds the secret to a request."""
        return HeaderAuth("Authorization", f"Bearer {self.secret()}")

    def make_client(self) -> VideoApiClient:
        """Return a session that names the version of the API in every call."""
        client = super().make_client()
        client.headers["X-Runway-Version"] = str(self.extras.get("api_version") or API_VERSION)
        return client

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return RunwayRequest

    def estimates_at_submission(self, request: Mapping[str, Any]) -> bool:
        """Return True but for workflows and the router, whose responses name no ``estimatedCost``."""
        return not str(request.get("endpoint") or "").strip("/").startswith(("workflows/", "generate/"))

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Create one task.

        The request is the vendor's body, and beside it ``endpoint``: the path below ``/v1/`` that it is sent to, such
        as ``text_to_video``, ``image_to_video``, ``generate/video`` or ``workflows/<id>``. Runway has no field for our
        key, so it is not sent.

        :raises VideoConfigurationError: ``endpoint`` is missing, or no path that creates a task.
        """
        endpoint = str(request.get("endpoint") or "").strip("/")
        body = {name: value for name, value in request.items() if name != "endpoint"}
        if endpoint.startswith("workflows/"):
            created = self.run_workflow(endpoint.removeprefix("workflows/"), body)
        else:
            created = self.create_task(endpoint, body)
        return VideoJob(
            vendor=self.vendor,
            job_id=f"{WORKFLOW}{created.id}" if endpoint.startswith("workflows/") else created.id,
            state=JobState.QUEUED,
            vendor_status="PENDING",
            name=first_words(body.get("promptText")),
            cost=_cost(created.estimatedCost),
        )

    def get_job(self, job_id: str) -> VideoJob:
        """Poll one task, at most every 5 seconds as the vendor asks; one that was cancelled or deleted is not found."""
        return self._to_job(job_id, self._read(job_id))

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Cancel a task that still runs. A finished one is left alone: the same call would delete its output.

        Runway gives the credits of a running task not back, those of a waiting one perhaps.

        :raises VideoConfigurationError: it is the invocation of a workflow, for which no such call is documented.
        """
        if str(job_id).startswith(WORKFLOW):
            raise VideoConfigurationError("Runway documents no way to cancel the invocation of a workflow.")
        return cancel_by_deleting(self, job_id, self.delete_task, running=running_statuses(STATES))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the files of a finished task, with fresh links, which live for 24 to 48 hours.

        The kind of each is read off its link's extension, since the vendor says no more. Of several of one kind, each
        has its number as ``label``; those of a workflow have the node's id.
        """
        task = self._read(job_id)
        links = require_link(self._to_job(job_id, task), task.links(), "output", endpoint="GET /v1/tasks/{id}")
        outputs: list[VideoOutput] = []
        for number, (node, link) in enumerate(links):
            label = node if node is not None else str(number + 1) if len(links) > 1 else None
            path = path_of(link)
            kind = _KINDS.get(path.suffix.lower(), "video")
            outputs.append(VideoOutput(kind=kind, label=label, url=link, name=path.name or None))
        return outputs

    def upload_media(
        self, stream: BinaryIO, *, name: str, size: int, media_type: str | None = None, **options: Any
    ) -> str:
        """
        Upload a picture, video or sound for a request; return its ``runway://`` URI, which the vendor lets expire.

        ``POST /v1/uploads`` names an object store, to which the file is sent once.
        """
        refuse_options(self.hook_name, options)
        upload = self.create_upload(name)
        form: dict[str, Any] = {"name": name, "size": size, "media_type": media_type, "fields": upload.fields}
        post_form(self.client, upload.uploadUrl, stream=stream, **form)
        return upload.runwayUri

    def check_connection(self) -> str:
        """Ask for the organization, which costs nothing, and tell its balance."""
        balance = count_of(self.get_organization().creditBalance, "credit")
        return f"Runway accepted the secret; its balance is {balance}."

    # ------------------------------------------------------------------ endpoints

    def create_task(self, endpoint: str, body: Mapping[str, Any]) -> RunwayCreated:
        """
        ``POST /v1/{endpoint}``: create a task.

        :param endpoint: ``text_to_video``, ``image_to_video``, ``video_to_video``, ``generate/video``,
            ``video_upscale``, ``video_to_hdr``, ``video_to_audio``, ``avatar_videos``, ``recipes/...`` or another one
            that creates a task.
        """
        parts = endpoint.split("/")
        if not endpoint or not all(part.replace("_", "").replace("-", "").isalnum() for part in parts):
            raise VideoConfigurationError(
                "A Runway request needs 'endpoint': the path below /v1/ that creates the task, such as "
                f"'text_to_video' or 'image_to_video', not {endpoint!r}."
            )
        return self.fetch(RunwayCreated, "POST", f"/v1/{endpoint}", json=dict(body))

    def run_workflow(self, workflow_id: str, body: Mapping[str, Any]) -> RunwayCreated:
        """``POST /v1/workflows/{id}``: run a published workflow; the response's id is that of its invocation."""
        return self.fetch(RunwayCreated, "POST", "/v1/workflows/{id}", id=workflow_id, json=dict(body))

    def get_task(self, task_id: str) -> RunwayTask:
        """``GET /v1/tasks/{id}``."""
        return self.fetch(RunwayTask, "GET", "/v1/tasks/{id}", id=task_id)

    def get_workflow_invocation(self, invocation_id: str) -> RunwayTask:
        """``GET /v1/workflow_invocations/{id}``."""
        return self.fetch(RunwayTask, "GET", "/v1/workflow_invocations/{id}", id=invocation_id)

    def delete_task(self, task_id: str) -> None:
        """``DELETE /v1/tasks/{id}``, sent once: cancels a running task, and deletes a finished one with its output."""
        self.fetch(None, "DELETE", "/v1/tasks/{id}", id=task_id, once=True)

    def get_organization(self) -> RunwayOrganization:
        """``GET /v1/organization``: balance, limits of the tier, today's use."""
        return self.fetch(RunwayOrganization, "GET", "/v1/organization")

    def get_usage(self, *, start_date: str | None = None, before_date: str | None = None) -> dict[str, Any]:
        """``POST /v1/organization/usage``: credits used by day and model; dates as ``YYYY-MM-DD``, UTC."""
        dates = {"startDate": start_date, "beforeDate": before_date}
        body = {name: value for name, value in dates.items() if value is not None}
        return self.fetch(dict[str, Any], "POST", "/v1/organization/usage", json=body, repeatable=True)

    def get_workflows(self) -> dict[str, Any]:
        """``GET /v1/workflows``: the published workflows, as the vendor gives them."""
        return self.fetch(dict[str, Any], "GET", "/v1/workflows")

    def get_router_requests(self, router_id: str, *, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """``GET /v1/routers/{id}/requests``: what a router decided; it names neither prompts nor tasks."""
        params = {"limit": limit, "cursor": cursor}
        return self.fetch(dict[str, Any], "GET", "/v1/routers/{id}/requests", id=router_id, params=params)

    def create_upload(self, filename: str) -> RunwayUpload:
        """``POST /v1/uploads``: ask for a place to send a file to; the file expires."""
        return self.fetch(RunwayUpload, "POST", "/v1/uploads", json={"filename": filename, "type": "ephemeral"})

    # ------------------------------------------------------------------ from the vendor's words to ours

    def _read(self, job_id: str) -> RunwayTask:
        if str(job_id).startswith(WORKFLOW):
            return self.get_workflow_invocation(job_id.removeprefix(WORKFLOW))
        return self.get_task(job_id)

    def _to_job(self, job_id: str, task: RunwayTask) -> VideoJob:
        state = state_of(self.vendor, task.status, STATES)
        error = JobError(code=task.failureCode, message=task.failure) if state is JobState.FAILED else None
        return VideoJob(
            vendor=self.vendor,
            job_id=job_id,
            state=state,
            vendor_status=task.status,
            progress=share_of(task.progress, 1),
            error=error,
            cost=_cost(task.cost or task.estimatedCost),
            created_at=task.createdAt,
        )


def _cost(credits_: RunwayCredits | None) -> JobCost | None:
    amount = None if credits_ is None else credits_.credits
    return None if amount is None or amount < 0 else JobCost(amount=amount, unit="credits")
