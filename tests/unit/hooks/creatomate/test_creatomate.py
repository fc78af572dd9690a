# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    VideoApiInvalidRequestError,
    VideoApiPermissionError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoJobError,
)
from airflow_video_providers.hooks.creatomate import CreatomateHook
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

RENDER = {
    "id": "a862b831-1b3e-4c3a-8a1d-1f8f1f1f1f1f",
    "status": "planned",
    "url": "https://cdn.invalid/a862b831.mp4",
    "template_id": "T",
    "template_name": "Welcome",
    "output_format": "mp4",
}
BODY = {"template_id": "T", "modifications": {"Title": "Hello"}}
READ = f"/v2/renders/{RENDER['id']}"


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> CreatomateHook:
    connection = {"conn_type": "creatomate", "host": local_api.url, "password": "k3y"}
    monkeypatch.setenv("AIRFLOW_CONN_CREATOMATE_DEFAULT", json.dumps(connection))
    return CreatomateHook()


class TestSubmit:
    def test_the_key_goes_into_metadata(self, hook: CreatomateHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v2/renders", Answer(status=202, json=RENDER))
        job = hook.submit_job(BODY, key="key-1")
        assert (job.job_id, job.state, job.name, job.key) == (RENDER["id"], JobState.QUEUED, "Welcome", "key-1")
        (request,) = local_api.received
        assert request.json() == {**BODY, "metadata": "key-1"}
        assert request.headers["authorization"] == "Bearer k3y"

    def test_metadata_of_the_user_stays(self, hook: CreatomateHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v2/renders", Answer(status=202, json={**RENDER, "metadata": "order 7"}))
        hook.submit_job({**BODY, "metadata": "order 7"}, key="key-1")
        assert local_api.received[0].json()["metadata"] == "order 7"

    def test_what_the_vendor_remarks_on_a_render_that_it_takes_is_in_the_log(
        self, hook: CreatomateHook, local_api: LocalApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        remarks = {"errors": [{"message": "Element 'Titel' was not found."}], "warnings": ["The font is missing."]}
        local_api.on("POST", "/v2/renders", Answer(status=202, json={**RENDER, **remarks}))
        assert hook.submit_job(BODY).job_id == RENDER["id"]
        assert "Element 'Titel' was not found." in caplog.text
        assert "The font is missing." in caplog.text

    @pytest.mark.parametrize(("field", "value"), [("dry_run", True), ("tags", ["a"])])
    def test_what_renders_nothing_or_many_is_not_sent(
        self, hook: CreatomateHook, local_api: LocalApi, field: str, value: Any
    ) -> None:
        with pytest.raises(VideoConfigurationError, match=field):
            hook.submit_job({**BODY, field: value})
        assert local_api.count() == 0

    @pytest.mark.parametrize(
        ("status", "error"), [(400, VideoApiInvalidRequestError), (402, VideoApiPermissionError)], ids=["400", "402"]
    )
    def test_a_refusal_shows_the_hint(
        self, hook: CreatomateHook, local_api: LocalApi, status: int, error: type[Exception]
    ) -> None:
        local_api.on("POST", "/v2/renders", Answer(status=status, json={"hint": "Not enough credits."}))
        with pytest.raises(error, match="Not enough credits") as caught:
            hook.submit_job(BODY)
        assert not caught.value.outcome_unknown  # type: ignore[attr-defined]

    def test_a_lost_answer_is_sent_once_and_unknown(self, hook: CreatomateHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v2/renders", Answer(status=502))
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job(BODY)
        assert caught.value.outcome_unknown
        assert local_api.count() == 1


class TestOutputs:
    def test_a_link_before_the_end_is_no_file(self, hook: CreatomateHook, local_api: LocalApi) -> None:
        local_api.on("GET", READ, Answer(json={**RENDER, "status": "rendering"}))
        with pytest.raises(VideoJobError, match="wait until it has finished"):
            hook.get_outputs(str(RENDER["id"]))

    @pytest.mark.parametrize(("form", "kind"), [("mp4", "video"), ("png", "image"), ("gif", "image")])
    def test_kind_size_and_snapshot(self, hook: CreatomateHook, local_api: LocalApi, form: str, kind: str) -> None:
        done = {**RENDER, "status": "succeeded", "output_format": form, "file_size": 9, "duration": 4.5}
        local_api.on("GET", READ, Answer(json={**done, "snapshot_url": "https://cdn.invalid/s.jpg"}))
        file, snapshot = hook.get_outputs(str(RENDER["id"]))
        assert (file.kind, file.size, file.duration_seconds, snapshot.kind) == (kind, 9, 4.5, "thumbnail")


def test_a_failure_has_its_reason(hook: CreatomateHook, local_api: LocalApi) -> None:
    local_api.on("GET", READ, Answer(json={**RENDER, "status": "failed", "error_message": "source not found"}))
    job = hook.get_job(str(RENDER["id"]))
    assert job.state is JobState.FAILED
    assert str(job.error) == "source not found"


def test_there_is_no_cancel(hook: CreatomateHook, local_api: LocalApi) -> None:
    assert not hook.can_cancel
    with pytest.raises(VideoConfigurationError, match="no way to cancel"):
        hook.cancel_job(str(RENDER["id"]))
    assert local_api.count() == 0
