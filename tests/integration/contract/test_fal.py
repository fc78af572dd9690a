# SPDX-License-Identifier: Apache-2.0
"""The fal hook against the simulator, where the conformance suite says nothing."""

from __future__ import annotations

import io
import json
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_video_providers.exceptions import VideoApiAuthenticationError, VideoApiUnavailableError
from airflow_video_providers.hooks.fal import FalHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator


@pytest.fixture
def hook(video_connections: Simulator) -> FalHook:
    return FalHook(retry_deadline=5)


@pytest.mark.parametrize(
    "endpoint", ["fal-ai/veo3.1", "fal-ai/kling-video/v2/master/text-to-video", "workflows/me/flow/v1"]
)
def test_each_endpoint_from_the_request_to_its_bytes(hook: FalHook, simulator: Simulator, endpoint: str) -> None:
    job = hook.submit_job({"endpoint": endpoint, "prompt": "a kite"})
    assert hook.get_job(job.job_id).stage == "0 before it in the queue"
    simulator.move(job.job_id, finish=True)
    assert hook.get_job(job.job_id).state is JobState.SUCCEEDED
    (output,) = hook.get_outputs(job.job_id)
    assert output.url is not None
    content = requests.get(output.url, timeout=30).content
    assert (content[4:8], len(content)) == (b"ftyp", output.size)


@pytest.mark.parametrize("listed", [True, False])
def test_a_lost_request_is_found_where_the_list_shows_it(hook: FalHook, simulator: Simulator, listed: bool) -> None:
    simulator.settings(fal={"lists_running": listed})
    since = datetime.now(timezone.utc)
    request = {"endpoint": "fal-ai/veo3.1", "prompt": "a kite", "seed": 7}
    simulator.fault("fal", "create", lose_answer=True)
    with pytest.raises(VideoApiUnavailableError) as caught:
        hook.submit_job(request)
    assert caught.value.outcome_unknown
    hook.submit_job({**request, "seed": 8})
    found = hook.find_job("key-1", request=request, since=since)
    assert (found is not None) == listed
    (lost, _) = simulator.jobs("fal")
    simulator.move(lost["job_id"], finish=True)
    found = hook.find_job("key-1", request=request, since=since)
    assert found is not None
    assert (found.job_id, found.state) == (lost["job_id"], JobState.SUCCEEDED)


def test_the_other_endpoints(hook: FalHook, simulator: Simulator) -> None:
    content = bytes(range(256)) * 4_000
    link = hook.upload_media(io.BytesIO(content), name="a.png", size=len(content), media_type="image/png")
    assert requests.get(link, timeout=30).content == content
    assert hook.get_models(limit=1)["models"]
    job = hook.submit_job({"endpoint": "fal-ai/veo3.1", "prompt": "a kite"})
    simulator.move(job.job_id, finish=True)
    hook.delete_payloads(job.job_id.rpartition("|")[2])
    good, _ = hook.test_connection()
    assert good


def test_files_live_as_long_as_the_connection_asks(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = simulator.connection("fal")
    connection["extra"] |= {"object_lifetime": 1, "store_payloads": False}
    monkeypatch.setenv("AIRFLOW_CONN_FAL_DEFAULT", json.dumps(connection))
    hook = FalHook(retry_deadline=5)
    request = {"endpoint": "fal-ai/veo3.1", "prompt": "a kite"}
    since = datetime.now(timezone.utc)
    job = hook.submit_job(request)
    simulator.move(job.job_id, finish=True)
    (output,) = hook.get_outputs(job.job_id)
    assert output.url is not None
    end = time.monotonic() + 10
    while requests.get(output.url, timeout=30).status_code != 403:
        assert time.monotonic() < end, "the file outlived what the create asked for"
        time.sleep(0.2)
    # Input that is not kept cannot be compared: no match, and so no proof.
    assert hook.find_job("key-1", request=request, since=since) is None


def test_a_failed_request_says_why_with_its_logs_and_without(hook: FalHook, simulator: Simulator) -> None:
    job = hook.submit_job({"endpoint": "fal-ai/veo3.1", "prompt": "a kite"})
    simulator.move(job.job_id, fail="the runner is gone")
    for logs in (True, False):
        status = hook.get_request_status("fal-ai/veo3.1", job.job_id.rpartition("|")[2], logs=logs)
        assert (status.status, status.error, status.logs is None) == ("COMPLETED", "the runner is gone", not logs)


def test_the_connection_test_needs_the_key_which_the_list_of_models_does_not(
    hook: FalHook, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {**simulator.connection("fal"), "password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_FAL_DEFAULT", json.dumps(wrong))
    hook = FalHook(retry_deadline=5)
    assert hook.get_models(limit=1)["models"]
    with pytest.raises(VideoApiAuthenticationError):
        hook.check_connection()
