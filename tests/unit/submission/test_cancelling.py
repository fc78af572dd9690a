# SPDX-License-Identifier: Apache-2.0
"""One policy for a paid job whose task is gone: killed, out of time, its trigger crashed, its polling given up."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)

from airflow_video_providers.exceptions import (
    SubmissionSupersededError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobFailedError,
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from airflow_video_providers.operators.video_job import CancelVideoJobOperator, SubmitVideoJobOperator
from airflow_video_providers.submission import task_state
from airflow_video_providers.submission.cancel import CancelOutcome, CancelPolicy, Cause, cancel_video_job
from tests.support.submission import FakeHook, FakeTaskInstance, World, context_of

DOWN = VideoApiUnavailableError("no answer", vendor="fake", endpoint="GET /jobs/{id}")


OF_ANOTHER_TRY = ["up_for_retry", "scheduled", "queued", "running", "success", "failed", "cleared", None]
"""What Airflow may say of the task to a try that it has replaced."""


@pytest.fixture
def world():
    return World()


@pytest.fixture(autouse=True)
def _no_supervisor(monkeypatch):
    """Nobody stops a cleared task here; see ``test_cleared_while_running``."""
    monkeypatch.setattr(task_state, "STOP_SECONDS", 0)


def make(world, hook=None, **arguments):
    operator = SubmitVideoJobOperator(
        task_id="t",
        conn_id="fake_default",
        request={"title": "A"},
        retries=1,
        poll_interval=0.001,
        **{"wait_for_completion": True, "deferrable": False, "max_poll_failures": 0, **arguments},
    )
    operator.__dict__["hook"] = hook or FakeHook(world, KeySupport.EXACT)
    return operator


class Interrupting(FakeHook):
    """Does something at the first poll of a waiting worker, as a signal or an alarm would."""

    def __init__(self, world, act):
        super().__init__(world, KeySupport.EXACT)
        self.act = act

    def get_job(self, job_id):
        act, self.act = self.act, lambda: None
        act()
        return super().get_job(job_id)


# ---------------------------------------------------------------- the policy


@pytest.mark.parametrize("on_kill", [True, False])
@pytest.mark.parametrize("on_timeout", [True, False])
def test_the_policy(on_kill, on_timeout):
    policy = CancelPolicy(on_kill=on_kill, on_timeout=on_timeout)
    for last_try in (True, False):
        assert policy.applies(Cause.KILLED, last_try=last_try) is on_kill
        assert policy.applies(Cause.SUPERSEDED, last_try=last_try) is on_kill
        assert policy.applies(Cause.TIMED_OUT, last_try=last_try) is on_timeout
        assert policy.applies(Cause.GIVEN_UP, last_try=last_try) is (on_timeout and last_try)


# ---------------------------------------------------------------- kill of the worker


@pytest.mark.parametrize("state", ["failed", "restarting", "success", "removed", "skipped", "upstream_failed"])
def test_a_person_who_ends_the_task_ends_the_job(world, state):
    def kill():
        world.task_state = state
        operator.on_kill()

    operator = make(world, Interrupting(world, kill))
    with pytest.raises(VideoJobCancelledError):
        operator.execute(context_of(world, operator))
    assert world.cancelled == ["job-1"]


@pytest.mark.parametrize("state", ["running", "up_for_retry", "scheduled", "queued", None])
def test_a_worker_that_is_stopped_while_the_task_should_go_on_leaves_the_job(world, state, caplog):
    def evict():
        world.task_state = state
        operator.on_kill()
        assert world.cancelled == []
        world.set_state("job-1", JobState.SUCCEEDED)

    operator = make(world, Interrupting(world, evict))
    assert operator.execute(context_of(world, operator)) == "job-1"
    assert "the next try adopts it" in caplog.text


@pytest.mark.parametrize("wait", [True, False])
def test_a_kill_before_the_vendor_named_the_job_is_made_up_for(world, wait):
    class Slow(FakeHook):
        def submit_job(self, request, *, key=None):
            world.task_state = "failed"
            operator.on_kill()
            return super().submit_job(request, key=key)

    operator = make(world, Slow(world, KeySupport.EXACT), wait_for_completion=wait)
    with pytest.raises(VideoJobCancelledError):
        operator.execute(context_of(world, operator))
    assert world.cancelled == ["job-1"]


def test_a_job_is_left_alone_where_the_user_says_so(world):
    def kill():
        world.task_state = "failed"
        operator.on_kill()
        world.set_state("job-1", JobState.SUCCEEDED)

    operator = make(world, Interrupting(world, kill), cancel_on_kill=False)
    assert operator.execute(context_of(world, operator)) == "job-1"
    assert world.cancelled == []


@pytest.mark.parametrize("state", OF_ANOTHER_TRY)
def test_a_try_that_was_replaced_does_not_take_the_state_of_its_successor_for_its_own(world, state, caplog):
    def replace():
        world.superseded, world.task_state = True, state
        world.xcoms = {"video_job_link": "of the successor"}
        operator.on_kill()

    operator = make(world, Interrupting(world, replace))
    with pytest.raises(SubmissionSupersededError, match="another try has taken this task over"):
        operator.execute(context_of(world, operator))
    assert world.cancelled == []
    assert world.xcoms == {"video_job_link": "of the successor"}
    assert operator.operator_extra_links == ()
    assert "next try adopts it" not in caplog.text


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_worker_that_wakes_up_after_its_try_was_replaced_shows_nothing(world, state):
    """It was suspended while it waited, with no kill; the render has ended meanwhile."""

    def wake():
        world.superseded = True
        world.set_state("job-1", state)
        world.xcoms = {"video_job_link": "of the successor"}

    operator = make(world, Interrupting(world, wake))
    with pytest.raises(SubmissionSupersededError):
        operator.execute(context_of(world, operator))
    assert world.xcoms == {"video_job_link": "of the successor"}


def test_an_alarm_that_rings_in_a_try_that_was_replaced_leaves_the_job(world):
    """The alarm of ``execution_timeout`` rings as soon as a suspended worker wakes up."""

    def wake():
        world.superseded = True
        raise AirflowTaskTimeout("time is up")

    operator = make(world, Interrupting(world, wake))
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context_of(world, operator, 2, max_tries=1))
    assert world.cancelled == []


def test_after_its_end_a_task_has_no_job_to_cancel(world):
    """Airflow also calls ``on_kill`` on a task that succeeded but whose process lingers; the job is the next task's."""
    operator = make(world, wait_for_completion=False)
    operator.execute(context_of(world, operator))
    world.task_state = "success"
    operator.on_kill()
    assert world.cancelled == []


