# SPDX-License-Identifier: Apache-2.0
"""What is recorded around each send: a try that was replaced sends nothing, and the id of a paid job is kept."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    SubmissionNotRecordedError,
    SubmissionSupersededError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from airflow_video_providers.submission.record import RECORD_KEY, SubmissionStore
from airflow_video_providers.submission.submit import JobSubmission
from tests.support.submission import DirectHook, FakeHook, World
from tests.unit.submission.test_adoption import REQUEST, a_try

BUSY = (429, {"message": "slow down"})
DOWN_FOR_A_WHILE = (503, {"message": "maintenance"})


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr("time.sleep", world.sleep)
    return world


def submit(world, number=1, *, hook=None, support=KeySupport.NONE, request=REQUEST, **arguments):
    hook = hook or FakeHook(world, support)
    return JobSubmission(hook=hook, store=SubmissionStore(world), task_try=a_try(number), **arguments).submit_or_adopt(
        request
    )


def state_of(world):
    return world.stored[RECORD_KEY]["state"]


# ---------------------------------------------------------------- the fence


@pytest.mark.parametrize("support", KeySupport)
@pytest.mark.parametrize("refusal", [BUSY, DOWN_FOR_A_WHILE])
def test_each_repetition_of_a_refused_request_is_recorded_before_it_is_sent(world, support, refusal):
    world.refusals = [refusal, refusal]
    assert submit(world, support=support).job.job_id == "job-1"
    steps = [name for name in world.steps.seen if name == "before the POST" or name.startswith("after writing")]
    refused = ["after writing intended", "before the POST", "after writing refused"]
    accepted = ["after writing intended", "before the POST", "after writing submitted"]
    assert steps == ["after writing intended", *refused, *refused, *accepted]


@pytest.mark.parametrize("support", KeySupport)
def test_a_worker_that_wakes_up_in_the_pause_after_a_refusal_sends_nothing_more(world, support, monkeypatch):
    """It was suspended while it waited; another try has looked, found nothing and submitted meanwhile."""

    def suspended(seconds):
        world.superseded = True

    monkeypatch.setattr("time.sleep", suspended)
    world.refusals = [BUSY]
    with pytest.raises(SubmissionSupersededError, match="sends nothing more"):
        submit(world, support=support)
    assert len(world.posts) == 1
    assert world.jobs == {}
    world.superseded = False
    assert submit(world, 2, support=support).job.job_id == "job-1"


def test_a_try_that_is_replaced_before_it_sends_stops(world):
    world.superseded = True
    with pytest.raises(SubmissionSupersededError):
        submit(world)
    assert world.posts == []


def test_a_try_that_is_replaced_while_the_hook_prepares_the_request_stops(world):
    class Slow(FakeHook):
        def submit_job(self, request, *, key=None):
            self.world.superseded = True  # e.g. while it waited for a token
            return super().submit_job(request, key=key)

    with pytest.raises(SubmissionSupersededError):
        submit(world, hook=Slow(world, KeySupport.NONE))
    assert world.posts == []


def test_nothing_is_sent_that_cannot_be_recorded(world):
    world.store_is_away = 1
    with pytest.raises(AirflowRuntimeError):
        submit(world)
    assert world.posts == []


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("support", KeySupport)
def test_a_refusal_that_was_proved_never_asks_the_user(world, support):
    """All repetitions were refused, and then the last one for good."""
    world.refusals = [BUSY, DOWN_FOR_A_WHILE, (422, {"message": "no such voice"})]
    with pytest.raises(VideoApiInvalidRequestError):
        submit(world, support=support)
    assert state_of(world) == "refused"
    assert submit(world, 2, support=support).job.job_id == "job-1"
    assert "before a search" not in world.steps.seen


@pytest.mark.parametrize(("accesses", "recorded"), [(1, "refused"), (2, "intended")])
def test_a_refusal_that_cannot_be_recorded_is_raised_all_the_same(world, accesses, recorded):
    def away_after_the_answer(body, key, create=world._create):
        answer = create(body, key)
        world.store_is_away = accesses
        return answer

    world._create = away_after_the_answer
    world.refusals = [(422, {"message": "no such voice"})]
    with pytest.raises(VideoApiInvalidRequestError):
        submit(world)
    assert state_of(world) == recorded


def test_a_request_that_is_refused_before_it_is_sent_leaves_nothing_to_doubt(world):
    class Strict(FakeHook):
        def submit_job(self, request, *, key=None):
            raise VideoConfigurationError("no title")

    with pytest.raises(VideoConfigurationError):
        submit(world, hook=Strict(world, KeySupport.NONE))
    assert state_of(world) == "refused"


# ---------------------------------------------------------------- responses that cannot be used


class Fragile(FakeHook):
    """Fails after the vendor has accepted the request, as a response does that cannot be read."""

    failure: Exception

    def submit_job(self, request, *, key=None):
        super().submit_job(request, key=key)
        raise self.failure


@pytest.mark.parametrize("support", KeySupport)
@pytest.mark.parametrize(
    "failure",
    [
        RecursionError("maximum recursion depth exceeded"),
        UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed"),
        KeyError("id"),
        VideoConfigurationError("no page for this job"),
        VideoApiNotFoundError("no such job yet", vendor="fake", endpoint="GET /jobs/{id}", status=404),
        VideoApiUnavailableError("read timeout", vendor="fake", endpoint="GET /jobs/{id}"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_fails_after_the_vendor_accepted_pays_for_no_second_render(world, support, failure):
    hook = Fragile(world, support)
    hook.failure = failure
    if support is KeySupport.NONE:
        for number in (1, 2, 3):
            with pytest.raises(AmbiguousSubmissionError):
                submit(world, number, hook=hook)
    else:
        assert submit(world, hook=hook).job.job_id == "job-1"
    assert list(world.jobs) == ["job-1"]


@pytest.mark.parametrize("body", [b"not json", b"[" * 100_000, b'{"id": "\\ud83d"}'])
def test_a_response_that_cannot_be_read_pays_for_no_second_render(world, body):
    def unreadable(sent, key, create=world._create):
        status, _ = create(sent, key)
        return status, body

    world._create = unreadable
    assert submit(world, support=KeySupport.EXACT).job.job_id == "job-1"
    assert list(world.jobs) == ["job-1"]


def test_what_fails_says_what_it_was(world):
    hook = Fragile(world, KeySupport.NONE)
    hook.failure = RecursionError("too deep")
    with pytest.raises(AmbiguousSubmissionError) as caught:
        submit(world, hook=hook)
    assert isinstance(caught.value.__cause__, VideoApiUnreadableAnswerError)
    assert "RecursionError: too deep" in str(caught.value.__cause__)


def test_a_fault_of_a_hook_that_sends_by_other_means_is_not_taken_for_a_refusal(world):
    class Faulty(DirectHook):
        def submit_job(self, request, *, key=None):
            super().submit_job(request, key=key)
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        submit(world, hook=Faulty(world, KeySupport.NONE))
    with pytest.raises(AmbiguousSubmissionError):
        submit(world, 2)
    assert len(world.jobs) == 1


def test_a_hook_that_sends_by_other_means_is_believed_about_its_refusals(world):
    class Refusing(DirectHook):
        def submit_job(self, request, *, key=None):
            raise VideoApiQuotaError("slow down", vendor="fake", endpoint="POST /jobs", status=429)

    with pytest.raises(VideoApiQuotaError):
        submit(world, hook=Refusing(world, KeySupport.NONE))
    assert submit(world, 2).job.job_id == "job-1"


# ---------------------------------------------------------------- the id of a paid job


class Restarting(World):
    """The API server goes away with the vendor's response, for ``accesses`` to the state store."""

    accesses = 0
    status: int | None = None

    def _create(self, body, key):
        answer = super()._create(body, key)
        self.store_is_away = self.accesses
        return answer


