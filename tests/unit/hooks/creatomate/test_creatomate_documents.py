# SPDX-License-Identifier: Apache-2.0
"""What the hook makes of the vendor's documents in ``tests/recorded/creatomate``."""

from __future__ import annotations

import pytest

from airflow_video_providers.exceptions import VideoApiInvalidRequestError, VideoJobFailedError
from airflow_video_providers.hooks.creatomate import CreatomateHook
from airflow_video_providers.jobs import JobState
from tests.support.documents import connect, document
from tests.support.local_api import LocalApi

RENDER = "69ba407b-72a9-4050-a9fb-559827b9623d"
READ = f"/v2/renders/{RENDER}"


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> CreatomateHook:
    return connect(CreatomateHook, local_api, monkeypatch)


def test_a_create_gives_a_link_before_there_is_a_file(hook: CreatomateHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/v2/renders", document("creatomate", "created", 202))
    job = hook.submit_job({"template_id": "T", "modifications": {"Title": "Hello"}}, key="key-1")
    assert (job.job_id, job.state, job.name, job.key) == (RENDER, JobState.QUEUED, "Your Template Name", "key-1")


def test_a_render_that_succeeded(hook: CreatomateHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, document("creatomate", "render"))
    assert hook.get_job(RENDER).state is JobState.SUCCEEDED
    video, snapshot = hook.get_outputs(RENDER)
    assert (video.kind, video.size, video.duration_seconds) == ("video", 751089, 15.5)
    assert (snapshot.kind, snapshot.url) == ("thumbnail", f"https://cdn.creatomate.com/snapshots/{RENDER}.jpg")


def test_a_render_that_failed(hook: CreatomateHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, document("creatomate", "failed"))
    with pytest.raises(VideoJobFailedError, match="could not be downloaded"):
        hook.get_outputs(RENDER)


def test_an_error(hook: CreatomateHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/v2/renders", document("creatomate", "error", 400))
    with pytest.raises(VideoApiInvalidRequestError, match="'template_id' is missing") as caught:
        hook.submit_job({})
    assert not caught.value.outcome_unknown