def test_a_deferred_task_leaves_its_job_to_the_trigger(world):
    operator = make(world, deferrable=True)
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(context_of(world, operator))
    assert deferral.value.trigger.cancel_on_kill is True
    world.task_state = "deferred"
    operator.on_kill()
    assert world.cancelled == []


@pytest.mark.parametrize("cancel", [True, False])
def test_a_task_that_was_ended_during_the_request_does_not_defer(world, cancel):
    """The kill comes with a heartbeat only; Airflow would refuse the deferral, and nobody would watch the job."""

    class Slow(FakeHook):
        def submit_job(self, request, *, key=None):
            world.task_state = "failed"
            return super().submit_job(request, key=key)

    operator = make(world, Slow(world, KeySupport.EXACT), deferrable=True, cancel_on_kill=cancel)
    with pytest.raises(VideoJobCancelledError if cancel else TaskDeferred):
        operator.execute(context_of(world, operator))
    assert world.cancelled == (["job-1"] if cancel else [])


def test_a_kill_while_the_deferral_is_on_its_way_ends_the_job(world):
    operator = make(world, deferrable=True)
    with pytest.raises(TaskDeferred):
        operator.execute(context_of(world, operator))
    world.task_state = "failed"
    operator.on_kill()
    assert world.cancelled == ["job-1"]


