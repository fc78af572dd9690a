# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import json
import logging
from datetime import datetime, timezone
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
from airflow_video_providers.hooks.common import (
    count_of,
    each_readable,
    missing_link,
    oldest_usable,
    pages,
    poll_by_list,
    readable,
    state_of,
)
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


class TestPages:
    def read(self, **kwargs: Any) -> list[Any]:
        return list(pages(vendor="acme", endpoint="GET /jobs", **kwargs))

    def test_tokens_are_followed_to_the_end_also_from_an_empty_page(self) -> None:
        answers: dict[str | None, tuple[list[int], str | None]] = {
            None: ([1, 2], "a"),
            "a": ([], "b"),
            "b": ([3], ""),
        }
        assert self.read(read=answers.__getitem__) == [1, 2, 3]

    def test_offsets_end_with_an_empty_page(self) -> None:
        asked: list[int | None] = []

        def read(offset: int | None) -> tuple[list[int], int | None]:
            asked.append(offset)
            start = offset or 0
            return list(range(start, min(start + 2, 4))), start + 2

        assert self.read(read=read) == [0, 1, 2, 3]
        assert asked == [None, 2, 4]

    def test_only_the_pages_that_are_needed_are_asked_for(self) -> None:
        asked: list[int | None] = []

        def read(offset: int | None) -> tuple[list[int], int | None]:
            asked.append(offset)
            return [1, 2], (offset or 0) + 2

        assert next(pages(read, vendor="acme", endpoint="GET /jobs")) == 1
        assert asked == [None]

    def test_a_token_that_came_before_ends_the_list(self) -> None:
        asked = itertools.count()
        assert self.read(read=lambda token: ([next(asked)], "again")) == [0, 1]

    @pytest.mark.parametrize(("length", "read_at_most"), [(1, 1_000), (1_000, 100), (0, 1_000)])
    def test_a_list_without_an_end_is_an_error(self, length: int, read_at_most: int) -> None:
        asked = itertools.count(1)
        count = 0

        def read(token: str | None) -> tuple[list[int], str | None]:
            nonlocal count
            count = next(asked)
            return [0] * length, f"token-{count}"

        with pytest.raises(VideoApiUnreadableAnswerError, match=f"does not end: {length * read_at_most} items"):
            self.read(read=read)
        assert count == read_at_most


def job(job_id: str, state: JobState = JobState.RUNNING, day: int | None = None) -> VideoJob:
    created = None if day is None else datetime(2026, 1, day, tzinfo=timezone.utc)
    return VideoJob(vendor="acme", job_id=job_id, state=state, vendor_status=state.value, created_at=created)


class TestOldestUsable:
    def find(self, *jobs: VideoJob, unread: int = 0) -> str | None:
        found = oldest_usable(jobs, unread=unread, vendor="acme", endpoint="GET /jobs")
        return found and found.job_id

    def test_the_oldest_that_has_not_failed_is_taken_and_the_others_are_named(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            assert self.find(job("3", day=3), job("1", JobState.FAILED, 1), job("2", day=2)) == "2"
        assert "not 3" in caplog.text

    def test_none_is_usable(self) -> None:
        assert self.find(job("1", JobState.FAILED), job("2", JobState.CANCELLED)) is None
        assert self.find() is None

    def test_one_that_cannot_be_read_may_be_it(self) -> None:
        assert self.find(job("1"), unread=1) == "1"
        with pytest.raises(VideoApiUnreadableAnswerError, match="2 of the list cannot be read"):
            self.find(job("1", JobState.FAILED), unread=2)


def test_a_link_that_is_missing_is_an_error_of_its_own() -> None:
    error = missing_link(job("7", JobState.SUCCEEDED), "download_url", endpoint="GET /jobs/{id}")
    assert isinstance(error, VideoOutputNotReadyError)
    assert "job 7 is succeeded, but the response names no download_url" in str(error)


class TestLists:
    def test_each_item_is_read_in_its_place(self) -> None:
        items = [{"id": "1"}, {"id": None}, "odd", {"id": "2"}]
        read = each_readable(Job, items, vendor="acme", endpoint="GET /jobs")
        assert [item and item.id for item in read] == ["1", None, None, "2"]

    def test_the_log_does_not_grow_with_what_cannot_be_read(self, caplog: pytest.LogCaptureFixture) -> None:
        items = [{"id": "1"}, *[{"id": None}] * 1000]
        good, bad = readable(Job, items, vendor="acme", endpoint="GET /jobs")
        assert (len(good), bad) == (1, items[1:])
        (line,) = [record.getMessage() for record in caplog.records]
        assert "1000 of the list's items cannot be read (id)" in line

    def test_the_log_does_not_grow_with_unknown_statuses(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(common, "_TOLD_STATUSES", set())
        for number in range(2000):
            assert state_of("acme", f"odd {number}", {}) is JobState.RUNNING
        assert len(caplog.records) == 256

    def test_a_list_is_read_until_all_that_is_wanted_is_found(self) -> None:
        listed = iter([None, *(Job(id=str(number)) for number in range(1000))])
        found = poll_by_list(listed, ["3", "1"], id_of=lambda job: job.id, most=500)
        assert sorted(found) == ["1", "3"]
        assert next(listed) == Job(id="4")

    def test_no_more_of_a_list_is_read_than_that(self) -> None:
        listed = iter([Job(id=str(number)) for number in range(1000)])
        assert set(poll_by_list(listed, ["3", "700"], id_of=lambda job: job.id, most=500)) == {"3"}
        assert next(listed) == Job(id="500")

    def test_nothing_is_read_for_nobody(self) -> None:
        listed = iter([Job(id="1")])
        assert poll_by_list(listed, [], id_of=lambda job: job.id, most=500) == {}
        assert next(listed) == Job(id="1")


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
