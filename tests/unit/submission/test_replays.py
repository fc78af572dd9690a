# SPDX-License-Identifier: Apache-2.0
"""
Vendors that replay an idempotency key: what is paid in each situation, and with which key each request is sent.

The vendor answers a known key by what it answered first, for a day, be that a job or a refusal.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.submission.record import RECORD_KEY, SubmissionStore
from airflow_video_providers.submission.submit import JobSubmission
from tests.support.submission import Crash, FakeHook, Steps, World, context_of
from tests.unit.submission.test_adoption import REQUEST, a_try

DAY = 86400.0
BEFORE_PERSIST = "before writing submitted"
BEFORE_POST = "before the POST"


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr("time.sleep", world.sleep)
    return world


def submit(world, number=1, *, max_tries=3, support=KeySupport.NONE, strike_at=None, hook=None, **arguments):
    world.steps = Steps(strike_at)
    hook = hook or FakeHook(world, support, replay_seconds=DAY)
    task_try = a_try(number, max_tries)
    return JobSubmission(hook=hook, store=SubmissionStore(world), task_try=task_try, **arguments).submit_or_adopt(
        REQUEST
    )


def crash(world, step, number=1, **arguments):
    with pytest.raises(Crash, match=step):
        submit(world, number, strike_at=step, **arguments)


def intended_at(world):
    return datetime.fromisoformat(world.stored[RECORD_KEY]["intended_at"].replace("Z", "+00:00"))


BOTH = pytest.mark.parametrize("support", [KeySupport.NONE, KeySupport.EXACT])


# ---------------------------------------------------------------- one render


def test_a_job_that_a_late_replay_made_is_waited_for_by_the_try_after_a_crash(world):
    crash(world, BEFORE_POST)
    world.age_the_record(minutes=10)
    crash(world, "before a poll", 2)
    assert list(world.jobs) == ["job-1"]
    world.hidden.add("job-1")

    def sleep(seconds):
        world.sleep(seconds)
        world.hidden.clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", sleep)
        assert submit(world, 3).job.job_id == "job-1"
    assert list(world.jobs) == ["job-1"], "one render is paid once"


def test_the_time_of_the_last_send_is_kept_beside_that_of_the_first(world):
    crash(world, BEFORE_POST)
    world.age_the_record(minutes=10)
    submit(world, 2)
    record = SubmissionStore(world).read()
    assert timedelta(minutes=10) <= record.sent_at - record.intended_at < timedelta(minutes=11)
    assert record.shown_by(60.0) == record.sent_at + timedelta(minutes=1)


@BOTH
@pytest.mark.parametrize("step", [BEFORE_PERSIST, "after the vendor accepted", BEFORE_POST, "after writing intended"])
def test_a_crash_before_the_id_is_recorded(world, support, step):
    crash(world, step, support=support)
    first = intended_at(world)
    submission = submit(world, 2, support=support)
    assert (submission.job.job_id, len(world.jobs)) == ("job-1", 1)
    assert len(set(world.posts)) == 1, "the same request is sent with the same key"
    assert submission.submitted_at == first == intended_at(world), "the time of the first intent is kept"
    assert "before a search" not in world.steps.seen
    assert "before a poll" in world.steps.seen, "what comes back is the job as it was created"


@BOTH
@pytest.mark.parametrize("made", [True, False])
def test_a_lost_response_is_made_up_for_in_the_same_try(world, support, made):
    world.lose_answer, world.never_arrives = made, not made
    assert submit(world, support=support).job.job_id == "job-1"
    assert len(world.jobs) == 1
    assert len(world.posts) == 2
    assert len(set(world.posts)) == 1


def test_what_comes_back_is_polled_and_may_have_ended(world):
    crash(world, BEFORE_PERSIST)
    world.set_state("job-1", JobState.SUCCEEDED)
    assert submit(world, 2).job.state is JobState.SUCCEEDED


@BOTH
def test_a_retry_after_the_window(world, support):
    """Found by search, or the user decides; the key is not sent again."""
    crash(world, BEFORE_PERSIST, support=support)
    world.age_the_record(seconds=0.9 * DAY + 60)
    world.keys_forgotten = True
    if support is KeySupport.EXACT:
        assert submit(world, 2, support=support).job.job_id == "job-1"
    else:
        with pytest.raises(AmbiguousSubmissionError):
            submit(world, 2, support=support)
    assert (len(world.jobs), len(world.posts)) == (1, 1)


def test_the_window_is_counted_from_the_first_send(world):
    """A key that is sent again must not live for ever: each replay keeps the time of the first intent."""
    crash(world, BEFORE_PERSIST)
    for number in (2, 3, 4):
        world.age_the_record(hours=8)
        world.in_flight = 99
        with pytest.raises(AmbiguousSubmissionError if number == 4 else VideoApiUnavailableError):
            submit(world, number, find_wait=0.0)
    assert len(world.posts) == 3
    assert datetime.now(timezone.utc) - intended_at(world) > timedelta(hours=24)


def test_the_first_request_is_still_under_way_at_the_retry(world):
    crash(world, BEFORE_PERSIST)
    world.in_flight = 3
    assert submit(world, 2).job.job_id == "job-1"
    assert (len(world.jobs), len(set(world.posts))) == (1, 1)
    assert world.slept > 0


def test_a_first_request_that_does_not_end_leaves_the_outcome_unknown(world, caplog):
    crash(world, BEFORE_PERSIST)
    world.in_flight = 99
    with pytest.raises(VideoApiUnavailableError, match="under way") as caught:
        submit(world, 2)
    assert caught.value.outcome_unknown
    assert f"A render with key {world.stored[RECORD_KEY]['key']} may exist" in caplog.text
    assert world.stored[RECORD_KEY]["state"] == "intended"
    world.in_flight = 0
    assert submit(world, 3).job.job_id == "job-1"


def test_a_key_that_is_in_progress_at_its_first_send_is_no_refusal(world):
    """A try that was replaced had sent the same key before."""
    world.replayed["its key"] = (200, None)

    def in_progress(body, key, create=world._create):
        if world.in_flight:
            world.in_flight -= 1
            world.posts.append(body["key"])
            return 409, {"code": "request_in_progress", "message": "under way"}
        return create(body, key)

    world._create = in_progress
    world.in_flight = 2
    assert submit(world).job.job_id == "job-1"
    assert len(set(world.posts)) == 1


def test_a_list_that_lags_longer_than_find_wait_does_not_matter(world):
    crash(world, BEFORE_PERSIST, support=KeySupport.EXACT)
    world.list_lag = 1000.0
    assert submit(world, 2, support=KeySupport.EXACT).job.job_id == "job-1"
    assert len(world.jobs) == 1


def test_a_client_that_repeats_keyed_requests_itself_keeps_the_time_and_the_doubt(world):
    class Repeating(FakeHook):
        def submit_job(self, request, *, key=None):
            call = self.client.call_json

            def repeatable(*args, **kwargs):
                return call(*args, repeatable=True, **kwargs)

            self.client.call_json = repeatable
            try:
                return super().submit_job(request, key=key)
            finally:
                self.client.call_json = call

    world.lose_answer = True
    world.steps = Steps()
    submission = submit(world, hook=Repeating(world, KeySupport.NONE, replay_seconds=DAY))
    assert (submission.job.job_id, len(world.posts), len(world.jobs)) == ("job-1", 2, 1)
    assert "after writing refused" not in world.steps.seen


# ---------------------------------------------------------------- another purchase


@BOTH
@pytest.mark.parametrize("lost_id", [True, False])
def test_a_render_that_failed_is_paid_anew_with_another_key(world, support, lost_id):
    """The dead job would come back for ever otherwise."""
    if lost_id:
        crash(world, BEFORE_PERSIST, support=support)
    else:
        submit(world, support=support)
    world.set_state("job-1", JobState.FAILED, "no worker was free")
    assert submit(world, 2, support=support).job.job_id == "job-2"
    assert len(world.jobs) == 2
    assert len(set(world.posts)) == 2
    world.set_state("job-2", JobState.FAILED, "no worker was free")
    assert submit(world, 3, support=support).job.job_id == "job-3"
    assert len(set(world.posts)) == 3


@BOTH
@pytest.mark.parametrize("lost_id", [True, False])
def test_a_job_that_was_deleted_is_paid_anew_with_another_key(world, support, lost_id):
    if lost_id:
        crash(world, BEFORE_PERSIST, support=support)
    else:
        submit(world, support=support)
    world.forget("job-1")
    assert submit(world, 2, support=support).job.job_id == "job-2"
    assert len(set(world.posts)) == 2


@BOTH
@pytest.mark.parametrize("lost", [True, False])
def test_credit_that_was_added_after_a_refusal_counts(world, support, lost):
    """The vendor replays its 402 to the same key, so that another one must be sent."""
    world.refusals = [(402, {"message": "no credit"})]
    world.lose_answer = lost
    with pytest.raises(VideoApiPermissionError, match="no credit"):
        submit(world, support=support)
    assert submit(world, 2, support=support).job.job_id == "job-1"
    assert (len(world.jobs), len(set(world.posts))) == (1, 2)


@pytest.mark.parametrize(
    ("status", "error"), [(401, VideoApiAuthenticationError), (403, VideoApiPermissionError), (429, VideoApiQuotaError)]
)
def test_a_refusal_before_the_vendor_looks_at_the_key_proves_nothing_about_the_first_send(world, status, error):
    crash(world, BEFORE_PERSIST)
    replayed, world.replayed = world.replayed, {}
    world.refusals = [(status, {"message": "not now"})] * 99

    class Impatient(FakeHook):
        def make_client(self):
            client = super().make_client()
            client.settings = type(client.settings)(proxy="http://127.0.0.1:9", retry_deadline=0.001)
            return client

    with pytest.raises(error):
        submit(world, 2, hook=Impatient(world, KeySupport.NONE, replay_seconds=DAY))
    assert world.stored[RECORD_KEY]["state"] == "intended"
    world.replayed, world.refusals = replayed, []
    assert submit(world, 3).job.job_id == "job-1"
    assert len(world.jobs) == 1


def test_a_record_that_was_lost_is_searched_for_by_all_keys_that_may_have_been_used(world):
    submit(world, support=KeySupport.EXACT)
    world.set_state("job-1", JobState.FAILED)
    submit(world, 2, support=KeySupport.EXACT)
    world.stored.clear()
    assert submit(world, 3, support=KeySupport.EXACT).job.job_id == "job-2"
    world.stored.clear()
    world.set_state("job-2", JobState.FAILED)
    assert submit(world, 3, support=KeySupport.EXACT).job.job_id == "job-3"
    assert len(set(world.posts)) == 3


# ---------------------------------------------------------------- clears, and the last try


def test_a_clear_after_a_crash_before_the_id_is_recorded_deletes_the_first(world):
    crash(world, BEFORE_PERSIST, support=KeySupport.EXACT)
    assert submit(world, 2, max_tries=1 + 3, support=KeySupport.EXACT).job.job_id == "job-2"
    assert (world.cancelled, len(world.jobs), len(world.posts)) == (["job-1"], 2, 2)


def test_a_clear_after_a_crash_before_the_request_is_sent_pays_once(world, caplog):
    """To find out by the key would create the job that is to be cancelled: a search never has an effect."""
    crash(world, BEFORE_POST, support=KeySupport.EXACT)
    assert submit(world, 2, max_tries=1 + 3, support=KeySupport.EXACT).job.job_id == "job-1"
    assert (world.cancelled, len(world.jobs), len(world.posts)) == ([], 1, 1)
    assert "was not found. If it was submitted, it may still run and be charged" in caplog.text


@pytest.mark.parametrize("find_wait", [0.0, 5.0])
def test_an_outdated_render_is_searched_for_as_long_as_find_wait_says(world, find_wait):
    crash(world, BEFORE_POST, support=KeySupport.EXACT)
    submit(world, 2, max_tries=1 + 3, support=KeySupport.EXACT, find_wait=find_wait)
    assert find_wait - 1 < world.slept <= find_wait


def test_a_clear_where_the_vendor_cannot_be_searched_names_the_doubt(world, caplog):
    crash(world, BEFORE_PERSIST)
    assert submit(world, 2, max_tries=1 + 3).job.job_id == "job-2"
    assert world.cancelled == []
    assert "was not found. If it was submitted, it may still run and be charged" in caplog.text


@BOTH
@pytest.mark.parametrize("arrived", [True, False])
def test_a_last_try_that_is_interrupted_sends_nothing_to_find_out(world, support, arrived, caplog):
    class Slow(FakeHook):
        def submit_job(self, request, *, key=None):
            if arrived:
                super().submit_job(request, key=key)
            raise AirflowTaskTimeout("time is up")

    operator = SubmitVideoJobOperator(task_id="t", conn_id="fake_default", request=REQUEST, retries=0)
    operator.__dict__["hook"] = Slow(world, support, replay_seconds=DAY)
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(context_of(world, operator, 1, max_tries=0))
    assert len(world.posts) == len(world.jobs) == arrived
    found = arrived and support is KeySupport.EXACT
    assert world.cancelled == (["job-1"] if found else [])
    assert ("may have been submitted to Fake" in caplog.text) is not found


def test_errors_of_the_vendor_are_the_vendors(world):
    world.refusals = [(402, {"message": "no credit"})]
    with pytest.raises(VideoApiError) as caught:
        submit(world)
    assert not caught.value.outcome_unknown
