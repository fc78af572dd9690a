# SPDX-License-Identifier: Apache-2.0
"""Small parts of the conformance suite."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from urllib.request import ProxyHandler, Request, build_opener

from airflow_video_providers.exceptions import VideoApiNotFoundError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput
from airflow_video_providers.testing.control import VendorControl
from airflow_video_providers.testing.tap import TapRequest


def now() -> datetime:
    """Return the time of an intent to submit."""
    return datetime.now(timezone.utc)


def new_key() -> str:
    """Return a key of the form that operators use: at most 44 characters of ``a-z0-9-``."""
    return f"conformance-{uuid.uuid4().hex}"


def id_of(job: VideoJob | None) -> str | None:
    """Return the id of what a search has found."""
    return job.job_id if job else None


def unknown_id(job_id: str) -> str:
    """Return an id of the same form that no job has."""
    return job_id[:-1] + ("0" if job_id[-1] != "0" else "1")


def has_ended_without_files(hook: VideoHook, job_id: str) -> bool:
    """Tell whether the vendor knows the job no longer, or as cancelled or failed."""
    try:
        return hook.get_job(job_id).state in (JobState.CANCELLED, JobState.FAILED)
    except VideoApiNotFoundError:
        return True


def carries_credentials(request: TapRequest, control: VendorControl) -> bool:
    """Tell whether a request shows the login or the password of the connection."""
    secrets = [control.connection().get(name) for name in ("login", "password")]
    return "authorization" in request.headers or any(secret in request for secret in secrets if secret)


def content_of(hook: VideoHook, job_id: str, output: VideoOutput) -> bytes:
    """Return the bytes of an output; where the vendor mints links on request, its link is minted first."""
    if output.content is not None:
        return output.content.encode()
    if output.url is None:
        output = hook.refresh_output(job_id, output)
    content = download(output)
    assert output.size in (None, len(content))
    return content


def download(output: VideoOutput) -> bytes:
    """Download a link as a delivery does: without credentials."""
    assert output.url is not None
    opener = build_opener(ProxyHandler({}))
    with opener.open(Request(output.url), timeout=60) as response:
        return bytes(response.read())
