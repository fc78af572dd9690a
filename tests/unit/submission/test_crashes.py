# SPDX-License-Identifier: Apache-2.0
"""
A crash between any two steps of any try buys no second render.

Nothing here is picked by hand: the steps are those that a clean run announces, and the worker dies at each of them, and
at each pair of them in two tries, for each kind of vendor and each way to wait.
"""

from __future__ import annotations

import itertools

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_video_providers.exceptions import AmbiguousSubmissionError, VideoApiUnavailableError
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from tests.support.submission import Crash, FakeHook, Steps, World, context_of

WAYS = {
    "no wait": {},
    "worker": {"wait_for_completion": True, "deferrable": False},
    "deferred": {"wait_for_completion": True, "deferrable": True},
}
REQUEST = {"title": "A film"}
WINDOW = ("after writing intended", "before the POST", "after the vendor accepted", "before writing submitted")


def run_try(world, support, way, number, *, strike_at=None, request=REQUEST, max_tries=5, **arguments):
    """One try in a process of its own: only the world is kept. Returns what the task returns."""
    world.steps = Steps(strike_at)
    operator = SubmitVideoJobOperator(
        task_id="t",
        conn_id="fake_default",
        request=request,
        retries=5,
        poll_interval=0.001,
        find_wait=0.002,
        **{**WAYS[way], **arguments},
    )
    operator.__dict__["hook"] = FakeHook(world, support)
    context = context_of(world, operator, number, max_tries)
    finish_on_look(world)
    try:
        return operator.execute(context)
    except TaskDeferred as deferral:
        world.steps("deferred")
        job_id = deferral.trigger.job["job_id"]
        world.set_state(job_id, JobState.SUCCEEDED)
        event = {"status": "success", "job": world.jobs[job_id].to_xcom(), "message": None}
        return operator.resume_execution(deferral.method_name, {"event": event}, context)


def finish_on_look(world):
    """Let a job end between two looks of a waiting worker."""
    whole = world.steps

    class Ending(Steps):
        def __call__(self, name):
            super().__call__(name)
            if name == "before a look":
                for job_id, job in world.jobs.items():
                    if not job.state.is_terminal:
                        world.set_state(job_id, JobState.SUCCEEDED)

    world.steps = Ending(whole.strike_at)


def steps_of_a_clean_run(way):
    world = World()
    run_try(world, KeySupport.EXACT, way, 1)
    return list(world.steps.seen)


def outcome(world, support, way, number, **kwargs):
    try:
        return run_try(world, support, way, number, **kwargs)
    except (Crash, AmbiguousSubmissionError) as end:
        return type(end)


def in_the_window(name):
    """Whether a crash here leaves an intent whose outcome cannot be told."""
    return name in (
        "after writing intended",
        "before the POST",
        "after the vendor accepted",
        "before writing submitted",
    )


def test_the_steps_are_those_of_the_design():
    start = ["before writing intended", "after writing intended", "before the POST", "after the vendor accepted"]
    end = [
        "before writing submitted",
        "after writing submitted",
        "before pushing video_job",
        "before pushing video_job_link",
    ]
    assert steps_of_a_clean_run("no wait") == start + end
    assert "before a look" in steps_of_a_clean_run("worker")
    assert "deferred" in steps_of_a_clean_run("deferred")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("support", KeySupport)
def test_one_crash_anywhere(way, support):
    for at, name in enumerate(steps_of_a_clean_run(way), start=1):
        world = World()
        assert outcome(world, support, way, 1, strike_at=at) is Crash, name
        ending = outcome(world, support, way, 2)
        if ending is AmbiguousSubmissionError:
            assert support is not KeySupport.EXACT, name
            assert in_the_window(name), name
            assert len(world.jobs) <= 1, name
        else:
            assert ending == "job-1", name
            assert len(world.jobs) == 1, name
        if support is KeySupport.NONE and in_the_window(name):
            assert ending is AmbiguousSubmissionError, name
        assert world.cancelled == [], name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("support", KeySupport)
def test_two_crashes_anywhere(way, support):
    count = len(steps_of_a_clean_run(way)) + 4  # a second try looks before it submits
    for first, second in itertools.product(range(1, count + 1), repeat=2):
        world = World()
        endings = [outcome(world, support, way, 1, strike_at=first)]
        if endings[-1] is Crash:
            endings.append(outcome(world, support, way, 2, strike_at=second))
        if endings[-1] is Crash:
            endings.append(outcome(world, support, way, 3))
        where = (first, second, endings)
        assert len(world.jobs) <= 1, where
        if support is KeySupport.EXACT:
            assert endings[-1] == "job-1", where
        else:
            assert endings[-1] in ("job-1", AmbiguousSubmissionError), where


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lag", [0.0, 0.001])
@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("support", KeySupport)
def test_a_lost_answer(way, support, arrived, lag, monkeypatch):
    world = World()
    monkeypatch.setattr("time.sleep", world.sleep)
    world.list_lag = lag
    world.lose_answer, world.never_arrives = arrived, not arrived
    seen = []
    for number in (1, 2, 3):
        try:
            seen.append(run_try(world, support, way, number))
            break
        except (AmbiguousSubmissionError, VideoApiUnavailableError) as error:
            seen.append(type(error))
    if support is KeySupport.EXACT:
        assert seen == (["job-1"] if arrived else [VideoApiUnavailableError, "job-1"])
    elif support is KeySupport.BEST_EFFORT and arrived:
        assert seen == ["job-1"]
    else:
        assert seen == [AmbiguousSubmissionError] * 3
    assert len(world.jobs) == (0 if not arrived and support is not KeySupport.EXACT else 1)


@pytest.mark.parametrize("arrived", [True, False])
def test_the_user_may_choose_to_submit_again(arrived):
    world = World()
    world.lose_answer, world.never_arrives = arrived, not arrived
    with pytest.raises(VideoApiUnavailableError):
        run_try(world, KeySupport.NONE, "no wait", 1, on_ambiguous="resubmit")
    assert run_try(world, KeySupport.NONE, "no wait", 2, on_ambiguous="resubmit") == ("job-2" if arrived else "job-1")
