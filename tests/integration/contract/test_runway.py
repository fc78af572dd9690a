# SPDX-License-Identifier: Apache-2.0
"""The Runway hook against the simulator, where the conformance suite says nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_video_providers.exceptions import VideoApiQuotaError
from airflow_video_providers.hooks.runway import RunwayHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

TEXT = {"endpoint": "text_to_video", "model": "gen4.5", "promptText": "a kite", "ratio": "1280:720", "duration": 5}
IMAGE = {**TEXT, "endpoint": "image_to_video", "promptImage": "https://example.com/a.png"}
ROUTER = {"endpoint": "generate/video", "configId": "c-1", "input": {"promptText": "a kite"}}
WORKFLOW = {"endpoint": "workflows/w-1", "nodeOutputs": {}}


@pytest.fixture
def hook(video_connections: Simulator) -> RunwayHook:
    return RunwayHook(retry_deadline=5)


@pytest.mark.parametrize("request_body", [TEXT, IMAGE, ROUTER, WORKFLOW], ids=["text", "image", "router", "workflow"])
def test_each_form_from_the_request_to_its_bytes(
    hook: RunwayHook, simulator: Simulator, request_body: dict[str, Any]
) -> None:
    job = hook.submit_job(request_body)
    (stored,) = simulator.jobs("runway")
    assert "endpoint" not in stored["request"]
    simulator.move(stored["job_id"], finish=True)
    assert hook.get_job(job.job_id).state is JobState.SUCCEEDED
    (output,) = hook.get_outputs(job.job_id)
    assert output.url is not None
    assert requests.get(output.url, timeout=30).content[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("video_to_video", "video"),
        ("video_upscale", "video"),
        ("video_to_hdr", "video"),
        ("video_to_audio", "audio"),
        ("avatar_videos", "video"),
        ("recipes/product-spot", "video"),
    ],
)
def test_each_other_endpoint_that_creates_a_task(
    hook: RunwayHook, simulator: Simulator, endpoint: str, kind: str
) -> None:
    job = hook.submit_job({"endpoint": endpoint, "videoUri": "https://example.com/in.mp4"})
    simulator.move(job.job_id, finish=True)
    assert [output.kind for output in hook.get_outputs(job.job_id)] == [kind]
    assert simulator.counts("runway")["creates"] == 1


def test_a_router_says_what_it_chose(hook: RunwayHook) -> None:
    body = {name: value for name, value in ROUTER.items() if name != "endpoint"}
    assert (hook.create_task("generate/video", body).routing or {})["model"] == "gen4.5"


def test_the_cost_is_told_before_and_after(hook: RunwayHook, simulator: Simulator) -> None:
    before = hook.get_organization().creditBalance
    job = hook.submit_job(TEXT)
    assert job.cost is not None
    assert (job.cost.amount, job.cost.unit) == (60, "credits")
    simulator.move(job.job_id, finish=True)
    seen = hook.get_job(job.job_id)
    assert seen.cost == job.cost
    assert hook.get_organization().creditBalance == before - 60
    good, text = hook.test_connection()
    assert good
    assert "balance is" in text


def test_moderation_is_told(hook: RunwayHook, simulator: Simulator) -> None:
    job = hook.submit_job({**TEXT, "promptText": "a kite [unsafe]"})
    simulator.settings(render_seconds=0)
    simulator.move(job.job_id, fail="moderated")
    simulator.move(job.job_id, error={"code": "SAFETY.INPUT.TEXT", "message": "moderated"})
    error = hook.get_job(job.job_id).error
    assert error is not None
    assert error.code == "SAFETY.INPUT.TEXT"


def test_above_the_daily_limit_nothing_is_charged(hook: RunwayHook, simulator: Simulator) -> None:
    simulator.settings(runway={"daily_limit": 1})
    hook.submit_job(TEXT)
    hook.retry_deadline = 0.1
    hook.close()
    with pytest.raises(VideoApiQuotaError) as caught:
        hook.submit_job(TEXT)
    assert not caught.value.outcome_unknown
    assert simulator.counts("runway")["creates"] == 1


def test_a_file_is_uploaded_and_the_catalogues_are_read(hook: RunwayHook, simulator: Simulator) -> None:
    content = bytes(range(256)) * 5_000
    uri = hook.upload_media(io.BytesIO(content), name="a.png", size=len(content), media_type="image/png")
    assert uri.startswith("runway://")
    assert [upload["size"] for upload in simulator.uploads()["runway"]] == [len(content)]
    assert hook.get_workflows()["data"]
    assert "results" in hook.get_usage(start_date="2026-11-01")
    hook.submit_job(ROUTER)
    assert len(hook.get_router_requests("r-1")["data"]) == 1


def test_the_response_to_a_create_names_the_cost_where_the_hook_says_so(hook: RunwayHook, simulator: Simulator) -> None:
    for request in (TEXT, IMAGE, ROUTER, WORKFLOW, {**TEXT, "endpoint": "recipes/product-spot"}):
        assert hook.estimates_at_submission(request) == (hook.submit_job(request).cost is not None)
