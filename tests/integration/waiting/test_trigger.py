# SPDX-License-Identifier: Apache-2.0
"""Triggers in one event loop, as in a triggerer, on the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_video_providers.exceptions import (
    VideoJobFailedError,
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.hooks.base import VideoHook, get_video_hook
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.links import videos_page
from airflow_video_providers.retry_policy import VideoRetryPolicy
from airflow_video_providers.submission import cancel_in_triggerer as cancelling
from airflow_video_providers.triggers import video_job
from airflow_video_providers.triggers.video_job import VideoJobTrigger, job_from_event
from airflow_video_providers.waiting import in_triggerer as shared_poller
from airflow_video_providers.waiting import waiter
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS, LISTED, LONE, ONE, vendors_that

SINGLE = LONE[0]
"""A vendor that is asked for each job by itself."""


@pytest.fixture
def triggers(video_connections):
    """Submit jobs and return a trigger for each."""

    def triggers(vendor, count=1, move=None, **arguments):
        hook = get_video_hook(f"{vendor}_default")
        jobs = [hook.submit_job(VENDORS[vendor].request("Wait")) for _ in range(count)]
        for job in jobs:
            if move:
                video_connections.move(job.job_id, **move)
        arguments = {"poll_interval": 1, "conn_id": f"{vendor}_default", **arguments}
        return [VideoJobTrigger(job=job.to_xcom(), seed=str(number), **arguments) for number, job in enumerate(jobs)]

    yield triggers
    assert not shared_poller._pollers
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("poll-") and _busy(thread)]


def _busy(thread):
    thread.join(10)
    return thread.is_alive()


async def event_of(trigger):
    async with contextlib.aclosing(trigger.run()) as events:
        return await anext(events)


def events_of(triggers):
    async def gather():
        return await asyncio.gather(*(event_of(trigger) for trigger in triggers))

    return asyncio.run(asyncio.wait_for(gather(), 120))


def payloads(triggers):
    return [event.payload for event in events_of(triggers)]


def ids(triggers):
    return [trigger.job["job_id"] for trigger in triggers]


@pytest.mark.parametrize("vendor", LISTED)
def test_one_list_tells_all_waits_of_a_connection(vendor, triggers, simulator):
    simulator.settings(render_seconds=4)
    many = triggers(vendor, 100)
    assert [job_from_event(payload).job_id for payload in payloads(many)] == ids(many)
    counts = simulator.counts(vendor)
    assert 1 <= counts["lists"] <= 20
    assert counts["polls"] <= 100


@pytest.mark.parametrize("vendor", LONE)
def test_a_vendor_without_a_list_gets_eight_requests_at_a_time(vendor, triggers, simulator):
    simulator.settings(render_seconds=2)
    simulator.fault(vendor, "status", delay=0.1, times=None)
    many = triggers(vendor, 60)
    assert {payload["status"] for payload in payloads(many)} == {"success"}
    assert simulator.counts(vendor)["max_in_flight"] == 8


def test_a_job_that_the_list_does_not_show_is_asked_for_by_its_id(triggers, simulator):
    simulator.settings(render_seconds=2, list_lag_seconds=600)
    many = triggers(ONE, 5)
    assert {payload["status"] for payload in payloads(many)} == {"success"}
    assert simulator.counts(ONE)["polls"] >= 5


@pytest.mark.parametrize("vendor", LISTED)
def test_a_list_that_cannot_be_read_fails_nobody(vendor, triggers, simulator):
    simulator.settings(render_seconds=2)
    simulator.fault(vendor, "list", html=True, times=None)
    many = triggers(vendor, 5, max_poll_failures=0)
    assert {payload["status"] for payload in payloads(many)} == {"success"}


@pytest.mark.parametrize(("vendor", "operation"), [(ONE, "list"), (SINGLE, "status")])
def test_a_bad_answer_fails_nobody(vendor, operation, triggers, simulator):
    simulator.settings(render_seconds=2)
    many = triggers(vendor, 5)
    simulator.fault(vendor, operation, status=502, times=1)
    assert {payload["status"] for payload in payloads(many)} == {"success"}


def test_jobs_that_are_purged_cost_no_other_wait_a_poll(triggers, simulator, monkeypatch):
    monkeypatch.setattr(VideoHook, "find_wait", 0.0)
    many = triggers(SINGLE, 40, move={"status": "running"}, max_poll_failures=5)
    kept = many[36:]
    for trigger in many[:36]:
        trigger.job["job_id"] += "-purged"  # the vendor answers 404

    async def finish_the_kept():
        waits = [asyncio.create_task(event_of(trigger)) for trigger in many]
        await asyncio.gather(*waits[:36])
        for job_id in ids(kept):
            await asyncio.to_thread(simulator.move, job_id, finish=True)
        return [event.payload["status"] for event in await asyncio.gather(*waits)]

    assert asyncio.run(finish_the_kept()) == ["cancelled"] * 36 + ["success"] * 4


@pytest.mark.parametrize("vendor", HOOKS)
def test_a_vendor_that_is_down_ends_the_waits_and_leaves_the_jobs(vendor, triggers, simulator):
    many = triggers(vendor, 3, move={"status": "running"}, max_poll_failures=1)
    for operation in ("list", "status", "video"):
        simulator.fault(vendor, operation, status=503, times=None)
    for trigger, payload in zip(many, payloads(many), strict=True):
        assert payload["status"] == "polling_failed"
        with pytest.raises(VideoPollingError, match="responded 503") as caught:
            job_from_event(payload)
        assert trigger.job["job_id"] in str(caught.value)
    assert {job["state"] for job in simulator.jobs(vendor)} == {"running"}


def test_retry_after_holds_for_the_whole_connection(triggers, simulator):
    many = triggers(SINGLE, 40, move={"status": "running"})
    simulator.fault(SINGLE, "status", status=429, retry_after=600, times=None)

    async def for_a_while():
        tasks = [asyncio.create_task(event_of(trigger)) for trigger in many]
        while simulator.counts(SINGLE)["polls"] == 0:
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(for_a_while())
    assert simulator.counts(SINGLE)["polls"] <= 8


def test_the_vendors_retry_after_reaches_the_retry_of_the_task(triggers, simulator):
    (trigger,) = triggers(SINGLE, max_poll_failures=0)
    simulator.fault(SINGLE, "status", status=429, retry_after=600, times=None)
    (payload,) = payloads([trigger])
    with pytest.raises(VideoPollingError) as caught:
        job_from_event(json.loads(json.dumps(payload)))
    assert VideoRetryPolicy().evaluate(caught.value, 1, 3).retry_delay == timedelta(seconds=600)


def test_a_job_that_has_ended_before_is_not_asked_for(triggers, simulator):
    (trigger,) = triggers(ONE)
    trigger.job["state"] = "succeeded"
    assert payloads([trigger])[0]["status"] == "success"
    counts = simulator.counts(ONE)
    assert (counts["polls"], counts["lists"]) == (0, 0)


@pytest.mark.parametrize("vendor", HOOKS)
def test_a_failed_render_is_told_with_the_reason_that_the_vendor_gives(vendor, triggers):
    (trigger,) = triggers(vendor, move={"fail": "no such codec"})
    (payload,) = payloads([trigger])
    assert json.loads(json.dumps(payload)) == payload
    said = get_video_hook(f"{vendor}_default").get_job(trigger.job["job_id"]).error
    with pytest.raises(VideoJobFailedError) as caught:
        job_from_event(payload)
    assert ((said and said.message) or "") in str(caught.value)
    assert caught.value.job.job_id == trigger.job["job_id"]


def test_the_deadline_is_kept_even_if_the_vendor_is_down(triggers, simulator):
    many = triggers(ONE, 2, move={"status": "processing"}, deadline=time.time() + 3)
    simulator.fault(ONE, "*", status=503, times=None)
    for payload in payloads(many):
        with pytest.raises(VideoJobTimeoutError):
            job_from_event(payload)
    assert simulator.counts(ONE)["cancels"] == 0


def test_the_deadline_is_kept_even_if_nobody_may_be_asked(triggers, simulator, monkeypatch):
    monkeypatch.setattr(shared_poller, "_CHECK_DEADLINES", 1.0)
    monkeypatch.setattr(waiter, "_LAST_POLL_SECONDS", 1.0)
    many = triggers(SINGLE, 2, move={"status": "running"}, deadline=time.time() + 4)
    simulator.fault(SINGLE, "status", status=429, retry_after=600, times=None)
    assert {payload["status"] for payload in payloads(many)} == {"timeout"}
    assert simulator.counts(SINGLE)["polls"] <= 2


def test_a_trigger_made_again_goes_on_with_the_same_wait(triggers):
    (trigger,) = triggers(ONE, deadline=time.time() + 3, move={"status": "running"})
    path, arguments = trigger.serialize()
    assert path == "airflow_video_providers.triggers.video_job.VideoJobTrigger"
    again = VideoJobTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()
    (payload,) = payloads([again])
    assert payload["status"] == "timeout"


WHERE = {"dag_id": "d", "task_id": "wait", "run_id": "r"}


class Xcoms(dict):
    """The XComs of a task's instances by map index and key, where there is no Airflow that could keep them."""

    def __init__(self):
        super().__init__()
        self.pushed = []

    def set(self, *, key, value, map_index, **where):
        assert where == WHERE
        self[map_index, key] = value
        self.pushed.append((key, value))

    def get_one(self, *, key, map_index, **where):
        assert where == WHERE
        return self.get((map_index, key))

    def defer(self, trigger, map_index=3):
        """Do what a worker does before it leaves the wait to a trigger."""
        trigger.task_instance = SimpleNamespace(**WHERE, map_index=map_index)
        self[map_index, "video_job"] = trigger.job