def test_a_kill_without_time_is_made_up_for_at_the_next_poll(world, monkeypatch, caplog):
    """Airflow kills what is left of a killed worker after five seconds; asking and cancelling may take longer."""
    monkeypatch.setattr("airflow_video_providers.submission.custody.KILL_BUDGET", 0.05)
    release = threading.Event()

    class Stuck(FakeTaskInstance):
        def get_task_states(self, **where):
            release.wait(10)
            return super().get_task_states(**where)

    def kill():
        started = time.monotonic()
        operator.on_kill()
        assert time.monotonic() - started < 5
        assert world.cancelled == []
        world.task_state = "failed"
        release.set()

    operator = make(world, Interrupting(world, kill))
    with pytest.raises(VideoJobCancelledError):
        operator.execute({**context_of(world, operator), "ti": Stuck(world)})
    assert world.cancelled == ["job-1"]
    assert "No time was left to see job job-1 cancelled" in caplog.text


class Replacing(World):
    """Airflow replaces the try while the vendor answers it."""

    def __init__(self, state):
        super().__init__()
        self.state_then = state

    def _create(self, body, key):
        answer = super()._create(body, key)
        self.superseded, self.task_state = True, self.state_then
        return answer


def test_a_task_that_is_cleared_while_the_vendor_answers_ends_the_job():
    """Airflow refuses the write of the job id, since the task instance is another one by now."""
    world = Replacing("restarting")
    operator = make(world)
    with pytest.raises(SubmissionSupersededError, match="submitted job job-1"):
        operator.execute(context_of(world, operator))
    assert world.cancelled == ["job-1"]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("state", OF_ANOTHER_TRY)
def test_a_try_that_was_replaced_while_the_vendor_answers_leaves_the_job_to_its_successor(state, number, caplog):
    world = Replacing(state)
    operator = make(world)
    with pytest.raises(SubmissionSupersededError, match="finds it by its key"):
        operator.execute(context_of(world, operator, number, max_tries=1))
    assert world.cancelled == []
    assert world.xcoms == {}
    assert operator.operator_extra_links == (), "Airflow would overwrite the link of the other try"
    assert "job job-1 is left alone: another try has taken this task over" in caplog.text
    assert "CancelVideoJobOperator(conn_id='fake_default', job_id='job-1')" in caplog.text
    assert "next try adopts it" not in caplog.text


@pytest.mark.parametrize(("number", "cancelled"), [(1, []), (2, ["job-1"])])
def test_an_error_after_the_render_was_bought_leaves_the_job_to_the_next_try_if_there_is_one(world, number, cancelled):
    class Deaf(FakeTaskInstance):
        def xcom_push(self, key, value):
            raise RuntimeError("500 from the API server")

    operator = make(world)
    context = {**context_of(world, operator), "ti": Deaf(world, number, max_tries=1)}
    with pytest.raises(RuntimeError):
        operator.execute(context)
    assert world.cancelled == cancelled


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("cancel", [True, False])
def test_the_own_timeout(world, cancel):
    operator = make(world, timeout=0.01, cancel_on_timeout=cancel)
    with pytest.raises(VideoJobTimeoutError) as caught:
        operator.execute(context_of(world, operator))
    assert world.cancelled == (["job-1"] if cancel else [])
    assert ("job-1 was cancelled" if cancel else "job-1 was not cancelled") in str(caught.value)
    # Airflow never retries this: a retry would buy another render. One that still runs can be adopted.
    assert isinstance(caught.value, AirflowFailException) is cancel


def test_the_own_timeout_of_an_adopted_job_counts_from_its_submission(world):
    first = make(world, wait_for_completion=False)
    first.execute(context_of(world, first))
    time.sleep(0.02)
    for deferrable in (True, False):
        second = make(world, timeout=0.02, deferrable=deferrable, cancel_on_timeout=False)
        with pytest.raises(VideoJobTimeoutError):
            second.execute(context_of(world, second, 2))


@pytest.mark.parametrize("all_looks", [True, False])
def test_a_render_whose_end_was_not_seen_at_the_deadline_is_delivered(world, all_looks):
    """The look at the deadline failed; the one after it finds the end, or at the latest the one before the cancel."""

    class Late(FakeHook):
        failures = 0

        def get_job(self, job_id):
            world.set_state("job-1", JobState.SUCCEEDED)
            time.sleep(0.02)
            if all_looks or not self.failures:
                self.failures += 1
                raise DOWN
            return super().get_job(job_id)

    operator = make(world, Late(world, KeySupport.EXACT), timeout=0.01, max_poll_failures=9)
    assert operator.execute(context_of(world, operator, 1, 0)) == "job-1"
    assert world.xcoms["video_job"]["state"] == "succeeded"
    assert world.cancelled == []


