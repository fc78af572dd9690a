# SPDX-License-Identifier: Apache-2.0
"""What the hook makes of the vendor's documents in ``tests/recorded/synthesia``."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_video_providers.exceptions import VideoApiAuthenticationError, VideoJobFailedError
from airflow_video_providers.hooks.synthesia import SynthesiaHook
from airflow_video_providers.jobs import JobState
from tests.support.documents import connect, document
from tests.support.local_api import LocalApi

VIDEO = "8c2a5b51-6c5b-4f6a-8e36-0e6a2f1a7d11"
READ = f"/v2/videos/{VIDEO}"
TEMPLATE = {"templateId": "t-1", "templateData": {"name": "Ada"}}


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> SynthesiaHook:
    return connect(SynthesiaHook, local_api, monkeypatch)


def test_a_create_gives_the_key_back(hook: SynthesiaHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/v2/videos/fromTemplate", document("synthesia", "created", 201))
    job = hook.submit_job(TEMPLATE, key="key-1")
    assert (job.job_id, job.state, job.key) == (VIDEO, JobState.RUNNING, "key-1")


def test_a_complete_video(hook: SynthesiaHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, document("synthesia", "video"))
    job = hook.get_job(VIDEO)
    assert job.created_at is not None
    assert (job.state, job.created_at.timestamp()) == (JobState.SUCCEEDED, 1795687200)
    outputs = hook.get_outputs(VIDEO)
    assert [(output.kind, output.label, output.duration_seconds) for output in outputs] == [
        ("video", None, 67.5),
        ("subtitles", "vtt", None),
        ("subtitles", "srt", None),
        ("thumbnail", None, None),
        ("image", "gif", None),
    ]


def test_a_video_that_moderation_rejected(hook: SynthesiaHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, document("synthesia", "rejected"))
    with pytest.raises(VideoJobFailedError, match="moderation"):
        hook.get_outputs(VIDEO)


def test_a_list_ends_with_null_and_holds_the_key(hook: SynthesiaHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/v2/videos", document("synthesia", "list"))
    since = datetime.fromtimestamp(1795687200, timezone.utc)
    found = hook.find_job("key-1", request=TEMPLATE, since=since)
    assert found is not None
    assert found.job_id == VIDEO
    assert len(hook.get_jobs([VIDEO, "11111111-6c5b-4f6a-8e36-0e6a2f1a7d11"])) == 2
    assert local_api.count() == 2


def test_a_wrong_key_is_403(hook: SynthesiaHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, document("synthesia", "error", 403))
    with pytest.raises(VideoApiAuthenticationError, match="Wrong API key: authorization"):
        hook.get_job(VIDEO)
