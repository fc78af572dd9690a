# SPDX-License-Identifier: Apache-2.0
"""What the hook makes of the vendor's documents in ``tests/recorded/mux``."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_video_providers.exceptions import VideoApiInvalidRequestError
from airflow_video_providers.hooks.mux import MuxHook
from airflow_video_providers.jobs import JobState
from tests.support.documents import connect, document
from tests.support.local_api import LocalApi

ASSETS = "/video/v1/assets"
BODY = {"inputs": [{"url": "https://example.com/in.mp4"}], "playback_policies": ["public"]}


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> MuxHook:
    return connect(MuxHook, local_api, monkeypatch, login="id", password="secret")


def test_a_create(hook: MuxHook, local_api: LocalApi) -> None:
    local_api.on("POST", ASSETS, document("mux", "preparing", 201))
    job = hook.submit_job(BODY, key="key-1")
    assert (job.job_id, job.state, job.progress, job.name) == ("a1", JobState.RUNNING, 0.37, "Film 1")


def test_ready_is_not_yet_the_file(hook: MuxHook, local_api: LocalApi) -> None:
    local_api.on("GET", f"{ASSETS}/a1", document("mux", "renditions"))
    job = hook.get_job("a1")
    assert (job.state, job.stage) == (JobState.RUNNING, "waiting for highest.mp4")


def test_an_asset_with_its_files(hook: MuxHook, local_api: LocalApi) -> None:
    local_api.on("GET", f"{ASSETS}/a1", document("mux", "asset"))
    assert [(output.kind, output.size, output.url) for output in hook.get_outputs("a1")] == [
        ("video", 25526478, "https://stream.mux.com/p1/highest.mp4"),
        ("thumbnail", None, "https://image.mux.com/p1/thumbnail.jpg"),
        ("subtitles", None, "https://stream.mux.com/p1/text/t3.vtt"),
    ]


def test_an_asset_that_failed(hook: MuxHook, local_api: LocalApi) -> None:
    local_api.on("GET", f"{ASSETS}/a1", document("mux", "errored"))
    job = hook.get_job("a1")
    assert (job.state, job.progress) == (JobState.FAILED, None)
    assert str(job.error) == "[invalid_input] The input could not be downloaded.; It may not exist."


def test_the_list_gives_the_key_back(hook: MuxHook, local_api: LocalApi) -> None:
    local_api.on("GET", ASSETS, document("mux", "list"))
    found = hook.find_job("key-1", request=BODY, since=datetime.fromtimestamp(1795687200, timezone.utc))
    assert found is not None
    assert found.job_id == "a1"


def test_an_error(hook: MuxHook, local_api: LocalApi) -> None:
    local_api.on("POST", ASSETS, document("mux", "error", 400))
    with pytest.raises(VideoApiInvalidRequestError, match="Invalid url for input") as caught:
        hook.submit_job(BODY)
    assert caught.value.code == "invalid_parameters"
