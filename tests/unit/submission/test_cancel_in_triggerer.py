# SPDX-License-Identifier: Apache-2.0
"""A killed trigger cancels the render only if a user has ended the task, and always says what becomes of the job."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from airflow_video_providers.submission import cancel_in_triggerer as cancelling
from airflow_video_providers.triggers.video_job import VideoJobTrigger
from airflow_video_providers.triggers.video_jobs import VideoJobsTrigger
from tests.support.submission import FakeHook, World

NAME = "fake job job-1"
HOW = "CancelVideoJobOperator(conn_id='fake_default', job_id='job-1'), or https://app.example/1"


@pytest.fixture
def world(monkeypatch):
    """A vendor with one running job, and an Airflow that answers for one mapped task instance."""
    world = World()
    world.states = {"r": {"t_3": "failed"}}
    world.asked = []
    FakeHook(world, KeySupport.EXACT).submit_job({})

    def get_task_states(**arguments):
        world.asked.append(arguments)
        if isinstance(world.states, Exception):
            raise world.states
        return world.states

    async def look_up(conn_id):
        return FakeHook(world, KeySupport.EXACT, conn_id)

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", get_task_states)
    monkeypatch.setattr(cancelling, "aget_video_hook", look_up)
    return world


@pytest.fixture
def kill(world, caplog):
    """Kill a trigger as Airflow does; return the log. Nothing may be left that nobody waited for."""
    caplog.set_level(logging.INFO)

    def kill(cancel_on_kill=True, seconds=5.0):
        async def within():
            faults = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
            trigger = VideoJobTrigger(
                conn_id="fake_default",
                job=world.jobs["job-1"].to_xcom(),
                poll_interval=60,
                cancel_on_kill=cancel_on_kill,
            )
            trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=3, try_number=1)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(trigger.on_kill(), seconds)
            while cancelling._kept or cancelling._cancellers:
                await asyncio.sleep(0.01)
            gc.collect()
            assert faults == []

        asyncio.run(asyncio.wait_for(within(), 60))
        return caplog.text

    return kill


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "upstream_failed", None])
def test_a_user_who_ends_the_task_ends_the_render(world, kill, state):
    world.states = {"r": {"t_3": state}}
    assert NAME in kill()
    assert world.cancelled == ["job-1"]
    assert world.asked == [{"dag_id": "d", "task_ids": ["t"], "run_ids": ["r"], "map_index": 3}]


def test_a_run_that_was_deleted_ends_the_render(world, kill):
    world.states = {}
    assert NAME in kill()
    assert world.cancelled == ["job-1"]


def test_a_finished_render_is_left_alone(world, kill):
    world.set_state("job-1", JobState.SUCCEEDED)
    assert f"{NAME} had ended already" in kill()
    assert world.cancelled == []


@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("deferred", "is still deferred, so another triggerer has taken it over"),
        ("scheduled", "the task is scheduled, and its next run decides"),
        ("queued", "the task is queued, and its next run decides"),
        ("running", "the task is running, and its next run decides"),
        ("up_for_retry", "the task is up_for_retry, and its next run decides"),
    ],
)
def test_a_task_that_goes_on_keeps_its_render(world, kill, state, said, cancel):
    world.states = {"r": {"t_3": state}}
    log = kill(cancel)
    assert NAME in log
    assert said in log
    assert world.cancelled == []


def test_a_task_that_does_not_cancel_says_how_to_end_the_render(world, kill):
    log = kill(cancel_on_kill=False)
    assert f"The task was ended (failed), but {NAME} goes on" in log
    assert HOW in log
    assert world.cancelled == []


def test_an_airflow_that_does_not_answer_leaves_the_render(world, kill):
    world.states = ConnectionError("the API server is away")
    log = kill()
    assert f"{NAME} is left alone, since Airflow does not say" in log
    assert "the API server is away" in log
    assert HOW in log
    assert world.cancelled == []


def test_an_airflow_that_answers_after_the_triggers_time_ends_all_renders_of_a_list(world, caplog):
    FakeHook(world, KeySupport.EXACT).submit_job({})
    answered, plain = threading.Event(), RuntimeTaskInstance.get_task_states

    def late(**arguments):
        answered.wait(30)
        return plain(**arguments)

    async def kill():
        jobs = [{"number": number, "vendor": "fake", "job_id": job_id} for number, job_id in enumerate(world.jobs)]
        trigger = VideoJobsTrigger(conn_id="fake_default", jobs=jobs, poll_interval=60, wake_at=2, deferred_at=0.0)
        trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=3, try_number=1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(trigger.on_kill(), 0.2)
        answered.set()
        while cancelling._kept or cancelling._cancellers:
            await asyncio.sleep(0.01)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RuntimeTaskInstance, "get_task_states", late)
        asyncio.run(asyncio.wait_for(kill(), 60))
    assert sorted(world.cancelled) == sorted(world.jobs)
    assert len(world.jobs) == 2
    assert "the triggerer goes on trying" in caplog.text


def test_an_airflow_that_hangs_leaves_the_render(world, kill, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: released.wait(30))
    monkeypatch.setattr(cancelling, "_STATE_SECONDS", 0.1)
    threading.Timer(1.0, released.set).start()
    log = kill()
    assert f"{NAME} is left alone, since Airflow does not say" in log
    assert "no response within" in log
    assert world.cancelled == []


def test_a_trigger_without_a_task_instance_leaves_the_render(world, caplog):
    trigger = VideoJobTrigger(conn_id="c", job=world.jobs["job-1"].to_xcom(), poll_interval=60, cancel_on_kill=True)
    asyncio.run(trigger.on_kill())
    assert f"{NAME} is left alone" in caplog.text
    assert world.cancelled == []


async def no_connection(conn_id):
    raise RuntimeError(f"no connection {conn_id}")


async def hang(conn_id):
    await asyncio.Event().wait()


@pytest.mark.parametrize(("look_up", "said"), [(no_connection, "no connection fake_default"), (hang, "was not given")])
def test_a_connection_that_cannot_be_looked_up_is_said_with_the_job(world, kill, monkeypatch, look_up, said):
    monkeypatch.setattr(cancelling, "aget_video_hook", look_up)
    monkeypatch.setattr(cancelling, "_LOOK_UP_SECONDS", 0.1)
    log = kill()
    assert f"{NAME} was not cancelled, it may go on and be charged" in log
    assert said in log
    assert HOW in log


def test_a_hook_with_a_fault_is_said_with_the_job(world, kill, monkeypatch):
    def fault(self, job_id):
        raise KeyError("status")

    monkeypatch.setattr(FakeHook, "cancel_job", fault)
    log = kill()
    assert f"{NAME} was not cancelled, it may go on and be charged: 'status'" in log
    assert HOW in log


def test_a_vendor_that_is_slower_than_airflow_waits_is_cancelled_all_the_same(world, kill, monkeypatch):
    released, cancel = threading.Event(), FakeHook.cancel_job

    def slow(self, job_id):
        released.wait(30)
        return cancel(self, job_id)

    monkeypatch.setattr(FakeHook, "cancel_job", slow)
    threading.Timer(1.0, released.set).start()
    log = kill(seconds=0.3)
    assert f"No time is left to see {NAME} cancelled" in log
    assert f"{NAME} was cancelled: the task was killed" in log
    assert world.cancelled == ["job-1"]