@pytest.fixture
def xcoms(monkeypatch):
    from airflow.sdk.execution_time.xcom import XCom

    xcoms = Xcoms()
    monkeypatch.setattr(XCom, "set", xcoms.set)
    monkeypatch.setattr(XCom, "get_one", xcoms.get_one)
    return xcoms


@pytest.mark.parametrize("vendor", HOOKS)
def test_success_ends_the_task_from_the_triggerer_with_all_its_xcoms(vendor, triggers, xcoms):
    (trigger,) = triggers(vendor)
    xcoms.defer(trigger)
    (event,) = events_of([trigger])
    assert type(event) is TaskSuccessEvent
    assert event.xcoms is None  # Airflow would store them as JSON in JSON
    pushed = dict(xcoms.pushed)
    seen = pushed.pop("video_job")
    assert seen["state"] == "succeeded"
    link = seen.get("page_url") or videos_page()
    assert pushed == {"return_value": trigger.job["job_id"], "video_job_link": link}


@pytest.mark.parametrize("left", [None, {"job_id": "of the next try"}, "unreadable"])
def test_a_task_that_was_cleared_meanwhile_is_not_ended_by_the_trigger_of_the_try_before(left, triggers, xcoms):
    (trigger,) = triggers(ONE)
    xcoms.defer(trigger)
    xcoms[3, "video_job"] = left
    trigger.pace["polled"] -= 60
    (event,) = events_of([trigger])
    assert type(event) is TriggerEvent
    assert xcoms.pushed == []


