# SPDX-License-Identifier: Apache-2.0
"""A callback makes a job due in the triggerer; what it says is believed when a poll shows it, and not before."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from airflow_video_providers.callbacks import feed as feeding
from airflow_video_providers.callbacks.inbox import digest_of, news_name
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.waiting import callbacks, in_triggerer
from airflow_video_providers.waiting.schedule import CALLBACK_INTERVALS, Pace, next_poll
from airflow_video_providers.waiting.wait import Limits, Wait
from airflow_video_providers.waiting.waiter import Waiter

CONN_ID = "c"


class Vendor:
    """Counts the polls; its jobs run until they are told to be done."""

    can_list, requests_per_second, find_wait, retry_deadline = False, None, 60.0, 0.0

    def __init__(self):
        self.done, self.polls, self.lists = set(), [], 0

    def get_job(self, job_id):
        self.polls.append(job_id)
        return job_of(job_id, JobState.SUCCEEDED if job_id in self.done else JobState.RUNNING)

    def get_jobs(self, job_ids):
        self.lists += 1
        return {job_id: job_of(job_id, JobState.SUCCEEDED) for job_id in job_ids if job_id in self.done}

    def close(self):
        pass


def job_of(job_id, state=JobState.RUNNING):
    return VideoJob(vendor="v", job_id=job_id, state=state, vendor_status=state.value)


class Scene:
    def __init__(self, monkeypatch, secret="a secret of 24 characters"):
        self.vendor, self.names, self.listed = Vendor(), [], 0
        self.waiters = []

        async def hook(conn_id):
            return self.vendor

        async def connection(conn_id):
            return SimpleNamespace(extra_dejson={"callback_secret": secret} if secret else {})

        monkeypatch.setattr(in_triggerer, "aget_video_hook", hook)
        monkeypatch.setattr(callbacks, "BaseHook", SimpleNamespace(aget_connection=connection))
        monkeypatch.setattr(feeding, "_list_names", self._list)
        monkeypatch.setattr(feeding, "LIST_SECONDS", 0.02)

    def _list(self):
        self.listed += 1
        return list(self.names)

    def news(self, *, at=None, **subject):
        self.names.append(news_name(digest_of(CONN_ID, **subject), time.time() if at is None else at))

    async def wait(self, job_id="1", *, key=None, polled=None, poll_interval=600.0):
        limits = Limits(poll_interval=poll_interval, callback=True)
        job = job_of(job_id)
        waiter = Waiter(Wait.begin(job, Pace.begin(job, time.time() if polled is None else polled), limits), key)
        self.waiters.append(waiter)
        async for wait in in_triggerer.watch(CONN_ID, waiter):
            if wait.end is not None:
                return wait.end.state
        return None

    def play(self, scene):
        return asyncio.run(asyncio.wait_for(scene(), 30))


@pytest.fixture
def scene(monkeypatch):
    return Scene(monkeypatch)


@pytest.mark.parametrize("subject", [{"job_id": "1"}, {"key": "avp-1"}])
def test_a_callback_ends_the_wait_by_one_poll(scene, subject):
    async def play():
        waiting = asyncio.create_task(scene.wait(key="avp-1"))
        await asyncio.sleep(0.1)
        assert scene.vendor.polls == []
        scene.vendor.done.add("1")
        scene.news(**subject)
        return await waiting

    assert scene.play(play) is JobState.SUCCEEDED
    assert scene.vendor.polls == ["1"]
    assert scene.waiters[0].is_called_back


def test_a_wait_that_a_later_poll_ends_was_not_called_back(scene):
    async def play():
        waiting = asyncio.create_task(scene.wait(poll_interval=0.1))
        scene.news(job_id="1")
        while not scene.waiters or not scene.waiters[0].is_called_back:
            await asyncio.sleep(0.01)
        while len(scene.vendor.polls) < 3:
            await asyncio.sleep(0.01)
        scene.vendor.done.add("1")
        return await waiting

    assert scene.play(play) is JobState.SUCCEEDED
    assert not scene.waiters[0].is_called_back


def test_news_from_before_the_wait_count_too(scene):
    async def play():
        other = asyncio.create_task(scene.wait("2"))
        scene.vendor.done.add("1")
        scene.news(job_id="1")
        await asyncio.sleep(0.1)
        ended = await scene.wait("1")
        other.cancel()
        return ended

    assert scene.play(play) is JobState.SUCCEEDED
    assert scene.vendor.polls == ["1"]


def test_a_false_callback_costs_one_poll_and_the_wait_goes_on(scene, monkeypatch):
    monkeypatch.setattr(callbacks, "QUARTER_MINUTE", 0.3)

    async def play():
        waiting = asyncio.create_task(scene.wait())
        scene.news(job_id="1")
        await asyncio.sleep(0.15)
        assert (scene.vendor.polls, waiting.done()) == (["1"], False)
        scene.vendor.done.add("1")
        scene.news(job_id="1", at=time.time() + 15)  # the news of the next quarter minute
        return await waiting

    assert scene.play(play) is JobState.SUCCEEDED
    assert scene.vendor.polls == ["1", "1"]


def test_a_callback_that_names_job_and_key_costs_one_poll(scene, monkeypatch):
    monkeypatch.setattr(callbacks, "QUARTER_MINUTE", 0.1)

    async def play():
        waiting = asyncio.create_task(scene.wait(key="avp-1"))
        scene.news(job_id="1")
        scene.news(key="avp-1", at=time.time())
        await asyncio.sleep(0.6)
        waiting.cancel()

    scene.play(play)
    assert scene.vendor.polls == ["1"]


def test_a_callback_that_comes_while_another_one_is_answered_is_not_lost(scene, monkeypatch):
    monkeypatch.setattr(callbacks, "QUARTER_MINUTE", 0.3)
    poll = scene.vendor.get_job

    def slow_poll(job_id):
        shown = poll(job_id)  # as it was when it was asked for
        if len(scene.vendor.polls) == 1:
            scene.vendor.done.add("1")
            scene.news(job_id="1", at=time.time() + 15)
            time.sleep(0.2)
        return shown

    scene.vendor.get_job = slow_poll

    async def play():
        waiting = asyncio.create_task(scene.wait())
        scene.news(job_id="1")
        return await asyncio.wait_for(waiting, 10)

    assert scene.play(play) is JobState.SUCCEEDED
    assert scene.vendor.polls == ["1", "1"]
    assert scene.waiters[0].is_called_back


def test_many_callbacks_of_a_job_cost_one_poll_in_a_quarter_minute(scene):
    async def play():
        waiting = asyncio.create_task(scene.wait())
        for quarter in range(10):
            scene.news(job_id="1", at=time.time() + 15 * quarter)
            await asyncio.sleep(0.04)
        waiting.cancel()

    scene.play(play)
    assert scene.vendor.polls == ["1"]


@pytest.mark.parametrize("subject", [{"job_id": "another"}, {"key": "avp-2"}])
def test_callbacks_of_other_jobs_cost_nothing(scene, subject):
    async def play():
        waiting = asyncio.create_task(scene.wait(key="avp-1"))
        scene.news(**subject)
        scene.names.append("video_callback_news/not/ours")
        await asyncio.sleep(0.2)
        waiting.cancel()

    scene.play(play)
    assert scene.vendor.polls == []
    assert scene.listed > 1


def test_news_from_before_the_last_poll_cost_nothing(scene):
    async def play():
        scene.news(job_id="1", at=time.time() - 120)
        waiting = asyncio.create_task(scene.wait())
        await asyncio.sleep(0.2)
        waiting.cancel()

    scene.play(play)
    assert scene.vendor.polls == []


def test_a_burst_is_told_by_one_list_where_the_vendor_has_one(scene, monkeypatch):
    scene.vendor.can_list = True
    jobs = [str(number) for number in range(200)]

    async def play():
        waiting = [asyncio.create_task(scene.wait(job_id)) for job_id in jobs]
        await asyncio.sleep(0.1)
        scene.vendor.done.update(jobs)
        for job_id in jobs:
            scene.news(job_id=job_id)
        return await asyncio.gather(*waiting)

    assert set(scene.play(play)) == {JobState.SUCCEEDED}
    assert scene.vendor.lists <= 2
    assert len(scene.vendor.polls) <= in_triggerer.MOST_IN_FLIGHT


def test_nothing_is_listed_for_a_connection_that_takes_no_callbacks(monkeypatch):
    scene = Scene(monkeypatch, secret=None)

    async def play():
        waiting = asyncio.create_task(scene.wait())
        await asyncio.sleep(0.1)
        waiting.cancel()

    scene.play(play)
    assert scene.listed == 0


def test_a_connection_that_was_not_to_be_had_is_looked_up_again(scene, monkeypatch):
    monkeypatch.setattr(callbacks, "_ASK_AGAIN_SECONDS", 0.05)
    given = callbacks.BaseHook.aget_connection
    failures = iter([ConnectionError("no answer")])

    async def late(conn_id):
        if (failure := next(failures, None)) is not None:
            raise failure
        return await given(conn_id)

    monkeypatch.setattr(callbacks, "BaseHook", SimpleNamespace(aget_connection=late))

    async def play():
        scene.vendor.done.add("1")
        scene.news(job_id="1")
        return await scene.wait()

    assert scene.play(play) is JobState.SUCCEEDED


def test_the_listing_ends_with_the_last_wait_and_survives_failures(scene, monkeypatch):
    monkeypatch.setattr(feeding, "_PAUSE_AFTER_FAILURE", 0.01)
    names = scene._list
    failures = iter([True, True])

    def listing():
        if next(failures, False):
            raise ConnectionError("no answer")
        return names()

    monkeypatch.setattr(feeding, "_list_names", listing)

    async def play():
        waiting = asyncio.create_task(scene.wait())
        await asyncio.sleep(0.1)
        scene.vendor.done.add("1")
        scene.news(job_id="1")
        assert await waiting is JobState.SUCCEEDED
        await asyncio.sleep(0.05)
        assert [task for task in asyncio.all_tasks() if "Feed" in repr(task.get_coro())] == []
        assert feeding._feeds == {}

    scene.play(play)


@pytest.mark.parametrize("waited", [0.0, 300.0, 900.0, 1700.0, 7200.0, 86400.0])
def test_beneath_callbacks_polls_are_seldom_and_have_a_ceiling(waited):
    shortest, longest = (share * 120.0 for share in CALLBACK_INTERVALS)
    pace = Pace(since=0.0, polled=waited, started=0.0, progress=0.0, before=0.0, reached=0.0)
    gap = next_poll(job_of("1"), pace, poll_interval=120.0, seed="x", callback=True)
    assert 0.9 * shortest <= gap <= longest
    assert gap <= max(waited, shortest)


def test_a_render_of_an_hour_is_polled_at_most_four_times_beneath_its_callbacks():
    wait = Wait.begin(job_of("1"), Pace.begin(job_of("1"), 0.0), Limits(callback=True))
    polls = 0
    while wait.due < 3600:
        polls, wait = polls + 1, wait.saw(job_of("1"), wait.due)
    assert polls <= 4
