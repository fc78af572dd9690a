# SPDX-License-Identifier: Apache-2.0
"""The Shotstack hook against the simulator, where the conformance suite says nothing."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_video_providers.exceptions import VideoApiAuthenticationError, VideoApiNotFoundError
from airflow_video_providers.hooks.shotstack import ShotstackHook

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

CLIP = {"asset": {"type": "video", "src": "https://example.com/in.mp4"}, "start": 0, "length": 5}
EDIT = {
    "timeline": {"tracks": [{"clips": [CLIP]}]},
    "output": {"format": "mp4", "resolution": "sd", "poster": {"capture": 1}, "thumbnail": {"capture": 1}},
}


@pytest.fixture
def hook(video_connections: Simulator) -> ShotstackHook:
    return ShotstackHook(retry_deadline=5)


def test_a_timeline_from_the_request_to_its_bytes(hook: ShotstackHook, simulator: Simulator) -> None:
    job = hook.submit_job(EDIT)
    simulator.move(job.job_id, finish=True)
    outputs = {output.label: output for output in hook.get_outputs(job.job_id)}
    assert set(outputs) == {None, "poster", "thumbnail"}
    for label, start in ((None, b"ftyp"), ("poster", b"JFIF")):
        url = outputs[label].url
        assert url is not None
        assert start in requests.get(url, timeout=30).content[:12]


def test_the_own_files_die_and_the_hosted_ones_take_over(hook: ShotstackHook, simulator: Simulator) -> None:
    simulator.settings(shotstack={"file_seconds": 0})
    job = hook.submit_job(EDIT)
    simulator.move(job.job_id, finish=True)
    video = hook.get_outputs(job.job_id)[0]
    assert video.url is not None
    assert requests.get(video.url, timeout=30).status_code == 403
    fresh = hook.refresh_output(job.job_id, video)
    assert fresh.url is not None
    assert requests.get(fresh.url, timeout=30).content[4:8] == b"ftyp"
    simulator.settings(shotstack={"hosting": False})
    with pytest.raises(VideoApiNotFoundError, match="hosts no file"):
        hook.refresh_output(job.job_id, video)


def test_a_source_is_uploaded_and_fetched(hook: ShotstackHook, simulator: Simulator) -> None:
    content = bytes(range(256)) * 4_000
    link = hook.upload_media(io.BytesIO(content), name="a.mp4", size=len(content), media_type="video/mp4")
    assert requests.get(link, timeout=30).content == content
    source = hook.create_source("https://example.com/in.mp4")
    assert hook.get_source(source.id).status == "ready"


def test_the_other_endpoints(hook: ShotstackHook, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hook.get_template(hook.get_templates()[0]["id"])
    job = hook.submit_job(EDIT)
    simulator.move(job.job_id, finish=True)
    asset = hook.get_render_assets(job.job_id)[0]
    assert hook.get_asset(asset.id).filename == asset.filename
    hook.delete_asset(asset.id)
    hook.connection.password = "wrong"
    hook.close()
    with pytest.raises(VideoApiAuthenticationError):
        hook.get_templates()