def test_a_task_whose_xcoms_cannot_be_pushed_is_resumed(triggers):
    (trigger,) = triggers(ONE)
    trigger.task_instance = SimpleNamespace(**WHERE, map_index=3)  # and no supervisor to push them to
    trigger.pace["polled"] -= 60
    (payload,) = payloads([trigger])
    assert job_from_event(payload).job_id == trigger.job["job_id"]


def test_a_task_without_xcoms_gets_none(triggers, xcoms):
    (trigger,) = triggers(ONE, do_xcom_push=False)
    xcoms.defer(trigger)
    trigger.pace["polled"] -= 60
    (payload,) = payloads([trigger])
    assert job_from_event(payload).job_id == trigger.job["job_id"]
    assert xcoms.pushed == []


def test_many_deferred_tasks_seldom_show_their_jobs(triggers, simulator, xcoms, monkeypatch):
    monkeypatch.setattr(video_job, "_SHOW_INTERVAL", 0)
    monkeypatch.setattr(video_job, "_MOST_SHOWS", 0.01)
    many = triggers(ONE, 3, move={"status": "running", "progress": 50})
    for number, trigger in enumerate(many):
        xcoms.defer(trigger, number)

    async def finish():
        while simulator.counts(ONE)["lists"] < 2:
            await asyncio.sleep(0.1)
        for job_id in ids(many):
            await asyncio.to_thread(simulator.move, job_id, finish=True)

    async def all_of_them():
        return await asyncio.gather(*(event_of(trigger) for trigger in many), finish())

    asyncio.run(all_of_them())
    assert [value["progress"] for key, value in xcoms.pushed if key == "video_job"] == [1.0] * 3


