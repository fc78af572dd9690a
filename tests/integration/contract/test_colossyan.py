# SPDX-License-Identifier: Apache-2.0
"""The Colossyan hook against the simulator, from the first call to the bytes of the file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import requests

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.colossyan.hook import KEY_FIELD, ColossyanHook
from airflow_video_providers.jobs import JobState

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

DEFINITION = {
    "videoCreative": {
        "settings": {"name": "Contract", "videoSize": {"width": 1920, "height": 1080}},
        "scenes": [{"tracks": [{"type": "actor", "actor": "karen", "text": "Hello"}]}],
    }
}


@pytest.fixture
def hook(video_connections: Simulator) -> ColossyanHook:
    return ColossyanHook(retry_deadline=10)


def test_a_render_from_its_definition_to_its_bytes(hook: ColossyanHook, simulator: Simulator) -> None:
    job = hook.submit_job({**DEFINITION, "callbackPayload": {"order": 17}}, key="key-1")
    (stored,) = simulator.jobs("colossyan")
    assert stored["request"]["callbackPayload"] == {"order": 17, KEY_FIELD: "key-1"}
    assert not hook.get_job(job.job_id).state.is_terminal
    simulator.move(job.job_id, finish=True)
    seen = hook.get_job(job.job_id)
    assert (seen.state, seen.name, seen.key, seen.progress) == (JobState.SUCCEEDED, "Contract", "key-1", 1.0)
    assert seen.created_at is not None
    outputs = {output.kind: output for output in hook.get_outputs(job.job_id)}
    assert set(outputs) == {"video", "thumbnail", "subtitles"}
    video = outputs["video"]
    assert video.url is not None
    # The link refuses the token, which never goes there.
    content = requests.get(video.url, timeout=30).content
    assert len(content) == video.size
    assert content[4:8] == b"ftyp"
    assert (outputs["subtitles"].content or "").startswith("WEBVTT")


def test_a_render_from_a_template(hook: ColossyanHook, simulator: Simulator) -> None:
    job = hook.submit_job({"templateJobId": "t-1", "dynamicVariables": {"name": "Ada"}, "callbackUrl": ""}, key="k")
    (stored,) = simulator.jobs("colossyan")
    assert stored["job_id"] == job.job_id
    assert stored["request"]["templateJobId"] == "t-1"


@pytest.mark.parametrize("status", ["in_queue", "preprocessing", "preprocessing_finished", "generating"])
def test_every_form_of_progress(hook: ColossyanHook, simulator: Simulator, status: str) -> None:
    job = hook.submit_job(DEFINITION)
    simulator.move(job.job_id, status=status)
    seen = hook.get_job(job.job_id)
    assert seen.vendor_status == status
    assert not seen.state.is_terminal
    assert seen.progress is None or 0 <= seen.progress < 1


def test_a_failed_render_has_no_files(hook: ColossyanHook, simulator: Simulator) -> None:
    job = hook.submit_job(DEFINITION)
    simulator.move(job.job_id, fail="no reason is ever given")
    assert hook.get_job(job.job_id).state is JobState.FAILED
    with pytest.raises(VideoJobFailedError):
        hook.get_outputs(job.job_id)


def test_cancel_ends_a_running_job_and_spares_a_finished_one(hook: ColossyanHook, simulator: Simulator) -> None:
    simulator.settings(render_seconds=600)
    running, finished = hook.submit_job(DEFINITION).job_id, hook.submit_job(DEFINITION).job_id
    simulator.move(finished, finish=True)
    hook.cancel_job(running)
    hook.cancel_job(finished)
    counts = simulator.counts("colossyan")
    assert (counts["cancels"], counts["finished_deletes"]) == (1, 0)
    assert hook.get_outputs(finished)


def test_a_cancel_whose_answer_is_lost_is_looked_after(hook: ColossyanHook, simulator: Simulator) -> None:
    simulator.settings(render_seconds=600)
    job = hook.submit_job(DEFINITION)
    simulator.fault("colossyan", "delete", lose_answer=True)
    hook.cancel_job(job.job_id)
    counts = simulator.counts("colossyan")
    assert (counts["cancels"], counts["finished_deletes"], counts["delete_requests"]) == (1, 0, 1)


@pytest.mark.parametrize("fault", [{"lose_answer": True}, {"answer_status_after_effect": 502}])
def test_a_lost_answer_buys_one_render(hook: ColossyanHook, simulator: Simulator, fault: dict[str, object]) -> None:
    simulator.fault("colossyan", "create", **fault)
    with pytest.raises(VideoApiUnavailableError) as caught:
        hook.submit_job(DEFINITION)
    assert caught.value.outcome_unknown
    assert simulator.counts("colossyan")["creates"] == 1


def test_a_page_in_place_of_the_answer_buys_one_render(hook: ColossyanHook, simulator: Simulator) -> None:
    simulator.fault("colossyan", "create", malformed=True)
    with pytest.raises(VideoApiUnreadableAnswerError) as caught:
        hook.submit_job(DEFINITION)
    assert caught.value.outcome_unknown
    assert simulator.counts("colossyan")["create_requests"] == 1


def test_a_refused_create_is_sent_again(hook: ColossyanHook, simulator: Simulator) -> None:
    simulator.fault("colossyan", "create", status=503, retry_after=0)
    hook.submit_job(DEFINITION)
    counts = simulator.counts("colossyan")
    assert (counts["create_requests"], counts["creates"]) == (2, 1)


def test_each_cause_is_one_clear_error(
    hook: ColossyanHook, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(VideoApiNotFoundError, match=r"GET /video-generation-jobs/\{id\} responded 404"):
        hook.get_job("no-such-job")
    with pytest.raises(VideoApiInvalidRequestError, match="responded 4"):
        hook.submit_job({"videoCreative": {"settings": {}}})
    simulator.fault("colossyan", "status", status=429, retry_after=3600)
    with pytest.raises(VideoApiQuotaError) as caught:
        hook.get_job("any")
    assert caught.value.retry_after == 3600
    key = "not-the-right-token"
    monkeypatch.setenv(
        "AIRFLOW_CONN_WRONG",
        f'{{"conn_type": "colossyan", "host": "{simulator.base_url("colossyan")}", "password": "{key}"}}',
    )
    wrong = ColossyanHook("wrong")
    with caplog.at_level(logging.DEBUG), pytest.raises(VideoApiAuthenticationError) as refused:
        wrong.get_job("any")
    assert key not in str(refused.value) + caplog.text
    assert wrong.test_connection()[0] is False


def test_the_other_endpoints(hook: ColossyanHook, simulator: Simulator) -> None:
    assert hook.get_voices()
    chapter = {"title": "One", "script": "Hello", "searchTerms": ["sea"]}
    assert hook.generate_draft({"title": "T", "description": "D", "chapters": [chapter]}).startswith("https://")
    job = hook.submit_job(DEFINITION)
    simulator.move(job.job_id, finish=True)
    video_id = hook.get_video_generation_job(job.job_id).videoId
    assert video_id is not None
    assert hook.delete_generated_video(video_id).message
    with pytest.raises(VideoApiNotFoundError):
        hook.get_generated_video(video_id)
    assert hook.test_connection()[0] is True


def test_an_avatar_that_was_made_is_listed(hook):
    name = hook.create_actor(display_name="Me", source_file_url="https://files.example/me.jpg", gender="female")
    assert name in [actor.name for actor in hook.get_actors()]
