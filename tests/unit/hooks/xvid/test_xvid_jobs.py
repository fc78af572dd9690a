# SPDX-License-Identifier: Apache-2.0
"""The documented job, statuses and lists of the Xvid hook, on recorded answers."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.jobs import JobState
from tests.support.scripted_api import Answer, Asked, ScriptedApi
from tests.support.xvid_answers import (
    JOB_ID,
    RECORDED,
    REQUEST,
    SINCE,
    THUMBNAIL_ID,
    VIDEO_ID,
    ZIP_ID,
    error,
    job,
    jobs,
    paged,
)


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
