# SPDX-License-Identifier: Apache-2.0
"""The Hour One hook against the simulator, from the first call to the bytes of the file."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoJobCancelledError,
    VideoJobFailedError,
    VideoOutputNotReadyError,
)
from airflow_video_providers.hooks.hourone import HourOneHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

OVERRIDE = {"source_draft_id": "d1", "name": "Contract", "scenes": [{"name": "s1", "transcript": "Hello"}]}
NOW = datetime.now(timezone.utc)


@pytest.fixture
def hook(video_connections: Simulator) -> HourOneHook:
    return HourOneHook(retry_deadline=10)


@pytest.mark.parametrize(
    "body",
    [
        OVERRIDE,
        {
            "type": "create",
            "template_id": "t",
            "character_id": "c",
            "voice_id": "v",
            "name": "Contract",
            "scenes": [{"name": "s1", "layout_id": "l"}],
        },
        {"type": "workflow", "workflow_id": "w", "variables": [{"name": "who", "value": "you"}], "name": "Contract"},
        {"name": "Contract", "template_id": "t", "character_id": "c", "voice_id": "v", "scenes": []},
    ],
    ids=["override", "create", "workflow", "without a type"],
)
def test_each_form_from_the_request_to_its_bytes(hook: HourOneHook, simulator: Simulator, body: dict[str, Any]) -> None:
    job = hook.submit_job(body, key="key-1")
    assert (job.state, job.key) == (JobState.QUEUED, "key-1")
    simulator.move(job.job_id, finish=True)
    seen = hook.get_job(job.job_id)
    assert (seen.state, seen.progress, seen.key) == (JobState.SUCCEEDED, 1.0, "key-1")
    assert seen.page_url
    (video,) = hook.get_outputs(job.job_id)
    assert video.url is not None
    assert requests.get(video.url, timeout=30).content[4:8] == b"ftyp"
    assert hook.get_video_metadata(job.job_id).duration


def test_a_lost_answer_is_found_by_its_key(hook: HourOneHook, simulator: Simulator) -> None:
    simulator.fault("hourone", "create", lose_answer=True)
    request = {**OVERRIDE, "correlation_id": "order-17"}
    with pytest.raises(VideoApiUnavailableError) as caught:
        hook.submit_job(request, key="key-1")
    assert caught.value.outcome_unknown
    hook.submit_job(request, key="key-2")
    found = hook.find_job("key-1", request=request, since=NOW)
    first, _ = simulator.jobs("hourone")
    assert found is not None
    assert found.job_id == first["job_id"]
    assert first["request"]["correlation_id"] == "order-17|key-1"
    assert hook.find_job("key-3", request=request, since=NOW) is None


def test_a_video_beyond_a_cut_list_is_not_taken_for_absent(
    hook: HourOneHook, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        hook.submit_job(OVERRIDE, key=f"key-{number}")
    simulator.settings(hourone={"list_shows": 10})
    fields = {**simulator.connection("hourone"), "extra": {}}
    monkeypatch.setenv("AIRFLOW_CONN_DEFAULTS", json.dumps(fields))
    defaults = HourOneHook("defaults")
    with pytest.raises(VideoApiUnreadableAnswerError, match="list of 10 may be cut"):
        defaults.find_job("key-0", request=OVERRIDE, since=NOW)
    found = defaults.find_job("key-2", request=OVERRIDE, since=NOW)
    assert found is not None
    assert found.key == "key-2"
    simulator.settings(hourone={"list_shows": None})
    assert hook.find_job("key-99", request=OVERRIDE, since=NOW) is None  # its connection says that the list is whole


def test_a_video_that_is_ready_on_a_plan_without_downloads(hook: HourOneHook, simulator: Simulator) -> None:
    job = hook.submit_job(OVERRIDE)
    simulator.settings(hourone={"plan_has_downloads": False})
    simulator.move(job.job_id, finish=True)
    with pytest.raises(VideoOutputNotReadyError, match="a free plan cannot download"):
        hook.get_outputs(job.job_id)


@pytest.mark.parametrize("fields", [{"fail": "x"}, {"status": "stopped"}, {"status": "cancelled"}])
def test_a_dead_video_is_not_found(hook: HourOneHook, simulator: Simulator, fields: dict[str, Any]) -> None:
    job = hook.submit_job(OVERRIDE, key="key-1")
    simulator.move(job.job_id, **fields)
    assert hook.find_job("key-1", request=OVERRIDE, since=NOW) is None
    expected = VideoJobFailedError if "fail" in fields else VideoJobCancelledError
    with pytest.raises(expected):
        hook.get_outputs(job.job_id)


def test_many_jobs_by_one_request(hook: HourOneHook, simulator: Simulator) -> None:
    ids = [hook.submit_job({**OVERRIDE, "name": f"Video {number}"}).job_id for number in range(5)]
    simulator.move(ids[1], status="not_started", progress=-1)
    jobs = hook.get_jobs(ids)
    assert set(jobs) == set(ids)
    assert jobs[ids[1]].progress == 0
    assert (simulator.counts("hourone")["lists"], simulator.counts("hourone")["polls"]) == (1, 0)


def test_cancel_ends_a_running_video_and_spares_a_finished_one(hook: HourOneHook, simulator: Simulator) -> None:
    simulator.settings(render_seconds=600)
    running, finished = hook.submit_job(OVERRIDE).job_id, hook.submit_job(OVERRIDE).job_id
    simulator.move(finished, finish=True)
    hook.cancel_job(running)
    hook.cancel_job(finished)
    counts = simulator.counts("hourone")
    assert (counts["cancels"], counts["finished_deletes"]) == (1, 0)
    assert hook.get_outputs(finished)


def test_a_connection_written_as_a_uri(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    host = quote(simulator.base_url("hourone"), safe="")
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", f"hourone://:simulator@{host}/?workspace_id=w-1&team_id=t-1")
    job = HourOneHook("team").submit_job(OVERRIDE)
    assert [stored["job_id"] for stored in simulator.jobs("hourone")] == [job.job_id]


def test_each_cause_is_one_clear_error(
    hook: HourOneHook, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VideoApiNotFoundError, match=r"GET /videos/\{video_id\} responded 404"):
        hook.get_job("no-such-video")
    with pytest.raises(VideoApiInvalidRequestError, match="scenes") as caught:
        hook.submit_job({"type": "override", "source_draft_id": "d1"})
    assert caught.value.status == 422
    assert caught.value.fields
    assert simulator.counts("hourone")["creates"] == 0
    monkeypatch.setenv(
        "AIRFLOW_CONN_WRONG",
        f'{{"conn_type": "hourone", "host": "{simulator.base_url("hourone")}", "password": "not-the-key"}}',
    )
    wrong = HourOneHook("wrong")
    with pytest.raises(VideoApiAuthenticationError, match="Check the key"):
        wrong.get_videos()
    good, text = wrong.test_connection()
    assert not good
    assert "not-the-key" not in text


def test_the_other_endpoints(hook: HourOneHook, simulator: Simulator) -> None:
    job = hook.submit_job(OVERRIDE, key="key-1")
    simulator.move(job.job_id, finish=True)
    subtitles = hook.create_subtitles(job.job_id, language_code="de", format="srt")
    assert "-->" in requests.get(subtitles.url, timeout=30).text
    simulator.settings(hourone={"render_seconds": 0.1})
    task = hook.create_voice_preview(transcript="Hello", source_draft_id="d1")
    for _ in range(100):
        preview = hook.get_voice_preview(task.id)
        if preview.status == "ready":
            break
        time.sleep(0.05)
    assert preview.url
    for breakdown in ("daily", "weekly", "monthly"):
        summary = hook.get_analytics_summary(breakdown=breakdown, from_date=NOW.date(), correlation_id="key-1")  # type: ignore[arg-type]
        assert [span.videos_created for span in summary] == [1]
    assert hook.get_analytics_summary(correlation_id="key-2") == []
    accepted, message = hook.test_connection()
    assert accepted
    assert message.startswith("Hour One accepted the API key; the account shows 1 video.")
    hook.delete_video(job.job_id)
    with pytest.raises(VideoApiNotFoundError):
        hook.get_video(job.job_id)
