# SPDX-License-Identifier: Apache-2.0
"""What the shared poller does after failures, when its last wait leaves, when Airflow does not give the connection."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import pytest

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoPollingError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.waiting import in_triggerer as shared_poller
from airflow_video_providers.waiting import schedule
from airflow_video_providers.waiting.in_triggerer import SharedPoller, watch
from airflow_video_providers.waiting.schedule import Pace
from airflow_video_providers.waiting.wait import Limits, Wait
from airflow_video_providers.waiting.waiter import Waiter
from tests.support.submission import FakeHook, World


def job_of(job_id="1", state=JobState.RUNNING):
    return VideoJob(vendor="v", job_id=job_id, state=state, vendor_status=state.value)


def waiter_of(polled=None, job_id="1", **limits):
    job = job_of(job_id)
    return Waiter(Wait.begin(job, Pace.begin(job, time.time() if polled is None else polled), Limits(**limits)))


@pytest.mark.parametrize("steps", range(5))
def test_a_poll_that_is_woken_while_its_last_wait_leaves_ends(steps):
    """Python 3.11 loses a cancel that comes together with what was waited for."""

    async def leave():
        poller, waiter = SharedPoller("c"), waiter_of()
        poller.join(waiter)
        for _ in range(5):
            await asyncio.sleep(0)
        poller._wake.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        poller.leave(waiter)
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(leave())


def test_a_connection_that_airflow_does_not_give_counts_as_failed_polls(monkeypatch):
    asked = []

    async def hang(conn_id):
        asked.append(conn_id)
        await asyncio.Event().wait()

    monkeypatch.setattr(shared_poller, "aget_video_hook", hang)
    monkeypatch.setattr(shared_poller, "_LOOK_UP_SECONDS", 0.1)

    async def wait():
        return [wait async for wait in watch("c", waiter_of(polled=0.0, poll_interval=0.1, max_poll_failures=1))]

    (last,) = asyncio.run(asyncio.wait_for(wait(), 30))
    with pytest.raises(VideoPollingError, match="connection c was not given by Airflow"):
        last.result()
    assert asked == ["c", "c"]


class Vendor(FakeHook):
    """
    Answers each poll after a while; counts the calls, and how many of them were made at a time.

    :param together: hold the first calls until so many are made at a time.
    """

    def __init__(self, answer, together=1):
        super().__init__(World(), KeySupport.NONE)
        self.answer = answer
        self.met = threading.Semaphore(0)
        self.together = together
        self.calls = self.in_flight = 0
        self.at_a_time = []
        self._lock = threading.Lock()

    def get_job(self, job_id):
        with self._lock:
            self.calls += 1
            number = self.calls
            self.in_flight += 1
            self.at_a_time.append(self.in_flight)
            if number == self.together:
                self.met.release(number)
        try:
            if number <= self.together:
                assert self.met.acquire(timeout=30)
            time.sleep(0.05)
            return self.answer(number)
        finally:
            with self._lock:
                self.in_flight -= 1


@pytest.fixture
def wait_for(monkeypatch):
    """Let some waits begin at once, and return how each has ended."""

    def wait_for(vendor, count, **limits):
        async def look_up(conn_id):
            return vendor

        async def one(job_id):
            waiter = waiter_of(polled=0.0, job_id=job_id, poll_interval=0.1, **limits)
            return [wait async for wait in watch("c", waiter)][-1].end

        async def all_of_them():
            return await asyncio.gather(*(one(str(number)) for number in range(count)))

        monkeypatch.setattr(shared_poller, "aget_video_hook", look_up)
        return asyncio.run(asyncio.wait_for(all_of_them(), 60))

    return wait_for


def done(_=None):
    return job_of(state=JobState.SUCCEEDED)


@pytest.mark.parametrize(
    "refusal",
    [
        VideoApiQuotaError("slow down", vendor="v", endpoint="GET /jobs/{id}", status=429, retry_after=0.3),
        VideoApiUnavailableError("down", vendor="v", endpoint="GET /jobs/{id}", status=503),
    ],
)
def test_after_a_pause_one_call_alone_finds_out_whether_the_vendor_answers(wait_for, refusal):
    def answer(number):
        if number <= 10:
            raise refusal
        return done()

    vendor = Vendor(answer, together=8)
    assert {end.state for end in wait_for(vendor, 20)} == {JobState.SUCCEEDED}
    assert vendor.at_a_time[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert vendor.at_a_time[8:11] == [1, 1, 1]  # two probes that are refused, and the one that is not
    assert max(vendor.at_a_time[11:]) > 1


def test_a_retry_after_of_days_does_not_silence_the_connection(wait_for, monkeypatch):
    monkeypatch.setattr(schedule, "LONGEST_RETRY_AFTER", 0.3)

    def answer(number):
        if number == 1:
            raise VideoApiQuotaError("full", vendor="v", endpoint="GET /jobs/{id}", retry_after=30 * 86400.0)
        return done()

    assert {end.state for end in wait_for(Vendor(answer), 9)} == {JobState.SUCCEEDED}


@pytest.mark.parametrize(("rate", "most"), [(None, 8), (0.5, 1), (3, 3), (100, 8)])
def test_no_more_calls_are_in_flight_than_the_vendors_rate_has_use_for(wait_for, rate, most):
    vendor = Vendor(done, together=most)
    vendor.requests_per_second = rate
    wait_for(vendor, 20)
    assert max(vendor.at_a_time) == most


def test_many_jobs_at_a_slow_rate_are_polled_in_turn(wait_for):
    """The interval of each grows with the number of jobs: nobody is polled again before all others that are due."""
    polled = Counter()

    class Slow(Vendor):
        requests_per_second = 1.0

        def get_job(self, job_id):
            assert polled[job_id] <= min(polled.values(), default=0) + 1
            polled[job_id] += 1
            super().get_job(job_id)
            return job_of(job_id, JobState.SUCCEEDED if polled[job_id] == 4 else JobState.RUNNING)

    polled.update({str(number): 0 for number in range(12)})
    assert {end.state for end in wait_for(Slow(done), 12)} == {JobState.SUCCEEDED}
    assert set(polled.values()) == {4}


def test_a_job_that_is_not_found_lets_the_others_go_on_after_a_pause(wait_for):
    def answer(number):
        if number <= 8:
            raise VideoApiUnavailableError("down", vendor="v", endpoint="GET /jobs/{id}", status=503)
        if number == 9:
            raise VideoApiNotFoundError("no such job", vendor="v", endpoint="GET /jobs/{id}", status=404)
        return done()

    vendor = Vendor(answer)
    assert {end.state for end in wait_for(vendor, 20)} == {JobState.SUCCEEDED}
    assert vendor.at_a_time[8:10] == [1, 1]
    assert max(vendor.at_a_time[10:]) > 1


def test_a_connection_that_cannot_work_ends_every_wait_at_its_first_poll(wait_for):
    def answer(_):
        raise VideoConfigurationError("no host")

    vendor = Vendor(answer)
    assert {type(end) for end in wait_for(vendor, 20)} == {VideoConfigurationError}
    assert vendor.calls <= 20
