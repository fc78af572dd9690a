# SPDX-License-Identifier: Apache-2.0
"""What the hook makes of the vendor's documents in ``tests/recorded/runway``."""

from __future__ import annotations

import pytest

from airflow_video_providers.exceptions import VideoApiInvalidRequestError
from airflow_video_providers.hooks.runway import RunwayHook
from airflow_video_providers.jobs import JobCost, JobState
from airflow_video_providers.retry_policy import is_hopeless
from tests.support.documents import connect, document
from tests.support.local_api import LocalApi

TASK = "17f20503-6c24-4c16-946b-35dbbce2af2f"


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> RunwayHook:
    return connect(RunwayHook, local_api, monkeypatch)


def test_a_create_names_the_most_that_it_costs(hook: RunwayHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/v1/text_to_video", document("runway", "created"))
    job = hook.submit_job({"endpoint": "text_to_video", "model": "gen4.5", "promptText": "a red kite"})
    assert (job.job_id, job.cost) == (TASK, JobCost(amount=60, unit="credits"))


@pytest.mark.parametrize(
    ("name", "state", "progress"),
    [("throttled", JobState.QUEUED, None), ("running", JobState.RUNNING, 0.42), ("task", JobState.SUCCEEDED, None)],
)
def test_a_status(hook: RunwayHook, local_api: LocalApi, name: str, state: JobState, progress: float | None) -> None:
    local_api.on("GET", f"/v1/tasks/{TASK}", document("runway", name))
    job = hook.get_job(TASK)
    assert (job.state, job.progress) == (state, progress)
    assert job.cost == JobCost(amount=58 if name == "task" else 60, unit="credits")


def test_outputs_by_their_extension(hook: RunwayHook, local_api: LocalApi) -> None:
    local_api.on("GET", f"/v1/tasks/{TASK}", document("runway", "task"))
    assert [(output.kind, output.name) for output in hook.get_outputs(TASK)] == [
        ("video", "video.mp4"),
        ("archive", "frames.zip"),
    ]


def test_moderation_is_hopeless(hook: RunwayHook, local_api: LocalApi) -> None:
    local_api.on("GET", f"/v1/tasks/{TASK}", document("runway", "failed"))
    assert is_hopeless(hook.get_job(TASK), hook.hopeless_codes)


def test_the_balance(hook: RunwayHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/v1/organization", document("runway", "organization"))
    assert "12000 credits" in hook.check_connection()


def test_an_error(hook: RunwayHook, local_api: LocalApi) -> None:
    local_api.on("POST", "/v1/text_to_video", document("runway", "error", 400))
    with pytest.raises(VideoApiInvalidRequestError, match="Validation of body failed"):
        hook.submit_job({"endpoint": "text_to_video", "model": "gen4.5", "duration": 60})
