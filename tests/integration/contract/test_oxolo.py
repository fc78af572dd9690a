# SPDX-License-Identifier: Apache-2.0
"""The Oxolo hook against the simulator, from the first call to the bytes of the file."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.oxolo import OxoloHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

URL = {"mode": "url", "url": "https://shop.example/p/1", "template_id": "t-1"}
FORM = {"mode": "form", "template_id": "t-1", "title": "Contract", "text": "Hello", "media": ["m-1"]}
PRODUCT = {**FORM, "mode": "product", "short_description": "s", "long_description": "l"}


@pytest.fixture
def hook(video_connections: Simulator) -> OxoloHook:
    return OxoloHook(retry_deadline=10)


@pytest.mark.parametrize("request_body", [URL, FORM, PRODUCT], ids=["url", "form", "product"])
def test_each_mode_from_the_request_to_its_bytes(
    hook: OxoloHook, simulator: Simulator, request_body: dict[str, Any]
) -> None:
    job = hook.submit_job(request_body)
    (stored,) = simulator.jobs("oxolo")
    assert "mode" not in stored["request"]
    running = hook.get_job(job.job_id)
    assert running.state is JobState.RUNNING
    assert running.stage
    simulator.move(job.job_id, finish=True)
    seen = hook.get_job(job.job_id)
    assert (seen.state, seen.progress) == (JobState.SUCCEEDED, 1.0)
    assert hook.get_video(job.job_id).generated_from == request_body["mode"].upper()
    assert hook.get_video_status(job.job_id) == "done"
    outputs = {output.kind: output for output in hook.get_outputs(job.job_id)}
    assert set(outputs) == {"video", "thumbnail", "subtitles"}
    assert outputs["video"].url is not None
    assert outputs["subtitles"].url is not None
    assert requests.get(outputs["video"].url, timeout=30).content[4:8] == b"ftyp"
    assert requests.get(outputs["subtitles"].url, timeout=30).text.startswith("WEBVTT")


@pytest.mark.parametrize("request_body", [URL, FORM, PRODUCT], ids=["url", "form", "product"])
def test_a_lost_answer_is_found_by_its_likeness(
    hook: OxoloHook, simulator: Simulator, request_body: dict[str, Any]
) -> None:
    since = datetime.now(timezone.utc)
    simulator.fault("oxolo", "create", lose_answer=True)
    with pytest.raises(VideoApiUnavailableError) as caught:
        hook.submit_job(request_body)
    assert caught.value.outcome_unknown
    hook.submit_job({**request_body, "title": "Another", "url": "https://shop.example/p/2"})
    first, _ = simulator.jobs("oxolo")
    found = hook.find_job("key-1", request=request_body, since=since)
    assert found is not None
    assert found.job_id == first["job_id"]
    assert hook.find_job("key-1", request=request_body, since=since + timedelta(hours=1)) is None
    simulator.move(first["job_id"], fail="x")
    assert hook.find_job("key-1", request=request_body, since=since) is None


def test_a_failed_render_has_no_files(hook: OxoloHook, simulator: Simulator) -> None:
    job = hook.submit_job(FORM)
    simulator.move(job.job_id, fail="x")
    with pytest.raises(VideoJobFailedError):
        hook.get_outputs(job.job_id)


def test_an_image_is_uploaded(hook: OxoloHook, simulator: Simulator) -> None:
    content = bytes(range(256)) * 20_000
    media_id = hook.upload_media(io.BytesIO(content), name="a.png", size=len(content), media_type="image/png")
    (uploaded,) = simulator.uploads()["oxolo"]
    assert uploaded["size"] == len(content)
    assert [media["id"] for media in hook.get_media_list()] == [media_id]
    assert hook.get_media(media_id)["name"] == "a.png"
    hook.delete_media(media_id)
    assert hook.get_media_list(skip=0, take=5) == []


def test_each_cause_is_one_clear_error(hook: OxoloHook, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VideoApiNotFoundError, match=r"GET /videos/\{id\} responded 404"):
        hook.get_job("no-such-video")
    with pytest.raises(VideoApiInvalidRequestError, match="POST /videos/create/form"):
        hook.submit_job({"mode": "form", "template_id": "t-1"})
    assert simulator.counts("oxolo")["creates"] == 0
    monkeypatch.setenv(
        "AIRFLOW_CONN_WRONG",
        f'{{"conn_type": "oxolo", "host": "{simulator.base_url("oxolo")}", "password": "not-the-key"}}',
    )
    wrong = OxoloHook("wrong")
    with pytest.raises(VideoApiAuthenticationError, match="Check the key"):
        wrong.get_credits()
    good, text = wrong.test_connection()
    assert not good
    assert "not-the-key" not in text


def test_the_other_endpoints(hook: OxoloHook, simulator: Simulator) -> None:
    before = hook.get_credits()
    first, second = hook.submit_job(FORM).job_id, hook.submit_job(URL).job_id
    assert hook.get_credits() == before - 10
    assert hook.get_plan()
    assert [item.identifier for item in hook.get_videos()] == [first, second]
    newest = hook.get_videos(sort_field="created", sort_type="desc")
    assert [item.identifier for item in newest] == [second, first]
    assert newest[0].created is not None
    actors = hook.get_catalogue(filter="ACTOR", skip=0, take=2)
    assert len(actors) == 2
    assert hook.get_catalogue_item(next(iter(actors)))
    assert hook.delete_video(first) == first
    with pytest.raises(VideoApiNotFoundError):
        hook.get_video(first)
    system = {"webhookUrl": "http://127.0.0.1:9/hook", "header": "x-token", "token": "t", "method": "POST"}
    simulator.settings(oxolo={"webhook_systems": {"s-1": system}})
    webhook = hook.subscribe_webhook(event_type="videoUpdateStatus", system_id="s-1")
    assert webhook.systemId == "s-1"
    assert "simulator" not in repr(webhook)
    good, text = hook.test_connection()
    assert good
    assert "balance is" in text