@pytest.mark.parametrize("support", KeySupport)
def test_an_api_server_that_restarts_while_the_vendor_answers_costs_no_id(monkeypatch, support):
    world = Restarting()
    monkeypatch.setattr("time.sleep", world.sleep)
    world.accesses = 3
    assert submit(world, support=support).job.job_id == "job-1"
    assert (state_of(world), world.stored[RECORD_KEY]["job_id"]) == ("submitted", "job-1")
    assert submit(world, 2, support=support).job.job_id == "job-1"


@pytest.mark.parametrize(
    ("support", "replay_seconds", "promise"),
    [
        (KeySupport.EXACT, None, "finds it by its key"),
        (KeySupport.BEST_EFFORT, None, "if it finds no match, it asks the user"),
        (KeySupport.NONE, None, "cannot find it and asks the user"),
        (KeySupport.NONE, 86400.0, "gets it back by its key"),
    ],
)
def test_an_id_that_cannot_be_recorded_is_named_and_no_more_is_promised_than_the_vendor_keeps(
    monkeypatch, support, replay_seconds, promise
):
    world = Restarting()
    clock = [0.0]
    monkeypatch.setattr("time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr("airflow_video_providers.submission.record.time.monotonic", lambda: clock[0])
    world.accesses = 10_000
    hook = FakeHook(world, support, replay_seconds=replay_seconds)
    with pytest.raises(SubmissionNotRecordedError) as caught:
        submit(world, hook=hook)
    assert clock[0] >= 300
    text = str(caught.value)
    key = world.stored[RECORD_KEY]["key"]
    for part in ("job job-1 of connection 'fake_default'", promise, f'{{"{key}": "job-1"}}'):
        assert part in text
    world.store_is_away = world.accesses = 0
    if support is KeySupport.NONE and replay_seconds is None:
        with pytest.raises(AmbiguousSubmissionError):
            submit(world, 2, hook=hook)
        monkeypatch.setenv("AIRFLOW_VAR_VIDEO_SUBMISSION_DECISIONS", f'{{"{key}": "job-1"}}')
    assert submit(world, 2, hook=hook).job.job_id == "job-1"
    assert list(world.jobs) == ["job-1"]


def test_a_refusal_of_the_state_store_is_not_waited_out(monkeypatch):
    world = World()
    monkeypatch.setattr("time.sleep", world.sleep)

    def refuse(key, value, *, retention=None, set=world.set):
        if value["state"] == "submitted":
            raise ValueError("the value is too large")
        set(key, value, retention=retention)

    world.set = refuse
    with pytest.raises(SubmissionNotRecordedError, match="too large"):
        submit(world)
    assert world.slept == 0


def test_a_job_that_ended_meanwhile_is_still_named(world):
    """The record of an adopted job is there already: a state store that is away does not put it in doubt."""
    submit(world)
    world.set_state("job-1", JobState.SUCCEEDED)
    world.store_is_away = 1
    with pytest.raises(AirflowRuntimeError):
        submit(world, 2)
    assert submit(world, 2).job.job_id == "job-1"