def test_a_move_that_was_not_shown_is_shown_later(triggers, simulator, xcoms, monkeypatch):
    monkeypatch.setattr(video_job, "_MOST_SHOWS", 0.25)
    (trigger,) = triggers(ONE, move={"status": "running", "progress": 50})
    xcoms.defer(trigger)

    async def finish():
        while not xcoms.pushed:
            await asyncio.sleep(0.1)
        counts = simulator.counts(ONE)
        assert counts["polls"] + counts["lists"] > 2  # it did not move in all but the first of these polls
        await asyncio.to_thread(simulator.move, trigger.job["job_id"], finish=True)

    async def both():
        return await asyncio.gather(event_of(trigger), finish())

    asyncio.run(asyncio.wait_for(both(), 60))
    assert [value["progress"] for key, value in xcoms.pushed if key == "video_job"] == [0.5, 1.0]


def test_a_render_that_ends_while_its_task_is_shown_ends_the_task(triggers, simulator, xcoms, monkeypatch):
    from airflow.sdk.execution_time.xcom import XCom

    monkeypatch.setattr(video_job, "_MOST_SHOWS", 1000)
    (trigger,) = triggers(ONE, move={"status": "running", "progress": 50})
    xcoms.defer(trigger)

    def set_slowly(*, key, value, **where):
        if key == "video_job" and value["state"] == "running":
            simulator.move(trigger.job["job_id"], finish=True)
            polls = simulator.counts(ONE)["polls"] + simulator.counts(ONE)["lists"]
            while simulator.counts(ONE)["polls"] + simulator.counts(ONE)["lists"] < polls + 1:
                time.sleep(0.1)
            time.sleep(0.5)
        xcoms.set(key=key, value=value, **where)

    monkeypatch.setattr(XCom, "set", set_slowly)
    (event,) = events_of([trigger])
    assert type(event) is TaskSuccessEvent
    assert xcoms[3, "return_value"] == trigger.job["job_id"]


def test_a_waiting_trigger_keeps_one_job_in_memory(triggers, simulator):
    simulator.settings(render_seconds=100_000)
    many = triggers(ONE, 50, poll_interval=1, move={"status": "running", "progress": 50})

    async def count():
        waiting = [asyncio.create_task(event_of(trigger)) for trigger in many]
        before = simulator.counts(ONE)["lists"]
        while simulator.counts(ONE)["lists"] < before + 3:
            await asyncio.sleep(0.1)
        while any(poller._calls for poller in shared_poller._pollers.values()):
            await asyncio.sleep(0.1)
        gc.collect()
        kept = sum(isinstance(each, VideoJob) for each in gc.get_objects())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return kept

    gc.collect()
    others = sum(isinstance(each, VideoJob) for each in gc.get_objects())
    assert asyncio.run(asyncio.wait_for(count(), 60)) <= others + 50


def test_the_xcom_of_a_deferred_task_follows_its_job(triggers, simulator, xcoms, monkeypatch):
    monkeypatch.setattr(video_job, "_SHOW_INTERVAL", 0)
    monkeypatch.setattr(video_job, "_MOST_SHOWS", 1000)
    (trigger,) = triggers(ONE, move={"status": "running", "progress": 50})
    xcoms.defer(trigger)

    async def finish():
        while not xcoms.pushed:
            await asyncio.sleep(0.1)
        await asyncio.to_thread(simulator.move, trigger.job["job_id"], finish=True)

    async def both():
        return await asyncio.gather(event_of(trigger), finish())

    asyncio.run(both())
    assert [value["progress"] for key, value in xcoms.pushed if key == "video_job"] == [0.5, 1.0]


def test_a_task_that_needs_a_worker_is_resumed(triggers):
    (trigger,) = triggers(ONE, end_from_trigger=False)
    (payload,) = payloads([trigger])
    assert job_from_event(payload).job_id == trigger.job["job_id"]


