# SPDX-License-Identifier: Apache-2.0
"""The Xvid hook on recorded answers: what it sends, and what it makes of what comes back."""

from __future__ import annotations

import io
import json
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    DestinationError,
    SourceError,
    SubmissionKeyConflictError,
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoJobError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.hooks.xvid import upload as xvid_upload
from airflow_video_providers.hooks.xvid.schemas import FileReference
from airflow_video_providers.jobs import JobState
from tests.support.scripted_api import Answer, Asked, ScriptedApi

RECORDED = json.loads((Path(__file__).parents[3] / "recorded/xvid/get_job.json").read_text())
JOB_ID = "559cbbec14ea67a7cad6c7d8"
VIDEO_ID, ZIP_ID, THUMBNAIL_ID = "559cbbeca636e56d8ae111f4", "559cbbeca636e56d8ae111f2", "559cbbeca636e56d8ae111f3"
SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)
REQUEST = {"pipeline": {"id": "P"}, "input": {"input_name": "in.mp4"}}


@pytest.fixture
def api(scripted_api: ScriptedApi) -> ScriptedApi:
    scripted_api.on("POST", "/v1/oauth2/token/", Answer({"access_token": "tok", "expires_in": "3600"}))
    return scripted_api


@pytest.fixture
def hook(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> XvidHook:
    return connect(api, monkeypatch)


def connect(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> XvidHook:
    connection = {"conn_type": "xvid", "host": f"{api.url}/v1", "login": "me", "password": "hush", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_XVID_DEFAULT", json.dumps(connection))
    return XvidHook(retry_deadline=3)


def job(job_id: str = "j1", status: str = "PROCESSING", **fields: Any) -> dict[str, Any]:
    return {"id": job_id, "status": status, **fields}


def jobs(*found: dict[str, Any]) -> Answer:
    return Answer({"jobs": list(found), "start": 0, "limit": 1000})


def error(status: int, code: str = "0x0050001", message: str = "Invalid input") -> Answer:
    return Answer({"error": {"error_code": code, "error_message": message}}, status=status)


class TestTheDocumentedJob:
    """The manual's own example of a finished job."""

    def test_becomes_a_job_of_the_common_vocabulary(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", f"/v1/jobs/{JOB_ID}", Answer(RECORDED))
        found = hook.get_job(JOB_ID)
        assert found.model_dump(exclude={"created_at", "updated_at", "finished_at"}) == {
            "vendor": "xvid",
            "job_id": JOB_ID,
            "state": JobState.SUCCEEDED,
            "vendor_status": "SUCCESS",
            "progress": 1.0,
            "stage": None,
            "name": "MyTest",
            "key": None,
            "page_url": None,
            "error": None,
            "cost": None,
        }
        assert found.created_at == datetime(2015, 7, 8, 5, 58, 4, 87000, tzinfo=timezone.utc)
        assert found.finished_at == datetime(2015, 7, 8, 5, 59, 11, 874000, tzinfo=timezone.utc)

    def test_keeps_every_field(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", f"/v1/jobs/{JOB_ID}", Answer(RECORDED))
        found = hook.read_job(JOB_ID, show_null=True)
        assert found.input is not None
        assert found.input.file is not None
        assert (found.input.file.id, found.version) == ("559cbbe7a636e56d8ae111f0", 1)
        assert found.outputs is not None
        assert found.outputs[0].logos == RECORDED["job"]["outputs"][0]["logos"]
        assert api.asked[-1].query == {"show_null": "true"}

    def test_offers_the_video_the_thumbnails_and_the_archive(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", f"/v1/jobs/{JOB_ID}", Answer(RECORDED))
        details = {
            "name": "MyTest.mp4",
            "mime_type": "video/mp4",
            "size": 12,
            "md5_checksum": "AB" * 16,
            "duration": 24576,
        }
        archive = {"id": ZIP_ID, "type": "archive", "name": "thumbs.zip", "expires_at": 1900000000000}
        api.on("GET", "/v1/files/", Answer({"files": [{"id": VIDEO_ID, **details}, archive]}))
        video, thumbnail, zipped = hook.get_outputs(JOB_ID)
        assert (video.kind, video.output_id, video.url, video.expires_at) == ("video", VIDEO_ID, None, None)
        assert (video.name, video.media_type, video.size, video.md5) == ("MyTest.mp4", "video/mp4", 12, "ab" * 16)
        assert video.duration_seconds == 24.576
        assert (thumbnail.kind, thumbnail.output_id, thumbnail.name) == (
            "thumbnail",
            THUMBNAIL_ID,
            "MyTest_{resolution}",
        )
        assert (zipped.kind, zipped.output_id, zipped.name, zipped.expires_at) == (
            "archive",
            ZIP_ID,
            "thumbs.zip",
            None,
        )
        assert api.calls("GET", f"/v1/jobs/{JOB_ID}")[0].query == {"expand": "file"}
        assert api.calls("GET", "/v1/files/")[0].query == {"job.id": JOB_ID}


class TestSubmitting:
    @pytest.mark.parametrize("envelope", [True, False])
    def test_the_content_and_the_envelope_of_a_job_send_the_same(
        self, api: ScriptedApi, hook: XvidHook, envelope: bool
    ) -> None:
        api.on("POST", "/v1/jobs/", Answer({"job": job("new", "QUEUED", user_data="k1")}, status=201))
        made = hook.submit_job({"job": REQUEST} if envelope else REQUEST, key="k1")
        assert api.asked[-1].json == {"job": {**REQUEST, "user_data": "k1"}}
        assert (made.job_id, made.state, made.key) == ("new", JobState.QUEUED, "k1")
        assert "user_data" not in REQUEST

    def test_without_a_key_the_request_goes_unchanged(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", Answer({"job": job("new")}))
        hook.submit_job({**REQUEST, "user_data": "mine", "unique_custom_key": "u"})
        assert api.asked[-1].json == {"job": {**REQUEST, "user_data": "mine", "unique_custom_key": "u"}}

    def test_the_users_own_data_is_kept_beside_the_key(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", lambda asked: Answer({"job": job("new", **asked.json["job"])}))
        assert hook.submit_job({**REQUEST, "user_data": "mine | yours"}, key="k1").key == "k1"
        assert api.asked[-1].json["job"]["user_data"] == "mine | yours | k1"

    @pytest.mark.parametrize("user_data", [{"a": 1}, 7, "x" * 4000, "é" * 700, "half \ud800"])
    def test_data_that_cannot_hold_the_key_is_refused_before_anything_is_sent(
        self, api: ScriptedApi, hook: XvidHook, user_data: Any
    ) -> None:
        with pytest.raises(SubmissionKeyConflictError, match="Nothing was sent"):
            hook.submit_job({**REQUEST, "user_data": user_data}, key="k1")
        assert api.asked == []

    def test_an_answer_with_an_id_alone_is_enough(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", Answer({"job": {"id": "new"}}))
        assert hook.submit_job(REQUEST).state is JobState.QUEUED

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (Answer({"job": {"status": "QUEUED"}}), r"POST /jobs/.*id: Field required"),
            (Answer(b"{job"), "not JSON"),
            (Answer(b"<html>hello</html>"), "job: Field required"),
            (Answer(None), "job: Field required"),
        ],
    )
    def test_an_unreadable_answer_leaves_the_outcome_open(
        self, api: ScriptedApi, hook: XvidHook, answer: Answer, text: str
    ) -> None:
        api.on("POST", "/v1/jobs/", answer)
        with pytest.raises(VideoApiUnreadableAnswerError, match=text) as caught:
            hook.submit_job(REQUEST)
        assert caught.value.outcome_unknown

    @pytest.mark.parametrize("answer", [Answer(drop=True), error(500)])
    def test_a_lost_answer_is_not_followed_by_a_second_render(
        self, api: ScriptedApi, hook: XvidHook, answer: Answer
    ) -> None:
        api.on("POST", "/v1/jobs/", answer)
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job(REQUEST)
        assert caught.value.outcome_unknown
        assert len(api.calls("POST", "/v1/jobs/")) == 1

    def test_a_refused_request_has_the_vendors_words(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", error(400, "0050001", "pipeline is missing"))
        with pytest.raises(VideoApiInvalidRequestError, match=r"\[0050001\] pipeline is missing") as caught:
            hook.submit_job(REQUEST)
        assert not caught.value.outcome_unknown


class TestLooking:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("QUEUED", JobState.QUEUED),
            ("PROCESSING", JobState.RUNNING),
            ("SUCCESS", JobState.SUCCEEDED),
            ("FAILURE", JobState.FAILED),
            ("POLISHING", JobState.RUNNING),
        ],
    )
    def test_statuses(self, api: ScriptedApi, hook: XvidHook, status: str, state: JobState) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status=status)}))
        found = hook.get_job("j1")
        assert (found.state, found.vendor_status) == (state, status)

    def test_a_failed_job_says_why(self, api: ScriptedApi, hook: XvidHook) -> None:
        failed = job(status="FAILURE", error_code="0x0070001", error_msg="No such input", percentage_completed=40)
        api.on("GET", "/v1/jobs/j1", Answer({"job": failed}))
        found = hook.get_job("j1")
        assert (str(found.error), found.progress) == ("[0x0070001] No such input", 0.4)

    @pytest.mark.parametrize(
        ("percent", "progress"), [(None, None), (-3, 0.0), (130, 1.0), ("50", 0.5), ("soon", None)]
    )
    def test_progress(self, api: ScriptedApi, hook: XvidHook, percent: Any, progress: float | None) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(percentage_completed=percent)}))
        assert hook.get_job("j1").progress == progress

    def test_a_job_without_a_status_is_an_error_that_names_it(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": {"id": "j1"}}))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"GET /jobs/\{id\}.*status: Field required"):
            hook.get_job("j1")

    def test_an_unknown_job(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/a%2Fb", error(404, "0x0050005", "Job does not exist"))
        with pytest.raises(VideoApiNotFoundError, match="Job does not exist"):
            hook.get_job("a/b")
        assert len(api.calls("GET", "/v1/jobs/a%2Fb")) == 1

    def test_many_jobs_cost_one_request(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs(job("a"), job("b", "SUCCESS"), job("other")))
        found = hook.get_jobs(["a", "b", "gone"])
        assert {job_id: seen.vendor_status for job_id, seen in found.items()} == {"a": "PROCESSING", "b": "SUCCESS"}
        asked = api.calls("GET", "/v1/jobs/")
        assert len(asked) == 1
        assert asked[0].query["inprogress"] == "true"

    def test_a_single_job_is_asked_for_itself(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/a", Answer({"job": job("a")}))
        assert list(hook.get_jobs(["a"])) == ["a"]
        assert hook.get_jobs(["gone"]) == {}
        assert hook.get_jobs([]) == {}
        assert not api.calls("GET", "/v1/jobs/")


def paged(*ids: str, cap: int = 1000, **fields: Any) -> Any:
    def serve(asked: Asked) -> Answer:
        start, limit = int(asked.query["start"]), min(int(asked.query["limit"]), cap)
        found = [job(job_id, **fields) for job_id in ids[start : start + limit]]
        return Answer({"jobs": found, "start": start, "limit": limit})

    return serve


class TestPaging:
    @pytest.mark.parametrize(("cap", "requests"), [(1000, 3), (1, 6)])
    def test_all_pages_are_read(self, api: ScriptedApi, hook: XvidHook, cap: int, requests: int) -> None:
        ids = ["a", "b", "c", "d", "e"]
        api.on("GET", "/v1/jobs/", paged(*ids, cap=cap))
        assert [found.id for found in hook.iterate_jobs(page_size=2)] == ids
        assert len(api.calls("GET", "/v1/jobs/")) == requests

    def test_a_server_that_ignores_the_start_does_not_hold_us_for_ever(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs(job("a"), job("b")))
        assert [found.id for found in hook.iterate_jobs(page_size=2)] == ["a", "b"]

    def test_polling_stops_at_the_page_that_shows_the_last_job(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", paged(*(str(number) for number in range(3000))))
        assert len(hook.get_jobs(["0", "1"])) == 2
        assert len(api.calls("GET", "/v1/jobs/")) == 1


class TestFindingAgain:
    def test_by_the_same_text_that_was_sent(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs(job("a", user_data="mine & yours | k1")))
        found = hook.find_job("k1", request={"job": {**REQUEST, "user_data": "mine & yours"}}, since=SINCE)
        assert found is not None
        assert (found.job_id, found.key) == ("a", "k1")
        assert api.asked[-1].query["user_data"] == "mine & yours | k1"
        assert hook.key_support is KeySupport.EXACT

    def test_the_key_is_compared_again(self, api: ScriptedApi, hook: XvidHook) -> None:
        others = (job("a", user_data="k10"), job("b"), job("c", user_data="k1 | other"), job("d", user_data="xk1"))
        api.on("GET", "/v1/jobs/", jobs(*others))
        assert hook.find_job("k1", request=REQUEST, since=SINCE) is None

    def test_of_several_the_oldest_that_has_not_failed(
        self, api: ScriptedApi, hook: XvidHook, caplog: pytest.LogCaptureFixture
    ) -> None:
        found = (
            job("young", user_data="k1", created_at=3000),
            job("failed", "FAILURE", user_data="k1", created_at=1000),
            job("old", "SUCCESS", user_data="k1", created_at=2000),
        )
        api.on("GET", "/v1/jobs/", jobs(*found))
        with caplog.at_level(logging.WARNING):
            oldest = hook.find_job("k1", request=REQUEST, since=SINCE)
        assert oldest is not None
        assert oldest.job_id == "old"
        assert "2 jobs match; taking the oldest, old, not young" in caplog.text

    def test_failed_jobs_alone_are_none(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs(job("failed", "FAILURE", user_data="k1")))
        assert hook.find_job("k1", request=REQUEST, since=SINCE) is None

    def test_a_server_without_the_filter_is_searched_to_its_end(
        self, api: ScriptedApi, hook: XvidHook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = job("wanted", user_data="k1")

        def serve(asked: Asked) -> Answer:
            start = int(asked.query["start"])
            page = [job(str(number)) for number in range(start, start + 1000)] if start < 2000 else [wanted]
            return Answer({"jobs": page, "limit": 1000})

        api.on("GET", "/v1/jobs/", serve)
        found = hook.find_job("k1", request=REQUEST, since=SINCE)
        assert found is not None
        assert found.job_id == "wanted"


class TestUnreadableJobs:
    """One malformed job in a list hides no other, and is never taken for the proof that there is none."""

    @pytest.mark.parametrize(
        "item",
        [{"id": "x"}, {"id": "x", "user_data": "k1"}, {"id": "x", "status": "QUEUED", "user_data": ["k1"]}, None, "x"],
    )
    def test_it_may_be_the_one(self, api: ScriptedApi, hook: XvidHook, item: Any) -> None:
        api.on("GET", "/v1/jobs/", jobs(item, job("other", user_data="k2")))
        with pytest.raises(VideoApiUnreadableAnswerError, match="1 of the list cannot be read"):
            hook.find_job("k1", request=REQUEST, since=SINCE)
        found = hook.find_job("k2", request=REQUEST, since=SINCE)
        assert found is not None
        assert found.job_id == "other"

    @pytest.mark.parametrize("user_data", ["mine | k2", 17, None])
    def test_unless_it_says_that_it_is_another(self, api: ScriptedApi, hook: XvidHook, user_data: Any) -> None:
        api.on("GET", "/v1/jobs/", jobs({"id": "x", "user_data": user_data}))
        assert hook.find_job("k1", request=REQUEST, since=SINCE) is None

    def test_those_who_wait_see_the_others(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs({"id": "x"}, job("a"), job("b")))
        assert set(hook.get_jobs(["a", "b", "x"])) == {"a", "b"}

    def test_pages_full_of_them_are_passed(self, api: ScriptedApi, hook: XvidHook) -> None:
        content: list[Any] = [{"n": 1}, {"n": 2}, job("a"), {"n": 3}, job("b")]

        def serve(asked: Asked) -> Answer:
            start, limit = int(asked.query["start"]), int(asked.query["limit"])
            return jobs(*content[start : start + limit])

        api.on("GET", "/v1/jobs/", serve)
        assert [found.id for found in hook.iterate_jobs(page_size=2)] == ["a", "b"]
        assert len(api.calls("GET", "/v1/jobs/")) == 3

    def test_nor_do_they_hold_us_for_ever(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs({"n": 1}, {"n": 2}))  # type: ignore[arg-type]
        assert list(hook.iterate_jobs(page_size=2)) == []
        assert len(api.calls("GET", "/v1/jobs/")) == 2


class TestErrorsInXml:
    TEXT = b"<response><error><error_code>%s</error_code><error_message>Not for you</error_message></error></response>"

    @pytest.mark.parametrize(
        ("code", "expected"),
        [(b"0x0000003", VideoApiAuthenticationError), (b"0x0050001", VideoApiPermissionError)],
    )
    @pytest.mark.parametrize("wrapped", [True, False])
    def test_are_read_as_those_in_json(
        self, api: ScriptedApi, hook: XvidHook, code: bytes, expected: type[Exception], wrapped: bool
    ) -> None:
        text = self.TEXT % code
        if not wrapped:
            text = text.replace(b"<response>", b"").replace(b"</response>", b"")
        api.on("GET", "/v1/jobs/j1", Answer(text, status=403, headers={"Content-Type": "application/xml"}))
        with pytest.raises(VideoApiError, match="Not for you") as caught:
            hook.read_job("j1", format="xml")
        assert type(caught.value) is expected
        assert caught.value.code == code.decode()

    @pytest.mark.parametrize("text", [b"<html><body>Bad gateway</body></html>", b"Bad gateway", b"<a>Bad <b>gateway"])
    def test_a_page_is_still_a_page(self, api: ScriptedApi, hook: XvidHook, text: bytes) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(text, status=403))
        with pytest.raises(VideoApiPermissionError, match="Bad gateway"):
            hook.read_job("j1")


def test_a_reason_with_a_signed_link_is_shown_without_it(api: ScriptedApi, hook: XvidHook) -> None:
    text = "cannot read https://in.example/?client_id=1&signature=feed"
    api.on("GET", "/v1/jobs/j1", Answer({"job": job("j1", "FAILURE", error_code="7", error_msg=text)}))
    assert "feed" not in str(hook.get_job("j1").to_xcom())


def test_the_life_of_a_token_can_be_asked_for(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
    connect(api, monkeypatch, extra={"token_lifetime": "7200"}).get_job("j1")
    connect(api, monkeypatch).get_job("j1")
    forms = [asked.form for asked in api.calls("POST", "/v1/oauth2/token/")]
    assert [form.get("expires_in") for form in forms] == ["7200", None]


class TestCancelling:
    OK = Answer({"result": {"status": "SUCCESS"}})

    @pytest.mark.parametrize("status", ["QUEUED", "PROCESSING"])
    def test_a_running_job_is_deleted_once(self, api: ScriptedApi, hook: XvidHook, status: str) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status=status)}))
        api.on("DELETE", "/v1/jobs/j1", self.OK)
        seen = hook.cancel_job("j1")
        assert seen is not None
        assert seen.vendor_status == status
        assert len(api.calls("DELETE", "/v1/jobs/j1")) == 1

    @pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
    def test_a_finished_job_is_left_alone(self, api: ScriptedApi, hook: XvidHook, status: str) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status=status)}))
        seen = hook.cancel_job("j1")
        assert seen is not None
        assert seen.vendor_status == status
        assert not api.calls("DELETE", "/v1/jobs/j1")

    def test_a_job_of_an_undocumented_status_is_left_alone_and_said(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="ARCHIVED")}))
        with pytest.raises(VideoJobError, match="ARCHIVED"):
            hook.cancel_job("j1")
        assert not api.calls("DELETE", "/v1/jobs/j1")

    def test_an_unknown_job_is_none(self, api: ScriptedApi, hook: XvidHook) -> None:
        assert hook.cancel_job("j1") is None

    def test_a_job_that_is_gone_at_the_delete(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        assert hook.cancel_job("j1") is not None

    def test_a_lost_answer_is_followed_by_a_look_and_not_by_a_delete(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}), error(404))
        api.on("DELETE", "/v1/jobs/j1", Answer(drop=True))
        seen = hook.cancel_job("j1")
        assert seen is not None
        assert seen.state is JobState.RUNNING
        assert len(api.calls("DELETE", "/v1/jobs/j1")) == 1

    @pytest.mark.parametrize(
        "failure",
        [
            Answer(drop=True),
            error(429),
            error(503),
            Answer(status=503, headers={"Retry-After": "0"}),
            Answer({"result": {"status": "FAILURE"}}),
            Answer(b"<html>"),
        ],
    )
    def test_a_job_that_finished_in_the_meantime_keeps_its_files(
        self, api: ScriptedApi, hook: XvidHook, failure: Answer
    ) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}), Answer({"job": job(status="SUCCESS")}))
        api.on("DELETE", "/v1/jobs/j1", failure)
        hook.cancel_job("j1")
        assert len(api.calls("DELETE", "/v1/jobs/j1")) == 1

    def test_a_delete_that_failed_is_tried_again_after_a_look(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        api.on("DELETE", "/v1/jobs/j1", error(500), self.OK)
        hook.cancel_job("j1")
        order = [asked.method for asked in api.asked if asked.path == "/v1/jobs/j1"]
        assert order == ["GET", "DELETE", "GET", "DELETE"]

    def test_a_delete_that_keeps_failing_ends_in_its_error(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(api, monkeypatch)
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        api.on("DELETE", "/v1/jobs/j1", error(500, message="Internal error"))
        with pytest.raises(VideoApiUnavailableError, match="Internal error"):
            XvidHook(retry_deadline=0.1).cancel_job("j1")
        assert [asked.method for asked in api.asked if asked.path == "/v1/jobs/j1"][-1] == "GET"


class TestOutputs:
    def test_embedded_files_need_no_second_request(self, api: ScriptedApi, hook: XvidHook) -> None:
        outputs = [
            {"output_name": "one", "file": {"id": "f1", "name": "one.mp4", "size": 5}},
            {"output_name": "two", "file": {"id": "f2", "mime_type": "video/webm"}, "thumbnails": None},
            {"output_name": "sent away"},
        ]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        found = hook.get_outputs("j1")
        assert [(output.kind, output.output_id, output.name, output.size) for output in found] == [
            ("video", "f1", "one.mp4", 5),
            ("video", "f2", "two", None),
        ]
        assert not api.calls("GET", "/v1/files/")

    def test_what_is_no_media_type_is_left_out(self, api: ScriptedApi, hook: XvidHook) -> None:
        outputs = [{"file": {"id": "f1", "name": "Intro.mp4", "mime_type": "video/quicktime, variant=(string)iso"}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        (output,) = hook.get_outputs("j1")
        assert (output.media_type, output.name) == (None, "Intro.mp4")

    @pytest.mark.parametrize(
        ("names", "labels"),
        [(["one"], [None]), (["one", "two"], ["one", "two"]), (["one", "one"], ["1", "2"]), (["a", None], ["1", "2"])],
    )
    def test_several_videos_have_labels(
        self, api: ScriptedApi, hook: XvidHook, names: list[str | None], labels: list[str | None]
    ) -> None:
        outputs = [
            {"output_name": name, "file": {"id": f"f{number}", "name": f"{number}.mp4"}, "thumbnails": []}
            for number, name in enumerate(names)
        ]
        outputs[0]["thumbnail_zip"] = {"file": {"id": "z", "name": "z.zip"}}
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        found = hook.get_outputs("j1")
        assert [output.label for output in found if output.kind == "video"] == labels
        assert [output.label for output in found if output.kind == "archive"] == [None]

    def test_a_job_whose_files_went_elsewhere(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=[{"output_name": "x"}])}))
        with pytest.raises(VideoApiNotFoundError, match="offers no file"):
            hook.get_outputs("j1")

    def test_a_failed_job_has_none(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="FAILURE", error_msg="No such input")}))
        with pytest.raises(VideoJobFailedError, match="No such input"):
            hook.get_outputs("j1")

    def test_a_link_is_the_target_of_a_redirect_that_is_not_followed(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/downloads/", Answer(status=302, headers={"Location": f"{api.url}/store/f1?sig=s"}))
        outputs = [{"file": {"id": "f1", "name": "one.mp4"}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        (output,) = hook.get_outputs("j1")
        fresh = hook.refresh_output("j1", output)
        assert fresh == output.model_copy(update={"url": f"{api.url}/store/f1?sig=s"})
        assert fresh.identity == output.identity
        assert "sig" not in repr(fresh)
        assert api.calls("GET", "/v1/files/downloads/")[0].query == {"file_id": "f1", "redirect": "true"}
        assert not api.calls("GET", "/store/f1")

    @pytest.mark.parametrize(
        "body",
        [
            {"url": "https://s/1?x=y"},
            {"download": {"file": {"uri": "{api}/files/f1"}, "href": "https://s/1?x=y"}},
            ["https://s/1?x=y"],
            b'"https://s/1?x=y"',
        ],
    )
    def test_a_link_in_any_form_of_answer(self, api: ScriptedApi, hook: XvidHook, body: Any) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).replace("{api}", f"{api.url}/v1").encode()
        api.on("GET", "/v1/files/downloads/", Answer(text))
        when = datetime(2026, 11, 21, tzinfo=timezone.utc)
        assert hook.get_download_links("f1", redirect=False, expiry_time=when) == ["https://s/1?x=y"]
        query = {"file_id": "f1", "redirect": "false", "expiry_time": "1795219200"}
        assert api.asked[-1].query == query

    def test_an_archive_of_single_links_is_said_to_be_one(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/downloads/", Answer({"urls": ["https://s/1?secret=x", "https://s/2"]}))
        assert hook.get_download_links("f1") == ["https://s/1?secret=x", "https://s/2"]
        outputs = [{"file": {"id": "f1", "type": "archive"}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        (output,) = hook.get_outputs("j1")
        assert output.kind == "archive"
        with pytest.raises(VideoApiUnreadableAnswerError, match="2 single files") as caught:
            hook.refresh_output("j1", output)
        assert "secret" not in str(caught.value)

    def test_an_answer_without_a_link(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/downloads/", Answer({"state": "busy"}))
        with pytest.raises(VideoApiUnreadableAnswerError, match="holds no link"):
            hook.get_download_links("f1")

    def test_a_time_to_expire_of_0_is_never(self) -> None:
        assert FileReference.model_validate({"id": "f", "expires_at": 0}).expires_at is None


class TestForms:
    def test_xml_is_read_into_the_same_shape(self, api: ScriptedApi, hook: XvidHook) -> None:
        text = b"""<?xml version="1.0"?><job><id>j1</id><status>SUCCESS</status><user_data/>
        <created_at>1436335084087</created_at><percentage_completed>100</percentage_completed>
        <outputs><output><output_name>one</output_name><file><id>f1</id></file>
        <thumbnails><thumbnail><file><id>t1</id></file></thumbnail></thumbnails></output></outputs></job>"""
        api.on("GET", "/v1/jobs/j1", Answer(text, headers={"Content-Type": "application/xml"}))
        found = hook.read_job("j1", format="xml")
        assert found.user_data is None
        assert found.outputs is not None
        assert found.outputs[0].file is not None
        assert found.outputs[0].file.id == "f1"
        assert found.outputs[0].thumbnails is not None
        assert found.outputs[0].thumbnails[0].file == FileReference(id="t1")
        assert found.created_at == datetime(2015, 7, 8, 5, 58, 4, 87000, tzinfo=timezone.utc)
        assert api.asked[-1].query == {"format": "xml"}

    @pytest.mark.parametrize(
        ("text", "ids"),
        [
            (b"<response><jobs><job><id>a</id><status>QUEUED</status></job></jobs><start>0</start></response>", ["a"]),
            (
                b"<jobs><job><id>a</id><status>X</status></job><job><id>b</id><status>X</status></job></jobs>",
                ["a", "b"],
            ),
            (b"<response><jobs/><start>0</start></response>", []),
        ],
    )
    def test_xml_lists(self, api: ScriptedApi, hook: XvidHook, text: bytes, ids: list[str]) -> None:
        api.on("GET", "/v1/jobs/", Answer(text))
        assert [found.id for found in hook.list_jobs(format="xml").jobs] == ids

    @pytest.mark.parametrize(
        "text",
        [
            b"<job><id>",
            b'<!DOCTYPE j [<!ENTITY a "aaaa">]><job><id>&a;</id><status>SUCCESS</status></job>',
            b'<!DOCTYPE j SYSTEM "file:///etc/passwd"><job><id>j1</id><status>SUCCESS</status></job>',
        ],
    )
    def test_broken_or_hostile_xml_is_refused(self, api: ScriptedApi, hook: XvidHook, text: bytes) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(text))
        with pytest.raises(VideoApiUnreadableAnswerError, match="not acceptable XML"):
            hook.read_job("j1", format="xml")

    @pytest.mark.parametrize("text", [b"<a>" * 200_001, b"<a>" * 3000 + b"</a>" * 3000])
    def test_xml_is_bounded(self, api: ScriptedApi, hook: XvidHook, text: bytes) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(text))
        with pytest.raises(VideoApiUnreadableAnswerError, match="XML"):
            hook.read_job("j1", format="xml")

    def test_an_answer_for_people_is_refused(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(b"{ job: { id: 'j1' } }"))
        with pytest.raises(VideoApiUnreadableAnswerError, match="not JSON"):
            hook.read_job("j1", human=True)

    def test_every_documented_parameter_of_the_list(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs())
        hook.list_jobs(
            user_data="a&b",
            status="SUCCESS",
            inprogress=False,
            autograph=True,
            pipeline_id="P",
            input_file_name="in",
            bin_data=True,
            start=5,
            limit=2,
            sort="created_at",
            direction=-1,
            format="json",
            human=False,
            show_null=True,
            expand=("file", "preset"),
            expand_all=True,
        )
        assert api.asked[-1].query == {
            "user_data": "a&b",
            "status": "SUCCESS",
            "inprogress": "false",
            "autograph": "true",
            "pipeline.id": "P",
            "input.file.name": "in",
            "bin_data": "true",
            "start": "5",
            "limit": "2",
            "sort": "created_at",
            "direction": "-1",
            "format": "json",
            "human": "false",
            "show_null": "true",
            "expand": "file,preset",
            "expand_all": "true",
        }

    def test_a_misspelt_parameter_is_an_error(self, api: ScriptedApi, hook: XvidHook) -> None:
        with pytest.raises(TypeError, match="GET /jobs/ takes no offset"):
            hook.list_jobs(offset=3)  # type: ignore[call-arg]
        assert api.asked == []


class TestSmallResources:
    def test_job_templates(self, api: ScriptedApi, hook: XvidHook) -> None:
        template = {"id": "t1", "name": "mine", "job_settings": {"pipeline": {"id": "P"}}}
        api.on("POST", "/v1/jobs/templates/", Answer({"template": template}))
        api.on("GET", "/v1/jobs/templates/", Answer({"templates": [template]}))
        api.on("GET", "/v1/jobs/templates/t1", Answer({"template": template}))
        api.on("PUT", "/v1/jobs/templates/t1", Answer({"template": {**template, "description": None}}))
        assert hook.create_job_template({"name": "mine", "job_settings": {}}).id == "t1"
        assert api.asked[-1].json == {"template": {"name": "mine", "job_settings": {}}}
        assert [found.name for found in hook.list_job_templates(limit=2).templates] == ["mine"]
        assert hook.read_job_template("t1").job_settings == {"pipeline": {"id": "P"}}
        assert hook.update_job_template("t1", {"description": None}).id == "t1"
        assert api.asked[-1].json == {"template": {"description": None}}

    def test_files(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/f1", Answer({"file": {"id": "f1", "size": "7"}}))
        api.on("GET", "/v1/files/", Answer({"files": [{"id": "f1"}]}))
        assert hook.read_file("f1").size == 7
        assert len(hook.list_files(job_id="j", pipeline_id="p", type="archive", start=1, limit=2).files) == 1
        assert api.asked[-1].query == {
            "job.id": "j",
            "pipeline.id": "p",
            "type": "archive",
            "start": "1",
            "limit": "2",
        }

    @pytest.mark.parametrize("kind", ["pipeline", "preset"])
    def test_pipelines_and_presets(self, api: ScriptedApi, hook: XvidHook, kind: str) -> None:
        thing = {"id": "x1", "name": "mine", "output_upload_dir": "s3://key:secret@bucket"}
        api.on("POST", f"/v1/{kind}s/", Answer({kind: thing}))
        api.on("GET", f"/v1/{kind}s/", Answer({f"{kind}s": [thing]}))
        api.on("GET", f"/v1/{kind}s/x1", Answer({kind: thing}))
        assert getattr(hook, f"create_{kind}")({"name": "mine"}).id == "x1"
        assert api.asked[-1].json == {kind: {"name": "mine"}}
        assert getattr(hook, f"read_{kind}")("x1").name == "mine"
        assert len(getattr(getattr(hook, f"list_{kind}s")(), f"{kind}s")) == 1

    def test_a_pipelines_own_secrets_are_not_shown(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/pipelines/x1", Answer({"pipeline": {"id": "x1", "output_upload_dir": "s3://k:hidden@b"}}))
        found = hook.read_pipeline("x1")
        assert found.output_upload_dir == "s3://k:hidden@b"
        assert "hidden" not in repr(found)


class Upload:
    """An upload that becomes done after some looks."""

    def __init__(self, api: ScriptedApi, *statuses: str, **final: Any) -> None:
        form = {
            "form_post_url": f"{api.url}/store/",
            "form_post_params": {"policy": "p", "key": "tmp/in.mp4", "chunk": 0},
        }
        opened = {"id": "u1", "status": "UPLOADING", "object_key": "uploads/in.mp4", **form}
        api.on("POST", "/v1/files/uploads/", Answer({"upload": opened}))
        api.on("POST", "/store/", Answer(b"<ok/>", status=201))
        api.on("PUT", "/v1/files/uploads/u1", Answer({"upload": {"id": "u1", "status": "COMPLETING"}}))
        looks = [Answer({"upload": {"id": "u1", "status": status, **final}}) for status in statuses]
        api.on("GET", "/v1/files/uploads/u1", *looks)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xvid_upload, "_POLL_SECONDS", (0.0, 0.0))


@pytest.mark.usefixtures("no_pause")
class TestUploading:
    def send(self, hook: XvidHook, content: bytes = b"film", **options: Any) -> str:
        options = {"name": "uploads/in.mp4", "size": len(content), "pipeline_id": "P", **options}
        return hook.upload_media(io.BytesIO(content), media_type="video/mp4", **options)

    def test_four_steps(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "COMPLETING", "READY")
        assert self.send(hook, expires_at=0) == "uploads/in.mp4"
        steps = [(asked.method, asked.path) for asked in api.asked if "oauth2" not in asked.path]
        assert steps == [
            ("POST", "/v1/files/uploads/"),
            ("POST", "/store/"),
            ("PUT", "/v1/files/uploads/u1"),
            ("GET", "/v1/files/uploads/u1"),
            ("GET", "/v1/files/uploads/u1"),
        ]
        opened, posted, completed = (api.calls(*step)[0] for step in steps[:3])
        assert opened.query == {"object_key": "uploads/in.mp4", "pipeline_id": "P", "expires_at": "0"}
        assert completed.json == {"upload": {"nb_chunks": 1}}
        assert "Authorization" in opened.headers
        assert "Authorization" not in posted.headers
        assert posted.headers["Content-Length"] == str(len(posted.body))
        names = [
            part.split(b'name="')[1].split(b'"')[0] for part in posted.body.split(b"--")[1:-1] if b'name="' in part
        ]
        assert names == [b"policy", b"key", b"chunk", b"file"]
        assert b'filename="in.mp4"' in posted.body
        assert b"video/mp4\r\n\r\nfilm\r\n" in posted.body

    def test_a_large_source_is_read_in_pieces(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "READY")
        size = 3_000_000
        largest = 0

        class Source(io.RawIOBase):
            left = size

            def read(self, wanted: int = -1) -> bytes:
                nonlocal largest
                piece = min(wanted, self.left)
                largest = max(largest, piece)
                self.left -= piece
                return b"x" * piece

        hook.upload_media(Source(), name="in.mp4", size=size, pipeline_id="P")  # type: ignore[arg-type]
        assert api.calls("POST", "/store/")[0].body.count(b"x" * 1000) == size // 1000
        assert largest < 100_000

    @pytest.mark.parametrize(("size", "text"), [(5, "ended after 4 of 5 bytes"), (3, "longer than the 3 bytes")])
    def test_a_source_of_another_length(self, api: ScriptedApi, hook: XvidHook, size: int, text: str) -> None:
        Upload(api, "READY")
        with pytest.raises(SourceError, match=text):
            self.send(hook, size=size)
        assert not api.calls("PUT", "/v1/files/uploads/u1")

    def test_the_form_is_posted_once_even_if_refused(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "READY")
        api.on("POST", "/store/", Answer(status=503, headers={"Retry-After": "0"}))
        with pytest.raises(VideoApiUnavailableError):
            self.send(hook)
        assert len(api.calls("POST", "/store/")) == 1

    @pytest.mark.parametrize(("status", "final"), [("FAILED", {}), ("ODD", {"error_msg": "broken file"})])
    def test_a_failed_upload(self, api: ScriptedApi, hook: XvidHook, status: str, final: dict[str, str]) -> None:
        Upload(api, status, **final)
        with pytest.raises(DestinationError, match=f"ended as {status}"):
            self.send(hook)

    def test_a_reason_with_a_signed_link_is_shown_without_it(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "FAILED", error_msg="no https://s.example/?a=1&sig=feed")
        with pytest.raises(DestinationError, match=r"s\.example") as caught:
            self.send(hook)
        assert "feed" not in str(caught.value)

    def test_the_final_status_can_be_told(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "COMPLETING", "STORED", "VERIFIED")
        self.send(hook, done_status="VERIFIED")
        assert len(api.calls("GET", "/v1/files/uploads/u1")) == 3

    def test_a_status_that_never_moves_is_a_warning(
        self, api: ScriptedApi, hook: XvidHook, caplog: pytest.LogCaptureFixture
    ) -> None:
        Upload(api, "UPLOADING")
        with caplog.at_level(logging.WARNING):
            assert self.send(hook, wait_seconds=0.05) == "uploads/in.mp4"
        assert "upload u1 was taken, but Xvid still says UPLOADING" in caplog.text
        with pytest.raises(DestinationError, match="still UPLOADING"):
            self.send(hook, wait_seconds=0.05, done_status="READY")

    def test_the_wait_is_bounded(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "COMPLETING")
        with pytest.raises(DestinationError, match=r"still COMPLETING after 0\.05 s"):
            self.send(hook, wait_seconds=0.05)

    @pytest.mark.parametrize("options", [{"pipeline_id": None}, {"image": 1}, {"size": -1}])
    def test_wrong_options(self, api: ScriptedApi, hook: XvidHook, options: dict[str, Any]) -> None:
        Upload(api, "READY")
        with pytest.raises(VideoConfigurationError):
            self.send(hook, **options)
        assert not api.calls("POST", "/store/")


class TestScopes:
    @pytest.mark.parametrize(
        ("scope", "missing"),
        [
            ("", "left to Xvid"),
            ("mediahub,autograph", "lets it do all"),
            ("mediahub_read, mediahub_write autograph", "lets it do all"),
            (["mediahub_read", "mediahub_write"], "does not let it use AutoGraph"),
            (
                "mediahub_read,mediahub_submit_jobs,mediahub_download_files",
                "does not let it cancel jobs and upload media,",
            ),
        ],
    )
    def test_the_connection_test_says_what_the_token_may_not_do(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, scope: Any, missing: str
    ) -> None:
        api.on("GET", "/v1/jobs/", jobs())
        works, text = connect(api, monkeypatch, extra={"scope": scope}).test_connection()
        assert works
        assert missing in text
        sent = api.calls("POST", "/v1/oauth2/token/")[0].form.get("scope")
        assert sent is None if not scope else " " not in sent

    @pytest.mark.parametrize("call", ["cancel", "upload", "links"])
    def test_a_right_that_is_missing_names_the_scope(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        hook = connect(api, monkeypatch, extra={"scope": "mediahub_submit_jobs"})
        refused = error(403, "0x0000006", "Not allowed")
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        api.on("DELETE", "/v1/jobs/j1", refused)
        api.on("POST", "/v1/files/uploads/", refused)
        api.on("GET", "/v1/files/downloads/", refused)
        calls = {
            "cancel": lambda: hook.cancel_job("j1"),
            "upload": lambda: hook.upload_media(io.BytesIO(b"1"), name="n", size=1, pipeline_id="p"),
            "links": lambda: hook.get_download_links("f1"),
        }
        with pytest.raises(
            VideoApiPermissionError, match=r"Not allowed.*'mediahub_submit_jobs' does not let it read"
        ) as e:
            calls[call]()
        assert "mediahub_read,mediahub_write" in str(e.value)
        assert "Check the plan" not in str(e.value)
        assert (e.value.status, e.value.code, e.value.outcome_unknown) == (403, "0x0000006", False)


class TestAutoGraph:
    def offer(self, api: ScriptedApi, **file: Any) -> None:
        outputs = [{"file": {"id": "f1", "name": "one.mp4", "size": 7, "md5_checksum": "ab" * 16, **file}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        api.on("GET", "/v1/files/f1", Answer({"file": {"id": "f1", **file}}))
        api.on("GET", "/v1/files/downloads/", Answer(status=302, headers={"Location": f"{api.url}/store/f1"}))

    @pytest.mark.parametrize(("autograph", "md5"), [(True, None), (False, "ab" * 16), (None, "ab" * 16)])
    def test_a_copy_for_each_viewer_has_no_digest(
        self, api: ScriptedApi, hook: XvidHook, autograph: bool | None, md5: str | None
    ) -> None:
        self.offer(api, autograph=autograph)
        (output,) = hook.get_outputs("j1")
        assert (output.size, output.md5) == (7, md5)

    @pytest.mark.parametrize(
        ("extra", "query"),
        [
            ({}, {}),
            ({"autograph_tag": "viewer-7"}, {"autograph_tag": "viewer-7"}),
            ({"expert_mode": True}, {"expert_mode": "true"}),
        ],
    )
    def test_tag_and_expert_mode_are_sent_for_the_links_of_marked_files_alone(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], query: dict[str, str]
    ) -> None:
        hook = connect(api, monkeypatch, extra=extra)
        self.offer(api, autograph=True)
        (output,) = hook.get_outputs("j1")
        hook.refresh_output("j1", output)
        assert api.asked[-1].query == {"file_id": "f1", "redirect": "true", **query}
        self.offer(api, autograph=False)
        hook.refresh_output("j1", output)
        assert api.asked[-1].query == {"file_id": "f1", "redirect": "true"}


class TestConnection:
    def test_good_credentials(self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = connect(api, monkeypatch, extra={"scope": "mediahub_read"})
        api.on("GET", "/v1/jobs/", jobs())
        assert hook.check_connection() == (
            "Xvid accepted the client id and secret, and lets them read jobs. "
            "The scope 'mediahub_read' does not let it submit jobs, cancel jobs and upload media, use AutoGraph."
        )
        assert api.calls("POST", "/v1/oauth2/token/")[0].form["scope"] == "mediahub_read"
        assert api.calls("GET", "/v1/jobs/")[0].query == {"limit": "1"}

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"login": ""}, "has no login. Put the Xvid client id there"),
            ({"password": ""}, "has no password"),
            ({"host": "api.xvid.com"}, "must be a full base URL"),
        ],
    )
    def test_half_a_connection(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], text: str
    ) -> None:
        worked, message = connect(api, monkeypatch, **fields).test_connection()
        assert not worked
        assert text in message
        assert api.asked == []

    def test_a_wrong_secret(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/oauth2/token/", error(403, "0x0000003", "Invalid client"))
        worked, message = hook.test_connection()
        assert not worked
        assert "Invalid client" in message
        assert "client id and secret" in message

    def test_a_wrong_host(self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = connect(api, monkeypatch, host=f"{api.url}/v9")
        worked, message = hook.test_connection()
        assert not worked
        assert "Check the connection's host" in message

    def test_a_wrong_secret_stops_every_call(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/oauth2/token/", error(403, "0x0000003", "Invalid client"))
        with pytest.raises(VideoApiAuthenticationError):
            hook.submit_job(REQUEST)
        assert not api.calls("POST", "/v1/jobs/")

    def test_the_uri_form_of_the_documentation(self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
        host = f"{api.url}/v1".replace(":", "%3A").replace("/", "%2F")
        uri = f"xvid://my-id:c2Vj%2FcmV0%3D%3D@{host}/?scope=mediahub_read%2Cmediahub_download_files"
        monkeypatch.setenv("AIRFLOW_CONN_XVID_DEFAULT", uri)
        api.on("GET", "/v1/jobs/", jobs())
        assert XvidHook().test_connection()[0]
        form = api.calls("POST", "/v1/oauth2/token/")[0].form
        assert (form["client_id"], form["client_secret"]) == ("my-id", "c2Vj/cmV0==")
        assert form["scope"] == "mediahub_read,mediahub_download_files"
