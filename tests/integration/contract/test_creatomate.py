# SPDX-License-Identifier: Apache-2.0
"""The Creatomate hook against the simulator, where the conformance suite says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_video_providers.exceptions import VideoApiPermissionError
from airflow_video_providers.hooks.creatomate import CreatomateHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

TEMPLATE = {"template_id": "template-1", "modifications": {"Title.text": "Hello"}}
SCRIPT = {"output_format": "mp4", "width": 640, "height": 360, "elements": [{"type": "text", "text": "Hello"}]}


@pytest.fixture
def hook(video_connections: Simulator) -> CreatomateHook:
    return CreatomateHook(retry_deadline=5)


@pytest.mark.parametrize("request_body", [TEMPLATE, SCRIPT], ids=["template", "script"])
def test_each_form_from_the_request_to_its_bytes(
    hook: CreatomateHook, simulator: Simulator, request_body: dict[str, Any]
) -> None:
    job = hook.submit_job(request_body, key="key-1")
    assert hook.get_render(job.job_id).url, "the link is there from the start"
    assert hook.get_job(job.job_id).key == "key-1"
    simulator.move(job.job_id, finish=True)
    assert hook.get_job(job.job_id).state is JobState.SUCCEEDED
    video, snapshot = hook.get_outputs(job.job_id)
    assert video.url is not None
    assert snapshot.url is not None
    content = requests.get(video.url, timeout=30).content
    assert (content[4:8], len(content)) == (b"ftyp", video.size)
    assert requests.get(snapshot.url, timeout=30).content.startswith(b"\xff\xd8")


def test_a_check_costs_nothing(hook: CreatomateHook, simulator: Simulator) -> None:
    assert hook.validate_render(TEMPLATE).valid
    bad = hook.validate_render({"modifications": {}})
    assert not bad.valid
    assert bad.errors
    assert simulator.counts("creatomate")["creates"] == 0


def test_no_credits_means_no_render(hook: CreatomateHook, simulator: Simulator) -> None:
    simulator.settings(creatomate={"credits_are_used_up": True})
    with pytest.raises(VideoApiPermissionError, match="not enough credits") as caught:
        hook.submit_job(TEMPLATE)
    assert not caught.value.outcome_unknown
    assert simulator.counts("creatomate")["creates"] == 0


def test_tags_make_several(hook: CreatomateHook, simulator: Simulator) -> None:
    renders = hook.create_renders({"tags": ["welcome"], "modifications": {"Title.text": "Hello"}})
    assert len(renders) == simulator.counts("creatomate")["creates"] == len(hook.get_templates()) == 2
    good, text = hook.test_connection()
    assert good
    assert "2 templates" in text
