# SPDX-License-Identifier: Apache-2.0
"""The Mux hook against the simulator, where the conformance suite says nothing."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_video_providers.exceptions import VideoJobError
from airflow_video_providers.hooks.mux import MuxHook
from airflow_video_providers.hooks.mux.hook import FILES_PREPARING
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

BODY = {
    "inputs": [{"url": "https://example.com/in.mp4"}],
    "playback_policies": ["public"],
    "static_renditions": [{"resolution": "highest"}, {"resolution": "audio-only"}],
    "master_access": "temporary",
}


@pytest.fixture
def hook(video_connections: Simulator) -> MuxHook:
    return MuxHook(retry_deadline=5)


def test_ready_comes_before_the_files(hook: MuxHook, simulator: Simulator) -> None:
    simulator.settings(mux={"rendition_seconds": 600})
    job = hook.submit_job(BODY)
    simulator.move(job.job_id, finish=True)
    seen = hook.get_job(job.job_id)
    assert (seen.state, seen.vendor_status) == (JobState.RUNNING, FILES_PREPARING)
    simulator.settings(mux={"rendition_seconds": 0})
    assert hook.get_job(job.job_id).state is JobState.SUCCEEDED
    outputs = {(output.kind, output.label): output for output in hook.get_outputs(job.job_id)}
    assert set(outputs) == {("video", None), ("audio", None), ("video", "master"), ("thumbnail", None)}
    video = outputs["video", None]
    assert video.url is not None
    content = requests.get(video.url, timeout=30).content
    assert (content[4:8], len(content)) == (b"ftyp", video.size)


@pytest.mark.parametrize("status", ["skipped", "errored"])
def test_a_rendition_that_is_not_made_is_left_out(hook: MuxHook, simulator: Simulator, status: str) -> None:
    simulator.settings(mux={"rendition_status": status})
    job = hook.submit_job(BODY)
    simulator.move(job.job_id, finish=True)
    assert hook.get_job(job.job_id).state is JobState.SUCCEEDED
    assert {(output.kind, output.label) for output in hook.get_outputs(job.job_id)} == {
        ("video", None),  # the master alone is left
        ("thumbnail", None),
    }
    other = hook.submit_job({**BODY, "master_access": "none"})
    simulator.move(other.job_id, finish=True)
    with pytest.raises(VideoJobError, match="no file to download"):
        hook.get_outputs(other.job_id)


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_lost_asset_is_found_in_either_order(hook: MuxHook, simulator: Simulator, newest_first: bool) -> None:
    simulator.settings(mux={"newest_first": newest_first})
    since = datetime.now(timezone.utc)
    for number in range(3):
        hook.submit_job({**BODY, "meta": {"title": f"other {number}"}}, key=f"key-{number}")
    found = hook.find_job("key-1", request=BODY, since=since - timedelta(seconds=1))
    assert found is not None
    assert found.name == "other 1"
    assert hook.find_job("key", request=BODY, since=since) is None


def test_an_upload_becomes_one_asset(hook: MuxHook, simulator: Simulator) -> None:
    content = bytes(range(256)) * 4_000
    upload_id = hook.upload_media(io.BytesIO(content), name="a.mp4", size=len(content), media_type="video/mp4")
    first = hook.submit_job({"upload_id": upload_id}, key="key-1")
    assert hook.submit_job({"upload_id": upload_id}, key="key-1").job_id == first.job_id
    assert simulator.counts("mux")["creates"] == 1
    assert [asset.id for asset in hook.list_assets(upload_id=upload_id)] == [first.job_id]


def test_the_other_endpoints(hook: MuxHook, simulator: Simulator) -> None:
    job = hook.submit_job(BODY)
    assert hook.update_asset(job.job_id, {"passthrough": "changed"}).passthrough == "changed"
    assert hook.create_static_rendition(job.job_id, "720p")["status"] == "preparing"
    assert hook.set_master_access(job.job_id, "none").master is None
    assert len(hook.get_asset(job.job_id).files) == 3
    good, _ = hook.test_connection()
    assert good
