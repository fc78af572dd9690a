# SPDX-License-Identifier: Apache-2.0
"""Jobs and outputs hold nothing that a log, an XCom or a database cannot take, whoever makes them."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoApiUnreadableAnswerError
from airflow_video_providers.jobs import JobCost, JobError, JobState, VideoJob, VideoOutput

HOSTILE = "\x1b[2J\r\nforged \u202e\ud800" + "x" * 1_000_000
UNUSABLE_NUMBERS = [math.nan, math.inf, -math.inf, 10**400, "many", [], {}]


def make_job(**fields: Any) -> VideoJob:
    return VideoJob(**{"vendor": "acme", "job_id": "1", "state": "running", "vendor_status": "running", **fields})


class TestJob:
    def test_every_text_is_one_line_of_bounded_length(self) -> None:
        names = ("vendor", "vendor_status", "stage", "name", "key")
        error = JobError(code=HOSTILE, message=HOSTILE)
        job = make_job(**dict.fromkeys(names, HOSTILE), error=error, cost=JobCost(amount=1, unit=HOSTILE))
        stored = json.dumps(job.to_xcom(), allow_nan=False, ensure_ascii=False).encode()
        assert len(stored) < 8000
        assert not any(byte < 32 for byte in stored)
        assert "\u202e" not in stored.decode()
        assert VideoJob.from_xcom(json.loads(stored)) == job
        assert len(job.describe()) < 2000

    @pytest.mark.parametrize(
        "job_id", ["", " ", "a\x00b", "a\nb", "\ud800", "a\u202eb", "x" * 1025, None, True, [], {}]
    )
    def test_an_id_that_cannot_be_used_may_be_that_of_a_paid_job(self, job_id: Any) -> None:
        with pytest.raises(VideoApiUnreadableAnswerError, match="acme: job id") as caught:
            make_job(job_id=job_id)
        assert caught.value.outcome_unknown

    @pytest.mark.parametrize(("job_id", "kept"), [("a/b", "a/b"), (7, "7"), ("team/model:1", "team/model:1")])
    def test_any_other_id_stays_as_it_is(self, job_id: Any, kept: str) -> None:
        assert make_job(job_id=job_id).job_id == kept

    @pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, "many", []])
    def test_a_progress_that_is_no_number_is_none(self, value: Any) -> None:
        expected = None
        assert make_job(progress=value).progress is expected

    @pytest.mark.parametrize(("value", "share"), [(-1, 0), (1.5, 1), (0.5, 0.5), ("0.5", 0.5)])
    def test_a_progress_is_within_0_and_1(self, value: Any, share: float) -> None:
        assert make_job(progress=value).progress == share

    @pytest.mark.parametrize("value", [*UNUSABLE_NUMBERS, -1])
    def test_a_cost_that_cannot_be_read_does_not_make_a_paid_job_unreadable(self, value: Any) -> None:
        job = make_job(cost=JobCost(amount=value, unit="credits"))
        assert job.cost is not None
        assert job.cost.amount is None
        assert str(job.cost) == "an unknown number of credits"

    @pytest.mark.parametrize("value", ["soon", [], datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))), 1e300])
    def test_a_time_that_cannot_be_read_is_none(self, value: Any) -> None:
        assert make_job(created_at=value).created_at is None

    def test_a_time_is_aware_and_in_utc(self) -> None:
        local = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
        for value in (local, datetime(2026, 1, 1), "2026-01-01T00:00:00"):
            made = make_job(created_at=value).created_at
            assert made == datetime(2026, 1, 1, tzinfo=timezone.utc)
            assert made.tzinfo == timezone.utc

    def test_no_text_holds_the_credentials_of_a_link(self) -> None:
        link = "at https://x.example/v;p=feed?sig=feed"
        job = make_job(vendor_status=link, stage=link, name=link, error=JobError(code=link, message=link))
        assert "feed" not in json.dumps(job.to_xcom())
        assert job.name == "at https://x.example/***?***"
        assert make_job(name="Who?Me").name == "Who?Me"

    def test_a_page_has_no_token(self) -> None:
        assert make_job(page_url="https://app.example/v/1?token=feed").page_url == "https://app.example/v/1"
        assert make_job(page_url="javascript:alert(1)").page_url is None

    def test_a_state_that_is_none_is_a_fault_of_the_hook(self) -> None:
        with pytest.raises(ValueError, match="state"):
            make_job(state="dancing")
        with pytest.raises(ValueError, match="job_id"):
            VideoJob(vendor="acme", state=JobState.RUNNING, vendor_status="running")  # type: ignore[call-arg]


class TestOutput:
    @pytest.mark.parametrize("value", [*UNUSABLE_NUMBERS, -1, 2**63])
    def test_numbers_that_cannot_be_used_are_none(self, value: Any) -> None:
        output = VideoOutput(kind="video", size=value, duration_seconds=value)
        assert output.size is None
        assert output.duration_seconds in (None, 2**63)

    def test_texts_are_bounded_and_the_content_keeps_its_lines(self) -> None:
        names = ("label", "output_id", "name", "media_type")
        output = VideoOutput(kind="subtitles", content="WEBVTT\n\n\ud800", **dict.fromkeys(names, HOSTILE))
        assert output.content == "WEBVTT\n\n\ufffd"
        for name in names:
            text = getattr(output, name)
            assert len(text.encode()) < 5000
            assert "\n" not in text

    @pytest.mark.parametrize(("md5", "kept"), [("AB" * 16, "ab" * 16), ("unknown", None), ("ab", None), (7, None)])
    def test_an_md5_is_one(self, md5: Any, kept: str | None) -> None:
        assert VideoOutput(kind="video", md5=md5).md5 == kept

    def test_blanks_around_a_link_go(self) -> None:
        assert VideoOutput(kind="video", url=" http://x.example/v\n").url == "http://x.example/v"
        assert VideoOutput(kind="video", url=7).url is None  # type: ignore[arg-type]