@pytest.mark.parametrize(("number", "cancelled"), [(1, []), (2, ["job-1"])])
def test_the_execution_timeout_limits_the_try_and_ends_the_job_on_the_last(world, number, cancelled):
    def alarm():
        raise AirflowTaskTimeout("time is up")

    operator = make(world, Interrupting(world, alarm))
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context_of(world, operator, number, max_tries=1))
    operator.on_kill()  # as Airflow does next
    assert world.cancelled == cancelled


@pytest.mark.parametrize("support", KeySupport)
@pytest.mark.parametrize(("number", "last"), [(1, False), (2, True)])
def test_an_execution_timeout_during_the_request_of_the_last_try(world, support, number, last, caplog):
    class Slow(FakeHook):
        def submit_job(self, request, *, key=None):
            super().submit_job(request, key=key)
            raise AirflowTaskTimeout("time is up")

    operator = make(world, Slow(world, support))
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context_of(world, operator, number, max_tries=1))
    blind = support is KeySupport.NONE
    assert world.cancelled == (["job-1"] if last and not blind else [])
    assert ("may have been submitted to Fake" in caplog.text) is (last and blind)


@pytest.mark.parametrize("fails", [True, False])
def test_an_execution_timeout_during_a_request_that_nobody_can_find(world, fails, caplog):
    class Unseen(FakeHook):
        def submit_job(self, request, *, key=None):
            raise AirflowTaskTimeout("time is up")

        def find_job(self, key, *, request, since):
            if fails:
                raise DOWN
            return super().find_job(key, request=request, since=since)

    operator = make(world, Unseen(world, KeySupport.EXACT))
    operator.retries = 0
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context_of(world, operator, 1, max_tries=0))
    assert "may have been submitted to Fake" in caplog.text


class Deciding(RetryPolicy):
    """A task's own word on retries; None breaks."""

    def __init__(self, decision):
        self.decision = decision

    def evaluate(self, exception, try_number, max_tries, context=None):
        assert (type(exception), try_number, max_tries) == (AirflowTaskTimeout, 1, 1)
        assert context["ti"].task_id == "t"
        if self.decision is None:
            raise RuntimeError("a bug in the policy")
        return self.decision


@pytest.mark.parametrize(
    ("decision", "cancelled"),
    [(RetryDecision.fail("no"), ["job-1"]), (RetryDecision.retry(), []), (RetryDecision.default(), []), (None, [])],
)
def test_a_job_is_not_left_to_a_try_that_the_tasks_own_policy_will_not_grant(world, decision, cancelled):
    def alarm():
        raise AirflowTaskTimeout("time is up")

    operator = make(world, Interrupting(world, alarm), retry_policy=Deciding(decision))
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context_of(world, operator, 1, max_tries=1))
    assert world.cancelled == cancelled


@pytest.mark.parametrize(("number", "cancelled"), [(1, []), (2, ["job-1"])])
def test_polling_given_up(world, number, cancelled):
    def fail():
        raise DOWN

    operator = make(world, Interrupting(world, fail))
    with pytest.raises(VideoPollingError) as caught:
        operator.execute(context_of(world, operator, number, max_tries=1))
    assert world.cancelled == cancelled
    assert ("was cancelled" if cancelled else "the next try adopts it") in str(caught.value)


def deferred(world, number=1, max_tries=5, **arguments):
    """A try that has deferred; returns the operator of the process that resumes it."""
    operator = make(world, deferrable=True, **arguments)
    with pytest.raises(TaskDeferred):
        operator.execute(context_of(world, operator, number, max_tries))
    return make(world, deferrable=True, **arguments)


@pytest.mark.parametrize("cancel", [True, False])
def test_the_deferral_timeout_of_airflow(world, cancel):
    operator = deferred(world, cancel_on_timeout=cancel)
    with pytest.raises(VideoJobTimeoutError, match="No triggerer"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context_of(world, operator))
    assert world.cancelled == (["job-1"] if cancel else [])


