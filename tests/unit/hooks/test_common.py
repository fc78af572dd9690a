# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_video_providers.api.errors import VendorError
from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiAuthenticationError,
    VideoApiInvalidRequestError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoOutputNotReadyError,
)
from airflow_video_providers.hooks import common
from airflow_video_providers.hooks.common import count_of, missing_link, state_of
from airflow_video_providers.hooks.schemas import VendorModel
from airflow_video_providers.jobs import JobState, VideoJob
from tests.support.local_api import Answer, LocalApi
from tests.unit.hooks.test_base import AcmeHook


class Job(VendorModel):
    id: str
    title: str | None = None


class Message(VendorModel):
    message: str | None = None


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, local_api: LocalApi) -> AcmeHook:
    connection = {"conn_type": "acme", "password": "k3y", "host": local_api.url, "extra": {"retry_deadline": 5}}
    monkeypatch.setenv("AIRFLOW_CONN_ACME_DEFAULT", json.dumps(connection))
    return AcmeHook()


class TestFetch:
    def test_an_id_is_one_segment_of_the_path_and_none_is_left_out_of_the_query(
        self, hook: AcmeHook, local_api: LocalApi
    ) -> None:
        local_api.on("GET", "/jobs/a%2F..%2Fb", Answer(json={"id": "1"}))
        params = {"expand": True, "limit": 5, "after": None}
        assert hook.fetch(Job, "GET", "/jobs/{id}", id="a/../b", params=params).id == "1"
        assert local_api.received[0].query == {"expand": ["true"], "limit": ["5"]}
        assert local_api.received[0].headers["x-key"] == "k3y"

    def test_an_id_of_several_segments_keeps_its_slashes_but_names_no_other_path(
        self, hook: AcmeHook, local_api: LocalApi
    ) -> None:
        local_api.on("POST", "/models/acme/film%3F/v1", Answer(json={"id": "1"}))
        assert hook.fetch(Job, "POST", "/models/{model:path}", model="acme/film?/v1", json={"a": 1}).id == "1"
        assert local_api.received[0].json() == {"a": 1}
        for odd in ("acme/../secrets", "acme//v1", "/v1"):
            with pytest.raises(VideoConfigurationError, match="not an id"):
                hook.fetch(Job, "POST", "/models/{model:path}", model=odd)
        assert local_api.count() == 1

    @pytest.mark.parametrize("missing", [None, "", "None", "..", "\ud800"])
    def test_a_missing_id_is_never_sent(self, hook: AcmeHook, local_api: LocalApi, missing: Any) -> None:
        with pytest.raises(VideoConfigurationError, match="not an id"):
            hook.fetch(Job, "GET", "/jobs/{id}", id=missing)
        assert local_api.count() == 0

    def test_ids_that_are_not_those_of_the_path_are_a_fault_of_the_hook(self, hook: AcmeHook) -> None:
        with pytest.raises(TypeError, match="job_id"):
            hook.fetch(Job, "GET", "/jobs/{id}", job_id="1")

    def test_any_type_can_be_asked_for(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs", Answer(json=[{"id": "1"}, {"id": "2"}]))
        local_api.on("GET", "/credits", Answer(json={"data": {"left": 7}}))
        local_api.on("DELETE", "/jobs/1", Answer(status=204))
        assert [job.id for job in hook.fetch(list[Job], "GET", "/jobs")] == ["1", "2"]
        assert hook.fetch(dict[str, int], "GET", "/credits", envelope="data") == {"left": 7}
        assert hook.fetch(None, "DELETE", "/jobs/{id}", id="1") is None
        assert hook.fetch(Message, "DELETE", "/jobs/{id}", id="1") == Message()

    @pytest.mark.parametrize(
        ("answer", "envelope", "named"),
        [
            ({"title": "x"}, None, "id: Field required"),
            ({"title": "x"}, "data", "data: Field required"),
            ({"data": {"title": "x"}}, "data", "id: Field required"),
            ([1], "data", "dictionary"),
        ],
    )
    def test_a_response_that_cannot_be_read_names_the_field_the_call_and_that_the_outcome_is_unknown(
        self, hook: AcmeHook, local_api: LocalApi, answer: Any, envelope: str | None, named: str
    ) -> None:
        for method in ("GET", "POST"):
            local_api.on(method, "/jobs/1", Answer(json=answer))
            with pytest.raises(VideoApiUnreadableAnswerError, match=named) as raised:
                hook.fetch(Job, method, "/jobs/{id}", id="1", envelope=envelope)
            assert raised.value.endpoint == f"{method} /jobs/{{id}}"
            assert raised.value.outcome_unknown is (method == "POST")

    def test_a_post_that_is_refused_is_sent_once(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/jobs", Answer(status=422, json={"message": "no"}))
        with pytest.raises(VideoApiInvalidRequestError, match="no"):
            hook.fetch(Job, "POST", "/jobs", json={})
        assert local_api.count() == 1


def test_a_link_that_is_missing_is_an_error_of_its_own() -> None:
    done = VideoJob(vendor="acme", job_id="7", state=JobState.SUCCEEDED, vendor_status="succeeded")
    error = missing_link(done, "download_url", endpoint="GET /jobs/{id}")
    assert isinstance(error, VideoOutputNotReadyError)
    assert "job 7 is succeeded, but the response names no download_url" in str(error)


def test_the_log_does_not_grow_with_unknown_statuses(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "_TOLD_STATUSES", set())
    for number in range(2000):
        assert state_of("acme", f"odd {number}", {}) is JobState.RUNNING
    assert len(caplog.records) == 256


def test_the_errors_of_a_vendor_are_a_method_and_its_statuses_an_attribute(
    hook: AcmeHook, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AcmeHook, "parse_error", lambda self, body: VendorError(message=body["said"]))
    monkeypatch.setattr(AcmeHook, "error_causes", {418: VideoApiAuthenticationError})
    local_api.on("GET", "/jobs/1", Answer(status=418, json={"said": "no tea"}))
    with pytest.raises(VideoApiAuthenticationError, match="no tea"):
        hook.fetch(Job, "GET", "/jobs/{id}", id="1")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 avatars"), (1, "1 avatar"), (1.0, "1 avatar"), (2.5, "2.5 avatars"), (100, "100 avatars")],
)
def test_a_count_is_in_the_singular_for_one(number: float, text: str) -> None:
    assert count_of(number, "avatar") == text


@pytest.mark.parametrize("free", [{}, {"note": None}, {"note": ""}, {"note": "key-1"}])
def test_the_key_fills_a_field_that_is_free(free: dict[str, Any]) -> None:
    assert common.fill_key({"a": 1, **free}, "note", "key-1") == {"a": 1, "note": "key-1"}
    assert common.fill_key(free, "note", None) == free


def test_a_field_of_the_users_own_is_not_overwritten() -> None:
    with pytest.raises(SubmissionKeyConflictError, match="'note'"):
        common.fill_key({"note": "mine"}, "note", "key-1")
