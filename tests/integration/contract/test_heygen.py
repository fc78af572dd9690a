# SPDX-License-Identifier: Apache-2.0
"""The HeyGen hook against the simulator, where the conformance suite says nothing."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_video_providers.exceptions import VideoApiPermissionError, VideoApiQuotaError, VideoApiUnavailableError
from airflow_video_providers.hooks.heygen import HeyGenHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

AVATAR = {"type": "avatar", "avatar_id": "A", "voice_id": "V", "script": "Hello", "caption": True}
TEMPLATE = {"template_id": "t-1", "variables": {"name": "Ada"}, "title": "Template"}
AGENT = {"prompt": "A clip for Ada"}


@pytest.fixture
def hook(video_connections: Simulator) -> HeyGenHook:
    return HeyGenHook(retry_deadline=1)


@pytest.mark.parametrize("request_body", [AVATAR, TEMPLATE, AGENT], ids=["avatar", "template", "agent"])
def test_each_form_from_the_request_to_its_bytes(
    hook: HeyGenHook, simulator: Simulator, request_body: dict[str, Any]
) -> None:
    job = hook.submit_job(request_body, key="avp-1")
    simulator.move(job.job_id, finish=True)
    assert hook.get_job(job.job_id).state is JobState.SUCCEEDED
    assert hook.get_jobs([job.job_id])[job.job_id].state is JobState.SUCCEEDED
    starts = {"video": b"ftyp", "subtitles": b"1", "thumbnail": b"JFIF", "image": b"GIF8"}
    for output in hook.get_outputs(job.job_id):
        assert output.url is not None
        assert starts[output.kind] in requests.get(output.url, timeout=30).content[:12]


@pytest.mark.parametrize("request_body", [AVATAR, TEMPLATE], ids=["avatar", "template"])
def test_the_same_key_buys_once_and_another_one_again(
    hook: HeyGenHook, simulator: Simulator, request_body: dict[str, Any]
) -> None:
    simulator.fault("heygen", "create", lose_answer=True)
    with pytest.raises(VideoApiUnavailableError) as caught:
        hook.submit_job(request_body, key="avp-1")
    assert caught.value.outcome_unknown
    job = hook.submit_job(request_body, key="avp-1")
    assert simulator.counts("heygen")["creates"] == 1
    simulator.move(job.job_id, finish=True)
    replayed = hook.submit_job(request_body, key="avp-1")
    assert (replayed.job_id, replayed.state) == (job.job_id, JobState.QUEUED), "as it stood when it was created"
    assert hook.submit_job(request_body, key="avp-2").job_id != job.job_id
    simulator.settings(heygen={"replay_seconds": 0})
    assert hook.submit_job(request_body, key="avp-3").job_id != hook.submit_job(request_body, key="avp-3").job_id


def test_a_create_in_flight_is_told(hook: HeyGenHook, simulator: Simulator) -> None:
    simulator.settings(heygen={"create_seconds": 2})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(hook.create_video, AVATAR, key="avp-1")
        while simulator.counts("heygen")["create_requests"] < 1:
            pass
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.create_video(AVATAR, key="avp-1")
        assert (caught.value.code, caught.value.outcome_unknown) == ("request_in_progress", True)
        assert first.result(30).video_id
    assert simulator.counts("heygen")["creates"] == 1


def test_refusals_make_nothing(hook: HeyGenHook, simulator: Simulator) -> None:
    simulator.settings(heygen={"max_concurrent": 0})
    with pytest.raises(VideoApiQuotaError):
        hook.submit_job(AVATAR, key="avp-1")
    simulator.settings(heygen={"max_concurrent": None, "balance": 0})
    with pytest.raises(VideoApiPermissionError, match="credit"):
        hook.submit_job(AVATAR, key="avp-1")
    assert simulator.counts("heygen")["creates"] == 0


def test_the_other_endpoints(hook: HeyGenHook, simulator: Simulator) -> None:
    batch = hook.create_batch({"videos": [AVATAR, AVATAR]})
    assert [item.item_index for item in hook.get_batch(batch["batch_id"]).items] == [0, 1]
    assert len(hook.get_video_statuses(batch_ids=[batch["batch_id"]])) == 2
    assert len(hook.list_videos(limit=1)) == 1
    content = bytes(range(256)) * 4_000
    asset = hook.upload_media(io.BytesIO(content), name="a.png", size=len(content), media_type="image/png")
    assert [upload["size"] for upload in simulator.uploads()["heygen"]] == [len(content)]
    assert asset
    webhook = hook.create_webhook("http://127.0.0.1:9/hook")
    assert webhook.secret
    assert webhook.secret not in repr(webhook)
    assert hook.rotate_webhook_secret(webhook.endpoint_id).secret != webhook.secret
    assert [found.secret for found in hook.get_webhooks()] == [None]
    hook.delete_webhook(webhook.endpoint_id)
    assert hook.get_webhooks() == []
    assert hook.get_webhook_events() == []
    video = hook.list_videos()[0]
    hook.delete_video(video.id)
    assert hook.get_jobs([video.id]) == {}
    good, text = hook.test_connection()
    assert good
    assert "holds 100 USD." in text
