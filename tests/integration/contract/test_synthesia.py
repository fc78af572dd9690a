# SPDX-License-Identifier: Apache-2.0
"""The Synthesia hook against the simulator, where the conformance suite says nothing."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_video_providers.hooks.synthesia import SynthesiaHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

SCENES = {"input": [{"avatar": "anna", "background": "off_white", "scriptText": "Hello"}], "title": "Scenes"}
TEMPLATE = {"templateId": "t-1", "templateData": {"name": "Ada"}, "title": "Template", "test": True}


@pytest.fixture
def hook(video_connections: Simulator) -> SynthesiaHook:
    return SynthesiaHook(retry_deadline=5)


@pytest.mark.parametrize("request_body", [SCENES, TEMPLATE], ids=["scenes", "template"])
def test_each_form_from_the_request_to_its_bytes(
    hook: SynthesiaHook, simulator: Simulator, request_body: dict[str, Any]
) -> None:
    job = hook.submit_job(request_body, key="key-1")
    simulator.move(job.job_id, finish=True)
    assert hook.get_job(job.job_id).state is JobState.SUCCEEDED
    starts = {"video": b"ftyp", "vtt": b"WEBVTT", "srt": b"1", "thumbnail": b"JFIF", "gif": b"GIF8"}
    for output in hook.get_outputs(job.job_id):
        assert output.url is not None
        assert starts[output.label or output.kind] in requests.get(output.url, timeout=30).content[:12]


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_lost_video_is_found_in_either_order(hook: SynthesiaHook, simulator: Simulator, newest_first: bool) -> None:
    simulator.settings(synthesia={"newest_first": newest_first})
    since = datetime.now(timezone.utc) - timedelta(seconds=2)
    jobs = [hook.submit_job(SCENES, key=f"key-{number}") for number in range(3)]
    found = hook.find_job("key-1", request=SCENES, since=since)
    assert found is not None
    assert found.job_id == jobs[1].job_id


def test_moderation_is_told(hook: SynthesiaHook, simulator: Simulator) -> None:
    job = hook.submit_job({**SCENES, "title": "no [rejected]"})
    simulator.move(job.job_id, fail="moderation")
    simulator.move(job.job_id, error={"code": "rejected", "message": "moderation"})
    seen = hook.get_job(job.job_id)
    assert (seen.state, seen.vendor_status) == (JobState.FAILED, "rejected")


def test_the_other_endpoints(hook: SynthesiaHook, simulator: Simulator) -> None:
    job = hook.submit_job(SCENES)
    assert hook.update_video(job.job_id, {"title": "Changed"}).title == "Changed"
    assert [item.id for item in hook.list_videos(limit=10)] == [job.job_id]
    assert hook.get_templates()
    webhook = hook.create_webhook("http://127.0.0.1:9/hook")
    assert webhook.secret
    assert webhook.secret not in repr(webhook)
    hook.delete_video(job.job_id)
    assert hook.get_job(job.job_id).state is JobState.CANCELLED