@pytest.mark.parametrize(("number", "cancelled"), [(1, []), (2, ["job-1"])])
def test_a_crashed_trigger(world, number, cancelled):
    operator = deferred(world, number, 1)
    with pytest.raises(TaskDeferralError):
        operator.resume_execution(
            "__fail__", {"error": "Trigger failure", "traceback": ["boom"]}, context_of(world, operator, number, 1)
        )
    assert world.cancelled == cancelled
    assert operator.job_page_url == world.jobs["job-1"].page_url


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_a_render_that_ended_while_nobody_watched(world, error):
    operator = deferred(world)
    world.set_state("job-1", JobState.SUCCEEDED)
    assert operator.resume_execution("__fail__", {"error": error}, context_of(world, operator)) == "job-1"
    assert world.xcoms["video_job"]["state"] == "succeeded"
    world.set_state("job-1", JobState.FAILED, "no voice")
    with pytest.raises(VideoJobFailedError, match="no voice"):
        operator.resume_execution("__fail__", {"error": error}, context_of(world, operator))
    assert world.cancelled == []


def test_a_deferral_that_failed_before_anything_was_bought_says_so(world):
    operator = make(world)
    with pytest.raises(TaskDeferralTimeout):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context_of(world, operator))


@pytest.mark.parametrize(
    ("status", "error", "number", "cancelled"),
    [
        ("timeout", VideoJobTimeoutError, 1, ["job-1"]),
        ("polling_failed", VideoPollingError, 1, []),
        ("polling_failed", VideoPollingError, 2, ["job-1"]),
    ],
)
def test_what_the_trigger_reports(world, status, error, number, cancelled):
    operator = deferred(world, number, 1)
    event = {"status": status, "job": world.jobs["job-1"].to_xcom(), "message": "the trigger's words"}
    with pytest.raises(error, match="the trigger's words"):
        operator.resume_execution("execute_complete", {"event": event}, context_of(world, operator, number, 1))
    assert world.cancelled == cancelled


@pytest.mark.parametrize("status", ["timeout", "polling_failed"])
def test_a_render_that_ended_before_a_worker_was_free_is_delivered(world, status):
    operator = deferred(world)
    event = {"status": status, "job": world.jobs["job-1"].to_xcom(), "message": "the trigger's words"}
    world.set_state("job-1", JobState.SUCCEEDED)
    assert operator.resume_execution("execute_complete", {"event": event}, context_of(world, operator)) == "job-1"
    assert world.xcoms["video_job"]["state"] == "succeeded"


@pytest.mark.parametrize("event", [None, {}, {"status": "success", "job": None}])
def test_an_event_that_cannot_be_read_neither_pays_again_nor_cancels(world, event):
    deferred(world)
    world.set_state("job-1", JobState.SUCCEEDED)
    operator = make(world, deferrable=True)
    assert operator.resume_execution("execute_complete", {"event": event}, context_of(world, operator)) == "job-1"
    assert len(world.posts) == 1
    assert world.cancelled == []


def test_a_vendor_that_is_down_at_the_last_look_changes_nothing(world):
    def fail():
        raise DOWN

    deferred(world)
    operator = make(world, Interrupting(world, fail), deferrable=True)
    event = {"status": "timeout", "job": world.jobs["job-1"].to_xcom(), "message": "the trigger's words"}
    with pytest.raises(VideoJobTimeoutError, match="the trigger's words"):
        operator.resume_execution("execute_complete", {"event": event}, context_of(world, operator))
    assert world.cancelled == ["job-1"]


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
@pytest.mark.parametrize("deferrable", [True, False])
def test_the_vendors_reason_is_in_the_error(world, state, deferrable):
    operator = make(world, Interrupting(world, lambda: world.set_state("job-1", state, "no such voice")))
    if deferrable:
        operator = deferred(world)
        world.set_state("job-1", state, "no such voice")
        event = {"status": state.value, "job": world.jobs["job-1"].to_xcom(), "message": None}
        call = lambda: operator.execute_complete(context_of(world, operator), event)  # noqa: E731
    else:
        call = lambda: operator.execute(context_of(world, operator))  # noqa: E731
    with pytest.raises(VideoJobFailedError, match="no such voice"):
        call()
    assert world.cancelled == []
    assert world.xcoms["video_job_link"] == "https://app.example/1"


