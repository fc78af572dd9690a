# SPDX-License-Identifier: Apache-2.0
"""What the hook makes of the vendor's documents in ``tests/recorded/shotstack``."""

from __future__ import annotations

import pytest

from airflow_video_providers.exceptions import VideoApiInvalidRequestError, VideoJobFailedError
from airflow_video_providers.hooks.shotstack import ShotstackHook
from airflow_video_providers.jobs import JobState
from tests.support.documents import connect, document
from tests.support.local_api import LocalApi

RENDER = "2abd5c11-0f3d-4c6d-ba20-235fc9b8e8b7"
READ = f"/edit/v1/render/{RENDER}"
EDIT = {"timeline": {"tracks": []}, "output": {"format": "mp4"}}


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> ShotstackHook:
    return connect(ShotstackHook, local_api, monkeypatch)


def test_a_create(hook: ShotstackHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/edit/v1/render", document("shotstack", "created", 201))
    job = hook.submit_job(EDIT)
    assert (job.job_id, job.state) == (RENDER, JobState.QUEUED)


def test_an_old_render_is_read_from_the_hosting(hook: ShotstackHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, document("shotstack", "render"))
    local_api.on("GET", f"/serve/v1/assets/render/{RENDER}", document("shotstack", "assets"))
    job = hook.get_job(RENDER)
    assert (job.state, job.error) == (JobState.SUCCEEDED, None)
    assert job.created_at is not None
    assert job.finished_at is not None
    assert (job.created_at.year, (job.finished_at - job.created_at).seconds) == (2020, 9)
    video, poster = hook.get_outputs(RENDER)
    assert (video.kind, video.duration_seconds, video.url) == (
        "video",
        8.5,
        f"https://cdn.shotstack.io/au/v1/5ca6hu7s9k/{RENDER}.mp4",
    )
    assert (poster.kind, poster.label) == ("thumbnail", "poster")


def test_a_render_that_failed(hook: ShotstackHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, document("shotstack", "failed"))
    with pytest.raises(VideoJobFailedError, match="could not be fetched"):
        hook.get_outputs(RENDER)


def test_an_error(hook: ShotstackHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/edit/v1/render", document("shotstack", "error", 400))
    with pytest.raises(VideoApiInvalidRequestError, match='Bad Request: "timeline" is required'):
        hook.submit_job(EDIT)
