# SPDX-License-Identifier: Apache-2.0
"""
A crash between any two steps of any try pays for no second render.

Nothing here is picked by hand: the steps are those that a clean run announces, and the worker dies at each of them, and
at each pair of them in two tries, for each kind of vendor, each way to wait, and also where the vendor refuses the
request before it accepts it.
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
DAY = 86400.0
VENDORS = {
    "exact": (KeySupport.EXACT, None),
    "best effort": (KeySupport.BEST_EFFORT, None),
    "none": (KeySupport.NONE, None),
    "replays": (KeySupport.NONE, DAY),
    "replays and exact": (KeySupport.EXACT, DAY),
}
SURE = ("exact", "replays", "replays and exact")
"""Those of which a lost outcome can always be found out."""
REQUEST = {"title": "A film"}
BUSY = (429, {"message": "slow down"})


@pytest.fixture(autouse=True)
def no_real_sleep(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def run_try(world, vendor, way, number, *, strike_at=None, request=REQUEST, max_tries=5, **arguments):
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
    support, replay_seconds = VENDORS[vendor]
    operator.__dict__["hook"] = FakeHook(world, support, replay_seconds=replay_seconds)
    context = context_of(world, operator, number, max_tries)
    finish_on_poll(world)
    try:
        return operator.execute(context)
    except TaskDeferred as deferral:
        world.steps("deferred")
        job_id = deferral.trigger.job["job_id"]
        world.set_state(job_id, JobState.SUCCEEDED)
        event = {"status": "success", "job": world.jobs[job_id].to_xcom(), "message": None}
        return operator.resume_execution(deferral.method_name, {"event": event}, context)


def finish_on_poll(world):
    """Let a job end between two polls of a waiting worker."""
    whole = world.steps

    class Ending(Steps):
        def __call__(self, name):
            super().__call__(name)
            if name == "before a poll":
                for job_id, job in world.jobs.items():
                    if not job.state.is_terminal:
                        world.set_state(job_id, JobState.SUCCEEDED)

    world.steps = Ending(whole.strike_at)


def a_world(refusals=()):
    world = World()
    world.refusals = list(refusals)
    return world


def steps_of_a_clean_run(way, refusals=()):
    world = a_world(refusals)
    run_try(world, "exact", way, 1)
    return list(world.steps.seen)


def outcome(world, vendor, way, number, **kwargs):
    try:
        return run_try(world, vendor, way, number, **kwargs)
    except (Crash, AmbiguousSubmissionError) as end:
        return type(end)


def in_the_window(world):
    """Whether the try that crashed left an intent whose outcome cannot be told."""
    written = [name for name in world.steps.seen if name.startswith("after writing")]
    return written[-1:] == ["after writing intended"]


def test_the_steps_are_those_of_the_design():
    intent = ["before writing intended", "after writing intended"]
    refused = [*intent, "before the POST", "before writing refused", "after writing refused"]
    end = [
        *intent,
        "before the POST",
        "after the vendor accepted",
        "before writing submitted",
        "after writing submitted",
        "before pushing video_job",
        "before pushing video_job_link",
    ]
    assert steps_of_a_clean_run("no wait") == intent + end
    assert steps_of_a_clean_run("no wait", [BUSY, BUSY]) == intent + refused + refused + end
    assert "before a poll" in steps_of_a_clean_run("worker")
    assert "deferred" in steps_of_a_clean_run("deferred")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("refusals", [(), (BUSY,), (BUSY, BUSY)])
def test_one_crash_anywhere(way, vendor, refusals):
    for at, name in enumerate(steps_of_a_clean_run(way, refusals), start=1):
        world = a_world(refusals)
        assert outcome(world, vendor, way, 1, strike_at=at) is Crash, name
        doubtful = in_the_window(world)
        ending = outcome(world, vendor, way, 2)
        if ending is AmbiguousSubmissionError:
            assert vendor not in SURE, name
            assert doubtful, name
            assert len(world.jobs) <= 1, name
        else:
            assert ending == "job-1", name
            assert len(world.jobs) == 1, name
        if vendor == "none" and doubtful:
            assert ending is AmbiguousSubmissionError, name
        assert world.cancelled == [], name


def test_a_worker_that_dies_in_the_pause_after_a_refusal_asks_nobody():
    steps = steps_of_a_clean_run("no wait", [BUSY])
    at = steps.index("after writing refused") + 1
    world = a_world([BUSY])
    assert outcome(world, "none", "no wait", 1, strike_at=at) is Crash
    assert outcome(world, "none", "no wait", 2) == "job-1"


@pytest.mark.parametrize(
    ("way", "vendor", "refusals"),
    [
        *((way, vendor, ()) for way in WAYS for vendor in ("exact", "none")),
        *(("no wait", vendor, ()) for vendor in ("best effort", "replays", "replays and exact")),
        *(("no wait", vendor, (BUSY,)) for vendor in ("none", "replays")),
    ],
)
def test_two_crashes_anywhere(way, vendor, refusals):
    seconds = 0
    for first in range(1, len(steps_of_a_clean_run(way, refusals)) + 1):
        for second in itertools.count(1):  # until the second try has no such step any more
            world = a_world(refusals)
            endings = [outcome(world, vendor, way, 1, strike_at=first)]
            assert endings == [Crash]
            endings.append(outcome(world, vendor, way, 2, strike_at=second))
            crashed = endings[-1] is Crash
            if crashed:
                endings.append(outcome(world, vendor, way, 3))
                seconds += 1
            where = (first, second, endings)
            assert len(world.jobs) <= 1, where
            if vendor in SURE:
                assert endings[-1] == "job-1", where
            else:
                assert endings[-1] in ("job-1", AmbiguousSubmissionError), where
            if not crashed:
                break
    assert seconds > 20


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lag", [0.0, 0.001])
@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_lost_response(way, vendor, arrived, lag, monkeypatch):
    world = World()
    monkeypatch.setattr("time.sleep", world.sleep)
    world.list_lag = lag
    world.lose_answer, world.never_arrives = arrived, not arrived
    seen = []
    for number in (1, 2, 3):
        try:
            seen.append(run_try(world, vendor, way, number))
            break
        except (AmbiguousSubmissionError, VideoApiUnavailableError) as error:
            seen.append(type(error))
    if "replays" in vendor:
        assert seen == ["job-1"]
    elif vendor == "exact":
        assert seen == (["job-1"] if arrived else [VideoApiUnavailableError, "job-1"])
    elif vendor == "best effort" and arrived:
        assert seen == ["job-1"]
    else:
        assert seen == [AmbiguousSubmissionError] * 3
    assert len(world.jobs) == (0 if not arrived and vendor not in SURE else 1)


@pytest.mark.parametrize("arrived", [True, False])
def test_the_user_may_choose_to_submit_again(arrived):
    world = World()
    world.lose_answer, world.never_arrives = arrived, not arrived
    with pytest.raises(VideoApiUnavailableError):
        run_try(world, "none", "no wait", 1, on_ambiguous="resubmit")
    assert run_try(world, "none", "no wait", 2, on_ambiguous="resubmit") == ("job-2" if arrived else "job-1")
