# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
import logging
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoApiUnreadableAnswerError
from airflow_video_providers.hooks.lists import each_readable, oldest_usable, pages, poll_by_list, readable
from airflow_video_providers.hooks.schemas import VendorModel
from airflow_video_providers.jobs import JobState, VideoJob


class Job(VendorModel):
    id: str
    title: str | None = None


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


class TestItems:
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
