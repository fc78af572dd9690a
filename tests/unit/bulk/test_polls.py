# SPDX-License-Identifier: Apache-2.0
"""When a bulk task polls its renders, and stays for them: what those that have ended tell of the others."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_video_providers.bulk.ledger import ItemState
from airflow_video_providers.bulk.polls import Polls
from airflow_video_providers.bulk.window import SHORT_RENDER, Window
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.triggers.video_jobs import VideoJobsTrigger
from tests.unit.bulk.test_ends import SlowWorld, deferred

NOW = 1_800_000_000.0


class Vendor:
    """Counts polls; each job runs for good."""

    vendor, find_wait = "v", 0.0

    def __init__(self, *, can_list: bool) -> None:
        self.can_list, self.calls = can_list, 0

    def get_job(self, job_id: str) -> VideoJob:
        self.calls += 1
        return job_of(job_id)

    def get_jobs(self, job_ids: list[str]) -> dict[str, VideoJob]:
        self.calls += 1
        return {job_id: job_of(job_id) for job_id in job_ids}


def job_of(job_id: str = "1", state: JobState = JobState.RUNNING, **fields: Any) -> VideoJob:
    return VideoJob(vendor="v", job_id=job_id, state=state, vendor_status=state.value, **fields)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=NOW)
    monkeypatch.setattr(time, "time", lambda: clock.now)
    return clock


def polls_of(vendor: Vendor, **kwargs: Any) -> Polls:
    return Polls(vendor, poll_interval=120.0, seed="x", **kwargs)  # type: ignore[arg-type]


def test_a_quarter_of_the_renders_tells_when_the_next_ones_are_polled(clock: SimpleNamespace) -> None:
    vendor = Vendor(can_list=False)
    polls = polls_of(vendor)
    assert polls.usual is None
    for seconds in (90.0, 30.0, 60.0, 300.0):
        polls.learn(job_of(state=JobState.SUCCEEDED), seconds)
    polls.learn(job_of(state=JobState.FAILED), 1.0)  # one that fails tells nothing of how long a render takes
    assert polls.usual == 60.0
    for number in range(20):
        polls.add(number, str(number), job_of(str(number)), deadline=NOW + 9000)
    for clock.now in (NOW + 15, NOW + 59.9):
        assert list(polls.poll_due(clock.now)) == []
    assert vendor.calls == 0
    clock.now = NOW + 60
    list(polls.poll_due(clock.now))
    assert vendor.calls == 20


def test_the_vendors_own_times_tell_it_better(clock: SimpleNamespace) -> None:
    polls = polls_of(Vendor(can_list=False))
    created = datetime.fromtimestamp(NOW, timezone.utc)
    ended = created + timedelta(seconds=21)
    polls.learn(job_of(state=JobState.SUCCEEDED, created_at=created, finished_at=ended), 45.0)
    assert polls.usual == 21.0


@pytest.mark.parametrize(("usual", "lists"), [(None, 6), (20.0, 15), (5.0, 30), (300.0, 6)])
def test_a_list_is_polled_the_more_often_the_shorter_the_renders_are(
    usual: float | None, lists: int, clock: SimpleNamespace
) -> None:
    vendor = Vendor(can_list=True)
    polls = polls_of(vendor)
    if usual is not None:
        polls.learn(job_of(state=JobState.SUCCEEDED), usual)
    for number in range(2):
        polls.add(number, str(number), None, deadline=NOW + 9000)
    for second in range(60):
        clock.now = NOW + second
        for number in range(2):  # as a full window has it, in which one is always due
            polls.add(number, str(number), None, deadline=NOW + 9000)
        list(polls.poll_due(clock.now))
    assert vendor.calls == lists


@pytest.mark.parametrize("usual", [None, 60.0])
def test_what_a_trigger_has_polled_is_not_polled_again_at_once(usual: float | None, clock: SimpleNamespace) -> None:
    vendor = Vendor(can_list=False)
    polls = polls_of(vendor)
    if usual is not None:
        polls.learn(job_of(state=JobState.SUCCEEDED), usual)
    polls.add(0, "0", None, deadline=NOW + 9000, began=NOW - 50)
    list(polls.poll_due(NOW + 1))
    assert vendor.calls == 0
    assert usual is None or polls.next_due() == NOW + 10


def window_of(tmp_path: Path) -> Window:
    task = deferred(SlowWorld(), tmp_path)
    task.close()
    assert task._window is not None
    assert task._window._only_waits()
    return task._window


def test_a_worker_stays_for_short_renders_alone_and_not_for_ones_that_are_late(tmp_path: Path) -> None:
    window = window_of(tmp_path)
    ended = job_of(state=JobState.SUCCEEDED)
    window.polls.learn(ended, SHORT_RENDER + 1)
    assert window._only_waits()
    window.polls.learn(ended, 20.0)
    assert not window._only_waits()
    for number in window.active:
        window.ledger.entries[number].submitted_at = time.time() - 60
    assert window._only_waits()


def test_what_a_trigger_saw_counts_from_when_it_saw_it(tmp_path: Path) -> None:
    window = window_of(tmp_path)
    number = window.active[0]
    entry = window.ledger.entries[number]
    assert entry.submitted_at is not None
    ended = job_of(str(entry.job_id), JobState.SUCCEEDED)
    entry.submitted_at -= 100
    window.take_events([{"number": number, "job": ended.to_xcom(), "at": entry.submitted_at + 33.0}])
    assert window.polls.usual == 33.0
    assert entry.state is ItemState.SUCCEEDED


def test_a_trigger_is_the_same_after_it_has_been_stored() -> None:
    first = VideoJobsTrigger(conn_id="c", jobs=[], poll_interval=5.0, wake_at=1, deferred_at=NOW, usual=20.0)
    path, arguments = first.serialize()
    assert path.endswith(".VideoJobsTrigger")
    assert VideoJobsTrigger(**arguments).serialize() == first.serialize()
    assert arguments["usual"] == 20.0


class Odd(Vendor):
    """A vendor whose responses make a hook fail in a way that nobody has foreseen, or tell of other jobs."""

    def get_job(self, job_id: str) -> VideoJob:
        if job_id == "bad":
            raise ValueError("Invalid IPv6 URL")
        return job_of(job_id, JobState.SUCCEEDED)

    def get_jobs(self, job_ids: list[str]) -> dict[str, VideoJob]:
        return {"other": job_of("other"), "good": job_of("good", JobState.SUCCEEDED)}


@pytest.mark.parametrize("can_list", [False, True])
def test_a_job_that_a_hook_cannot_read_does_not_stop_the_others(can_list: bool, clock: SimpleNamespace) -> None:
    polls = polls_of(Odd(can_list=can_list))
    for number, job_id in enumerate(("bad", "good", "good2")):
        polls.add(number, job_id, job_of(job_id), deadline=NOW + 9000)
    clock.now += 3600
    ended = dict(polls.poll_due(clock.now))
    assert isinstance(ended[1], VideoJob)
    assert 0 not in ended
    assert 0 in polls.waiting()
