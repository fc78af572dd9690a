# SPDX-License-Identifier: Apache-2.0
"""What the hook makes of the vendor's documents in ``tests/recorded/heygen``."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoApiUnavailableError
from airflow_video_providers.hooks.heygen import HeyGenHook
from airflow_video_providers.jobs import JobState
from tests.support.documents import connect, document
from tests.support.local_api import LocalApi

AVATAR = {"type": "avatar", "avatar_id": "A", "script": "Hello", "voice_id": "V"}


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> HeyGenHook:
    return connect(HeyGenHook, local_api, monkeypatch)


@pytest.mark.parametrize(
    ("request_", "path", "name", "job_id"),
    [
        (AVATAR, "/v3/videos", "created", "v-1"),
        ({"template_id": "t-1", "variables": {}}, "/v3/templates/t-1", "template", "v-1"),
        ({"prompt": "A clip"}, "/v3/video-agents", "agent", "vid_xyz789"),
    ],
)
def test_each_create_names_its_video(
    hook: HeyGenHook, local_api: LocalApi, request_: dict[str, Any], path: str, name: str, job_id: str
) -> None:
    local_api.on("POST", path, document("heygen", name))
    job = hook.submit_job(request_, key="key-1")
    assert (job.job_id, job.state) == (job_id, JobState.QUEUED)


def test_a_completed_video(hook: HeyGenHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/v3/videos/v-1", document("heygen", "video"))
    assert [(output.kind, output.label, output.duration_seconds) for output in hook.get_outputs("v-1")] == [
        ("video", None, 12.4),
        ("video", "captioned", 12.4),
        ("subtitles", None, None),
        ("thumbnail", None, None),
        ("image", "gif", None),
    ]


def test_a_failed_video(hook: HeyGenHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/v3/videos/v-1", document("heygen", "failed"))
    assert str(hook.get_job("v-1").error) == "[voice_not_found] The voice does not exist."


def test_many_at_once_in_their_other_words(hook: HeyGenHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/v3/videos/statuses", document("heygen", "statuses"))
    found = hook.get_jobs(["v-1", "v-2", "v-3"])
    assert {job_id: job.state for job_id, job in found.items()} == {"v-1": JobState.QUEUED, "v-2": JobState.FAILED}
    assert str(found["v-2"].error) == "[avatar_not_found] no avatar"


def test_a_title_that_only_begins_with_the_key_is_no_match(hook: HeyGenHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/v3/videos", document("heygen", "list"))
    since = datetime.fromtimestamp(1795687200, timezone.utc)
    found = hook.find_job("key-1", request=AVATAR, since=since)
    assert found is not None
    assert found.job_id == "v-1"


def test_the_balance(hook: HeyGenHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/v3/users/me", document("heygen", "user"))
    assert "42.5 USD" in hook.check_connection()


def test_a_key_whose_first_request_is_worked_on_leaves_a_doubt(hook: HeyGenHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/v3/videos", document("heygen", "in_progress", 409))
    with pytest.raises(VideoApiUnavailableError) as caught:
        hook.submit_job(AVATAR, key="key-1")
    assert caught.value.outcome_unknown