@pytest.mark.parametrize("wrong", [{"password": "expired"}, {"host": "http://127.0.0.1:9"}])
def test_a_connection_that_is_set_right_is_taken_up(wrong, triggers, simulator, monkeypatch):
    right = simulator.connection_env()[f"AIRFLOW_CONN_{SINGLE.upper()}_DEFAULT"]
    many = triggers(SINGLE, 3)
    monkeypatch.setenv(f"AIRFLOW_CONN_{SINGLE.upper()}_DEFAULT", json.dumps({**json.loads(right), **wrong}))
    look_up, lookups = shared_poller.aget_video_hook, []

    async def set_right_later(conn_id):
        if lookups:
            monkeypatch.setenv(f"AIRFLOW_CONN_{SINGLE.upper()}_DEFAULT", right)
        lookups.append(conn_id)
        return await look_up(conn_id)

    monkeypatch.setattr(shared_poller, "aget_video_hook", set_right_later)
    assert {payload["status"] for payload in payloads(many)} == {"success"}
    assert len(lookups) == 2


def test_jobs_that_no_list_showed_share_the_failures_of_the_look_up(triggers, simulator, monkeypatch):
    simulator.settings(list_lag_seconds=600)
    simulator.fault(ONE, "status", status=401, times=None)
    many = triggers(ONE, 20, move={"status": "running"}, max_poll_failures=1)
    look_up, lookups = shared_poller.aget_video_hook, []

    async def once(conn_id):
        lookups.append(conn_id)
        if len(lookups) > 1:
            raise RuntimeError("no such connection any more")
        return await look_up(conn_id)

    monkeypatch.setattr(shared_poller, "aget_video_hook", once)
    assert {payload["status"] for payload in payloads(many)} == {"polling_failed"}
    assert simulator.counts(ONE)["polls"] <= 16  # eight jobs; a vendor with tokens renews them once each


def test_waits_that_are_cancelled_leave_nothing_behind(triggers):
    many = triggers(ONE, 20, move={"status": "running"})

    async def cancel():
        tasks = [asyncio.create_task(event_of(trigger)) for trigger in many]
        await asyncio.sleep(1.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancel())


@pytest.fixture
def failed_by_a_user(monkeypatch):
    """Airflow says that a user has failed each task; here there is no supervisor to ask."""
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {"r": {"wait_3": "failed"}})
    return SimpleNamespace(**WHERE, map_index=3)


@pytest.mark.parametrize("vendor", vendors_that(can_cancel=True))
@pytest.mark.parametrize(
    ("cancel_on_kill", "move", "state"),
    [
        (True, {"status": "running"}, "cancelled"),
        (False, {"status": "running"}, "running"),
        (True, {"finish": True}, "succeeded"),
    ],
)
def test_a_kill_cancels_only_what_runs_and_only_for_the_task_that_submitted_it(
    vendor, cancel_on_kill, move, state, triggers, simulator, failed_by_a_user
):
    (trigger,) = triggers(vendor, move=move, cancel_on_kill=cancel_on_kill)
    trigger.task_instance = failed_by_a_user
    asyncio.run(trigger.on_kill())
    assert [job["state"] for job in simulator.jobs(vendor)] == [state]
    assert simulator.counts(vendor)["finished_deletes"] == 0


def test_many_waits_killed_at_once_are_all_cancelled_by_one_hook(triggers, simulator, monkeypatch, failed_by_a_user):
    """Airflow gives each killed trigger so many seconds; those that got no turn within them get it afterwards."""
    many = triggers(ONE, 60, move={"status": "running"}, cancel_on_kill=True)
    for trigger in many:
        trigger.task_instance = failed_by_a_user
    look_up, lookups = cancelling.aget_video_hook, []

    async def counted(conn_id):
        lookups.append(conn_id)
        return await look_up(conn_id)

    monkeypatch.setattr(cancelling, "aget_video_hook", counted)

    async def kill():
        kills = [asyncio.create_task(trigger.on_kill()) for trigger in many]
        await asyncio.sleep(0)
        for task in kills:
            task.cancel()
        await asyncio.gather(*kills, return_exceptions=True)
        while cancelling._kept:
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(kill(), 120))
    assert [job["state"] for job in simulator.jobs(ONE)] == ["cancelled"] * 60
    assert len(lookups) == 1