# ---------------------------------------------------------------- the call itself


def test_a_finished_job_is_never_touched(world):
    hook = FakeHook(world, KeySupport.EXACT)
    job = hook.submit_job({})
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED):
        world.set_state(job.job_id, state)
        assert cancel_video_job(hook, job.job_id, reason="test").outcome is CancelOutcome.FINISHED
    hook.find_wait = 0.0
    assert cancel_video_job(hook, "job-9", reason="test").outcome is CancelOutcome.GONE
    assert world.cancelled == []


def test_a_vendor_without_cancel_is_named_with_the_job(world, caplog):
    hook = FakeHook(world, KeySupport.EXACT, can_cancel=False)
    hook.submit_job({})
    cancellation = cancel_video_job(hook, "job-1", reason="test")
    assert cancellation.outcome is CancelOutcome.NOT_POSSIBLE
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert "job-1" in record.getMessage()


def test_the_cancelling_operator_fails_where_it_could_not_cancel(world, monkeypatch):
    hook = FakeHook(world, KeySupport.EXACT, can_cancel=False)
    hook.submit_job({})
    monkeypatch.setattr("airflow_video_providers.hooks.base.get_video_hook", lambda conn_id: hook)
    operator = CancelVideoJobOperator(task_id="c", conn_id="fake_default", job_id="job-1")
    with pytest.raises(VideoConfigurationError, match="no way to cancel"):
        operator.execute(context_of(world, operator))
    hook.can_cancel = True
    assert operator.execute(context_of(world, operator)) == "cancelled"
    assert operator.execute(context_of(world, operator)) == "finished"
    empty = CancelVideoJobOperator(task_id="e", conn_id="fake_default", job_id="{{ params.job }}")
    empty.job_id = ""  # as Airflow renders it
    with pytest.raises(VideoConfigurationError, match="job_id"):
        empty.execute(context_of(world, empty))


# ---------------------------------------------------------------- an earlier try's trigger


STALE = ["success", "cancelled", "failed", "timeout", "polling_failed"]


@pytest.mark.parametrize("status", STALE)
def test_the_event_of_a_trigger_from_before_a_clear_is_not_believed(world, status):
    """The record still names the old job: the cleared try has not run ``execute``, it was resumed instead."""
    operator = deferred(world)
    state = {"success": JobState.SUCCEEDED, "cancelled": JobState.CANCELLED, "failed": JobState.FAILED}.get(status)
    if state is not None:
        world.set_state("job-1", state)
    event = {"status": status, "job": world.jobs["job-1"].to_xcom(), "message": "the old trigger's words"}
    with pytest.raises(TaskDeferred) as again:
        operator.resume_execution("execute_complete", {"event": event}, context_of(world, operator, 2, 1 + 1 + 5))
    assert again.value.trigger.job["job_id"] == "job-2"
    assert world.xcoms["video_job"]["job_id"] == "job-2"
    assert world.cancelled == ([] if state else ["job-1"])


@pytest.mark.parametrize("status", STALE)
def test_the_event_of_another_job_than_the_records_is_not_believed(world, status):
    operator = deferred(world)
    context = context_of(world, operator, 2, 1 + 1 + 5)
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    event = {"status": status, "job": world.jobs["job-1"].to_xcom(), "message": "the old trigger's words"}
    with pytest.raises(TaskDeferred) as again:
        make(world, deferrable=True).resume_execution("execute_complete", {"event": event}, context)
    assert again.value.trigger.job["job_id"] == "job-2"
    assert world.cancelled == ["job-1"]


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_the_end_of_a_deferral_from_before_a_clear_is_not_believed(world, error):
    operator = deferred(world)
    with pytest.raises(TaskDeferred) as again:
        operator.resume_execution("__fail__", {"error": error}, context_of(world, operator, 2, 1 + 1 + 5))
    assert again.value.trigger.job["job_id"] == "job-2"
    assert world.cancelled == ["job-1"]
