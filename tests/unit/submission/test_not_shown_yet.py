# SPDX-License-Identifier: Apache-2.0
"""A vendor may show a new job late: one that is not found is gone, and costs nothing, only once it must be shown."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_video_providers.exceptions import VideoApiNotFoundError, VideoJobCancelledError
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.operators.video_job import CancelVideoJobOperator, SubmitVideoJobOperator
from airflow_video_providers.submission import cancel as cancelling
from airflow_video_providers.submission import cancel_in_triggerer, task_state
from airflow_video_providers.submission.cancel import CancelOutcome, Cause, cancel_video_job, must_be_shown_by
from airflow_video_providers.triggers.video_job import VideoJobTrigger
from airflow_video_providers.triggers.video_jobs import placeholders
from airflow_video_providers.waiting.schedule import Pace
from tests.support.submission import FakeHook, FakeTaskInstance, World, context_of
from tests.unit.bulk.test_crashes import WINDOW, manifest, new_hook, requests_, task_of
from tests.unit.bulk.test_ends import SlowWorld, deferred, say_state

LONG_AGO = datetime.now(timezone.utc) - timedelta(days=1)


class LateHook(FakeHook):
    """A vendor that does not find a new job at the first polls."""

    shown_at = 3

    def cancel_job(self, job_id: str) -> VideoJob | None:
        polls: Counter[str] = self.world.__dict__.setdefault("cancel_polls", Counter())
        polls[job_id] += 1
        return None if polls[job_id] < self.shown_at else super().cancel_job(job_id)


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr(cancelling.time, "sleep", world.sleep)
    monkeypatch.setattr(task_state, "STOP_SECONDS", 0)
    return world


@pytest.fixture
def hook(world):
    hook = LateHook(world, KeySupport.EXACT)
    hook.submit_job({})
    return hook


def test_a_job_that_is_shown_late_is_cancelled(world, hook):
    assert cancel_video_job(hook, "job-1", reason="test").outcome is CancelOutcome.CANCELLED
    assert (world.cancelled, world.slept) == (["job-1"], 2 * cancelling.LOOK_AGAIN)


def test_a_job_that_is_never_shown_is_gone_once_it_must_be_shown(world, hook):
    hook.shown_at = 10**6
    assert cancel_video_job(hook, "job-1", reason="test").outcome is CancelOutcome.GONE
    assert world.slept == hook.find_wait
    assert cancel_video_job(hook, "job-1", reason="test", shown_by=LONG_AGO).outcome is CancelOutcome.GONE
    assert world.slept == hook.find_wait


def test_one_poll_leaves_it_to_the_caller_to_name_the_doubt(world, hook, caplog):
    hook.shown_at = 10**6
    ended = cancel_video_job(hook, "job-1", reason="test", seconds=0)
    assert ended.outcome is CancelOutcome.NOT_SHOWN
    assert (caplog.text, world.slept) == ("", 0), "a caller that polls it again and again says so once"


@pytest.mark.parametrize("created_at", [None, datetime.now(timezone.utc) + timedelta(hours=8)])
def test_a_job_of_unknown_age_or_of_a_vendor_ahead_of_our_clock_is_new(created_at):
    left = must_be_shown_by(created_at, 60.0) - datetime.now(timezone.utc)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
    assert must_be_shown_by(LONG_AGO, 60.0) == LONG_AGO + timedelta(seconds=60)


@pytest.mark.parametrize("seconds", [3])
def test_without_the_time_to_see_it_the_doubt_is_named(world, hook, seconds, caplog):
    hook.shown_at = 10**6
    ended = cancel_video_job(hook, "job-1", reason="test", seconds=seconds)
    assert ended.outcome is CancelOutcome.NOT_SHOWN
    assert isinstance(ended.error, VideoApiNotFoundError)
    assert "fake job job-1 was not cancelled (test), it may go on and be charged" in caplog.text
    assert world.slept == seconds


@pytest.mark.parametrize(
    ("age", "outcome", "cancelled"),
    [(timedelta(0), "cancelled", ["job-1"]), (None, "cancelled", ["job-1"]), (timedelta(days=1), "gone", [])],
)
def test_the_cancelling_operator_knows_how_old_the_job_is(world, hook, monkeypatch, age, outcome, cancelled):
    monkeypatch.setattr("airflow_video_providers.hooks.base.get_video_hook", lambda conn_id: hook)
    created_at = None if age is None else datetime.now(timezone.utc) - age
    xcom = {**hook.get_job("job-1").to_xcom(), "created_at": created_at and created_at.isoformat()}
    operator = CancelVideoJobOperator(task_id="c", conn_id="fake_default", job_id=xcom)
    assert operator.execute(context_of(world, operator)) == outcome
    assert world.cancelled == cancelled


def test_a_kill_right_after_the_submission_cancels_a_job_that_is_shown_late(world):
    class Killed(LateHook):
        def get_job(self, job_id):
            if world.task_state == "running":
                world.task_state = "failed"
                operator.on_kill()
            return super().get_job(job_id)

    operator = SubmitVideoJobOperator(
        task_id="t", conn_id="fake_default", request={"title": "A"}, wait_for_completion=True, deferrable=False
    )
    Killed.shown_at = 2
    operator.__dict__["hook"] = Killed(world, KeySupport.EXACT)
    with pytest.raises(VideoJobCancelledError):
        operator.execute(context_of(world, operator))
    assert world.cancelled == ["job-1"]


def test_the_operators_find_wait_counts_for_its_cancellations(world):
    class Late(LateHook):
        shown_at = 51

        def get_job(self, job_id):
            world.slept = 0.0
            raise AirflowTaskTimeout("time is up")

    operator = SubmitVideoJobOperator(
        task_id="t",
        conn_id="fake_default",
        request={"title": "A"},
        wait_for_completion=True,
        deferrable=False,
        find_wait=100,
    )
    operator.__dict__["hook"] = Late(world, KeySupport.EXACT)
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context_of(world, operator, 2, max_tries=1))
    assert world.cancelled == ["job-1"]
    assert 99 < world.slept <= 100


def test_a_bulk_task_that_is_killed_polls_the_late_ones_again_after_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_video_providers.bulk.cancels.LOOK_AGAIN", 0.01)
    world = SlowWorld()
    task = deferred(world, tmp_path)
    task.hook.find_wait = 60.0  # type: ignore[misc]
    first = sorted(world.jobs)[0]
    cancel, polls = task.hook.cancel_job, itertools.count(1)
    order = []

    def cancel_late(job_id: str) -> VideoJob | None:
        order.append(job_id)
        return None if job_id == first and next(polls) < 3 else cancel(job_id)

    monkeypatch.setattr(task.hook, "cancel_job", cancel_late)
    say_state(task, "failed")
    task.kill()
    assert {job.state for job in world.jobs.values()} == {JobState.CANCELLED}
    assert order[-2:] == [first, first]
    assert len(order) == WINDOW + 2
    assert [line["state"] for line in manifest(tmp_path)].count("cancelled") == WINDOW
    task.close()


def test_a_bulk_task_names_what_is_not_shown_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = SlowWorld()
    task = deferred(world, tmp_path)
    task.hook.find_wait = 60.0  # type: ignore[misc]
    monkeypatch.setattr(task.hook, "cancel_job", lambda job_id: None)
    assert task._window is not None
    left = task._window.cancel_active(Cause.KILLED, seconds=0.5)
    assert len(left) == WINDOW
    assert all("it may go on and be charged" in text for text in left)
    assert [entry.state.value for entry in task.ledger.entries].count("running") == WINDOW
    task.close()


def test_a_killed_trigger_cancels_a_job_that_is_shown_late(world, hook, monkeypatch):
    async def look_up(conn_id):
        return hook

    monkeypatch.setattr(cancel_in_triggerer, "aget_video_hook", look_up)
    monkeypatch.setattr(cancel_in_triggerer, "LOOK_AGAIN", 0.01)

    async def kill(job):
        await cancel_in_triggerer._canceller("fake_default").cancel(job)

    asyncio.run(kill(hook.get_job("job-1")))
    assert world.cancelled == ["job-1"]


def test_killed_triggers_whose_jobs_are_not_shown_hold_up_no_job_that_runs(world, hook, monkeypatch):
    """The late ones, as many as there are threads, are shown only after the one behind them was cancelled."""
    late = [f"job-{number}" for number in range(1, cancel_in_triggerer.MOST_CANCELS_IN_FLIGHT + 1)]
    for _ in late:
        hook.submit_job({})
    running = f"job-{len(late) + 1}"
    hook.shown_at = 0
    cancel = hook.cancel_job
    monkeypatch.setattr(
        hook, "cancel_job", lambda job_id: cancel(job_id) if job_id == running or running in world.cancelled else None
    )

    async def look_up(conn_id):
        return hook

    monkeypatch.setattr(cancel_in_triggerer, "aget_video_hook", look_up)
    monkeypatch.setattr(cancel_in_triggerer, "LOOK_AGAIN", 0.01)

    async def kill_all():
        canceller = cancel_in_triggerer._canceller("fake_default")
        await asyncio.gather(*(canceller.cancel(hook.get_job(job_id)) for job_id in (*late, running)))

    asyncio.run(kill_all())
    assert sorted(world.cancelled) == sorted((*late, running))


def test_a_triggerer_that_ends_names_the_job_that_is_not_shown(world, hook, monkeypatch, caplog):
    async def look_up(conn_id):
        return hook

    monkeypatch.setattr(cancel_in_triggerer, "aget_video_hook", look_up)
    hook.shown_at = 10**6

    async def end():
        task = asyncio.create_task(cancel_in_triggerer._canceller("fake_default").cancel(hook.get_job("job-1")))
        while not world.__dict__.get("cancel_polls"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(end())
    assert "fake job job-1 was not cancelled (the task was killed), it may go on and be charged" in caplog.text


def test_a_trigger_knows_by_its_own_clock_how_old_its_job_is(world, hook, monkeypatch):
    """The vendor does not say when the job was created; somebody has deleted it there."""

    async def look_up(conn_id):
        return hook

    polls = []
    monkeypatch.setattr(hook, "cancel_job", polls.append)
    monkeypatch.setattr(cancel_in_triggerer, "aget_video_hook", look_up)
    monkeypatch.setattr(cancel_in_triggerer, "LOOK_AGAIN", 0.01)
    job = hook.get_job("job-1").model_copy(update={"created_at": None})
    pace = Pace.begin(job, LONG_AGO.timestamp()).to_json()
    trigger = VideoJobTrigger(
        conn_id="fake_default", job=job.to_xcom(), poll_interval=60, cancel_on_kill=True, pace=pace
    )
    trigger.task_instance = FakeTaskInstance(world)
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {"r": {"t": "failed"}})
    asyncio.run(asyncio.wait_for(trigger.on_kill(), 30))
    assert polls == ["job-1"]


def test_outdated_renders_that_are_not_shown_hold_up_none_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The late ones, as many as there are threads, are shown only after those behind them were cancelled."""
    monkeypatch.setattr("airflow_video_providers.bulk.cancels.LOOK_AGAIN", 0.01)
    count = 16 + 4
    world = SlowWorld()
    first = deferred(world, tmp_path, requests=requests_(count), max_active=count, window=count)
    first.close()
    late = {job_id for job_id, job in world.jobs.items() if int(str(job.name).removeprefix("i")) < 16}
    running = set(world.jobs) - late
    again = task_of(
        world,
        new_hook(world, KeySupport.EXACT, False),
        tmp_path,
        2,
        max_tries=7,
        requests=requests_(count),
        max_active=count,
    )
    again.hook.find_wait = 60.0  # type: ignore[misc]
    cancel = again.hook.cancel_job
    monkeypatch.setattr(
        again.hook,
        "cancel_job",
        lambda job_id: cancel(job_id) if job_id in running or running <= set(world.cancelled) else None,
    )
    monkeypatch.setattr(cancelling.time, "sleep", world.sleep)
    again.open()
    again._take_over()
    assert set(world.cancelled) == late | running


def test_a_trigger_of_many_knows_when_each_was_submitted():
    (job,) = placeholders([{"vendor": "fake", "job_id": "job-1", "submitted_at": LONG_AGO.timestamp()}])
    assert job.created_at is not None
    assert abs((job.created_at - LONG_AGO).total_seconds()) < 0.001
