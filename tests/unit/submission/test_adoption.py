# SPDX-License-Identifier: Apache-2.0
"""What a try makes of what the one before left; and how it tells a clear from a retry."""

from __future__ import annotations

import copy
import itertools
import json
import logging
import re
from datetime import datetime, timedelta, timezone

import pytest

from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    SubmissionError,
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoApiPermissionError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoSearchInconclusiveError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from airflow_video_providers.submission.cancel import CancelPolicy
from airflow_video_providers.submission.record import RECORD_KEY, SubmissionStore, fingerprint_of, submission_key
from airflow_video_providers.submission.submit import JobSubmission
from airflow_video_providers.submission.task_try import TaskTry
from tests.support.submission import Crash, DirectHook, FakeHook, Steps, World

REQUEST = {"title": "A film"}
RUN_START = datetime(2026, 5, 1, 9, 30, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def no_real_sleep(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr("time.sleep", world.sleep)
    return world


def a_try(number=1, max_tries=3, retries=3, **where):
    names = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, **where}
    return TaskTry(**names, try_number=number, max_tries=max_tries, retries=retries)


def submit(world, task_try, *, support=KeySupport.EXACT, request=REQUEST, hook=None, **arguments):
    hook = hook or FakeHook(world, support)
    return JobSubmission(hook=hook, store=SubmissionStore(world), task_try=task_try, **arguments).submit_or_adopt(
        request
    )


# ---------------------------------------------------------------- what the retry finds


@pytest.mark.parametrize("support", KeySupport)
@pytest.mark.parametrize(
    ("state", "adopted"),
    [
        (JobState.QUEUED, True),
        (JobState.RUNNING, True),
        (JobState.SUCCEEDED, True),
        (JobState.FAILED, False),
        (JobState.CANCELLED, False),
    ],
)
def test_every_state_of_the_job_that_a_retry_may_find(world, support, state, adopted):
    first = submit(world, a_try(1), support=support)
    world.set_state(first.job.job_id, state, "no voice")
    second = submit(world, a_try(2), support=support)
    assert second.job.job_id == ("job-1" if adopted else "job-2")
    assert len(world.jobs) == (1 if adopted else 2)
    if adopted:
        assert second.job.state is state
        assert second.submitted_at == first.submitted_at


@pytest.mark.parametrize("support", KeySupport)
def test_a_job_that_is_gone_is_submitted_anew_once_it_had_time_to_show(world, support, caplog):
    submit(world, a_try(1), support=support)
    world.hidden.add("job-1")
    assert submit(world, a_try(2), support=support, find_wait=30).job.job_id == "job-2"
    assert 29 < world.slept <= 30
    assert "job-1 of connection 'fake_default' is gone" in caplog.text


def test_a_job_that_shows_late_is_adopted(world, monkeypatch):
    submit(world, a_try(1))
    world.hidden.add("job-1")
    monkeypatch.setattr("time.sleep", lambda seconds: world.hidden.clear())
    assert submit(world, a_try(2)).job.job_id == "job-1"


def test_a_vendor_whose_list_lags_is_waited_for_as_long_as_the_setting_says(world):
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1))
    world.steps = Steps()
    world.list_lag = 25.0
    assert submit(world, a_try(2), find_wait=30).job.job_id == "job-1"
    assert 25 <= world.slept <= 30


def test_a_list_that_lags_for_longer_than_the_setting_costs_a_second_render(world):
    """The limit of the promise, as documented: raise ``find_wait`` for a vendor that is so slow."""
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1))
    world.steps = Steps()
    world.list_lag = 100.0
    assert submit(world, a_try(2), find_wait=30).job.job_id == "job-2"


class Unsure(FakeHook):
    """A vendor that can be searched surely, but whose list is not whole for the first ``doubts`` searches."""

    doubts = 1_000_000

    def __init__(self, world):
        super().__init__(world, KeySupport.EXACT)

    def find_job(self, key, **kwargs):
        if self.doubts:
            self.doubts -= 1
            raise VideoSearchInconclusiveError("the list may be cut", vendor="fake", endpoint="GET /jobs")
        return super().find_job(key, **kwargs)


def crash_after_acceptance(world):
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1))
    world.steps = Steps()


def test_a_search_that_is_no_proof_leaves_the_decision_to_the_user(world, caplog):
    crash_after_acceptance(world)
    with pytest.raises(AmbiguousSubmissionError, match="no match, which is no proof"):
        submit(world, a_try(2), hook=Unsure(world))
    assert len(world.jobs) == 1
    assert "the list may be cut" in caplog.text
    assert submit(world, a_try(3), hook=Unsure(world), on_ambiguous="resubmit").job.job_id == "job-2"


def test_a_search_that_is_no_proof_is_repeated_as_long_as_any_other(world):
    crash_after_acceptance(world)
    hook = Unsure(world)
    hook.doubts = 3
    assert submit(world, a_try(2), hook=hook, find_wait=30).job.job_id == "job-1"
    assert len(world.jobs) == 1


def test_a_lost_response_and_a_search_that_is_no_proof_are_ambiguous_at_once(world):
    world.lose_answer = True
    with pytest.raises(AmbiguousSubmissionError):
        submit(world, a_try(1), hook=Unsure(world))
    assert len(world.jobs) == 1


def test_without_a_record_a_search_that_is_no_proof_stops_nothing(world):
    assert submit(world, a_try(2), hook=Unsure(world)).job.job_id == "job-1"


def test_a_failed_job_with_the_same_key_does_not_hide_the_one_in_question(world):
    """The first job failed; the second was accepted, the worker died, and the list shows only the first as yet."""
    submit(world, a_try(1))
    world.set_state("job-1", JobState.CANCELLED)
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash, match="accepted"):
        submit(world, a_try(2))
    world.steps = Steps()
    third = submit(world, a_try(3))
    assert (third.job.job_id, len(world.jobs)) == ("job-2", 2)


def test_a_job_that_was_found_but_has_failed_is_not_adopted(world):
    """A third party's hook may give back what has failed; its render is not worth waiting for."""

    class Careless(FakeHook):
        def find_job(self, key, *, request, since):
            return next((job for job in self.world.jobs.values() if job.key == key), None)

    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1))
    world.steps = Steps()
    world.set_state("job-1", JobState.FAILED)
    assert submit(world, a_try(2), hook=Careless(world, KeySupport.EXACT)).job.job_id == "job-2"


# ---------------------------------------------------------------- refused, unreadable, lost


@pytest.mark.parametrize("support", KeySupport)
@pytest.mark.parametrize(
    "refusal",
    [
        VideoApiInvalidRequestError("no such voice", vendor="fake", endpoint="POST /jobs", status=422),
        SubmissionKeyConflictError("user_data is taken"),
    ],
)
def test_a_refusal_leaves_nothing_to_doubt(world, support, refusal):
    class Refusing(FakeHook):
        def submit_job(self, request, *, key=None):
            raise refusal

    with pytest.raises(type(refusal)):
        submit(world, a_try(1), hook=Refusing(world, support))
    assert submit(world, a_try(2), support=support).job.job_id == "job-1"
    assert "before a search" not in world.steps.seen


def test_a_record_that_cannot_be_read_stops_before_money_is_spent(world):
    world.stored[RECORD_KEY] = {"job": 1}
    with pytest.raises(SubmissionError, match="delete that entry"):
        submit(world, a_try(2))
    assert not world.jobs


def test_a_request_that_is_not_json_stops_before_money_is_spent(world):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in (datetime.now(timezone.utc), deep):
        with pytest.raises(VideoConfigurationError, match="plain JSON"):
            submit(world, a_try(1), request={"when": value})
    assert not world.jobs
    assert not world.stored


def test_a_lost_record_is_made_up_for_by_the_derived_key(world):
    submit(world, a_try(1))
    world.stored.clear()
    assert submit(world, a_try(2)).job.job_id == "job-1"
    assert world.stored[RECORD_KEY]["job_id"] == "job-1"


def test_an_ambiguous_submission_says_what_to_check_and_how_to_go_on(world):
    world.lose_answer = True
    with pytest.raises(AmbiguousSubmissionError) as caught:
        submit(world, a_try(1), support=KeySupport.NONE)
    text = str(caught.value)
    for part in ("Fake", "'fake_default'", "vendor's app", "clear this task", "video_submission_decisions", "resubmit"):
        assert part in text
    assert world.stored[RECORD_KEY]["intended_at"][:16].replace("Z", "") in text


# ---------------------------------------------------------------- another request


@pytest.mark.parametrize(("on_kill", "cancelled"), [(True, ["job-1"]), (False, [])])
def test_a_changed_request_is_a_new_render_and_names_the_old_job(world, caplog, on_kill, cancelled):
    submit(world, a_try(1))
    second = submit(world, a_try(2), request={"title": "Another"}, policy=CancelPolicy(on_kill=on_kill))
    assert second.job.job_id == "job-2"
    (warning,) = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert "job job-1 of connection 'fake_default'" in warning.getMessage()
    assert world.cancelled == cancelled


def test_another_order_of_the_fields_is_the_same_request():
    assert fingerprint_of("c", {"a": 1, "b": [1, {"x": 0}]}) == fingerprint_of("c", {"b": [1, {"x": 0}], "a": 1})
    assert fingerprint_of("c", {"a": [1, 2]}) != fingerprint_of("c", {"a": [2, 1]})
    assert fingerprint_of("c", {"a": 1}) != fingerprint_of("other", {"a": 1})


def test_a_finished_render_is_not_touched_by_the_one_that_replaces_it(world):
    submit(world, a_try(1))
    world.set_state("job-1", JobState.SUCCEEDED)
    submit(world, a_try(2), request={"title": "Another"})
    assert world.jobs["job-1"].state is JobState.SUCCEEDED
    assert world.cancelled == []


# ---------------------------------------------------------------- clear and retry


@pytest.mark.parametrize("support", KeySupport)
@pytest.mark.parametrize("state", JobState)
def test_a_clear_is_a_new_render_whatever_became_of_the_old_one(world, support, state):
    submit(world, a_try(1), support=support)
    world.set_state("job-1", state)
    again = submit(world, a_try(2, max_tries=1 + 3), support=support)
    assert again.job.job_id == "job-2"
    assert world.cancelled == ([] if state.is_terminal else ["job-1"])
    keys = [job.key for job in world.jobs.values()]
    assert len(set(keys)) == 2


@pytest.mark.parametrize("support", [KeySupport.EXACT, KeySupport.BEST_EFFORT])
def test_a_look_that_fails_does_not_hide_that_a_render_may_have_been_bought(world, support):
    class Blind(FakeHook):
        def find_job(self, key, *, request, since):
            raise VideoApiPermissionError("no list for you", vendor="fake", endpoint="GET /jobs", status=403)

    world.lose_answer = True
    with pytest.raises(VideoApiUnavailableError, match="connection reset") as caught:
        submit(world, a_try(1), hook=Blind(world, support))
    assert caught.value.outcome_unknown
    assert "no list for you" in str(caught.value.__cause__)
    assert submit(world, a_try(2), support=support).job.job_id == "job-1"


def test_a_clear_settles_a_doubt(world):
    world.lose_answer = True
    with pytest.raises(AmbiguousSubmissionError):
        submit(world, a_try(1), support=KeySupport.NONE)
    assert submit(world, a_try(2, max_tries=1 + 3), support=KeySupport.NONE).job.job_id == "job-2"


def test_a_clear_ends_the_render_of_an_intent_whose_outcome_nobody_read(world):
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1))
    world.steps = Steps()
    assert submit(world, a_try(2, max_tries=1 + 3)).job.job_id == "job-2"
    assert world.cancelled == ["job-1"]


HISTORY = ("retry", "clear", "retries=0", "retries=1", "retries=4")


def test_clear_and_retry_are_told_apart_through_every_history():
    """Airflow's own arithmetic: a clear sets max_tries to try_number + retries, a retry leaves it."""
    hook = DirectHook(World(), KeySupport.EXACT)
    histories = 0

    def follow(world, history, number, max_tries, retries, renders):
        nonlocal histories
        histories += 1
        for event in HISTORY if len(history) < 5 else ():
            after, so_far = copy.deepcopy(world), (*history, event)
            if event.startswith("retries="):
                follow(after, so_far, number, max_tries, int(event[-1]), renders)
                continue
            moved, made = max_tries, renders
            if event == "clear":
                moved = number + retries
                # The one clear that cannot be seen (see TaskTry.cleared_since): it must not cost, a second one works.
                made += moved != max_tries
            elif number > max_tries:
                follow(after, so_far, number, max_tries, retries, renders)  # no retry is left
                continue
            hook.world = after
            submit(after, a_try(number + 1, moved, retries), hook=hook)
            assert len(after.jobs) == made, so_far
            follow(after, so_far, number + 1, moved, retries, made)

    world = hook.world = World()
    submit(world, a_try(1, 2, 2), hook=hook)
    follow(world, (), 1, 2, 2, 1)
    assert histories == sum(len(HISTORY) ** length for length in range(6))


def test_the_clear_that_looks_like_a_retry_is_seen_the_second_time(world):
    submit(world, a_try(1, max_tries=2, retries=2))
    assert submit(world, a_try(2, max_tries=1 + 1, retries=1)).job.job_id == "job-1"
    assert submit(world, a_try(3, max_tries=2 + 1, retries=1)).job.job_id == "job-2"


@pytest.mark.parametrize("retries", [0, 2])
def test_a_try_that_the_scheduler_adds_adopts_the_render(world, retries):
    """A scheduler that was restarted resets tasks that no scheduler owns, also where no retry is left."""
    last = retries + 1
    submit(world, a_try(last, max_tries=retries, retries=retries))
    for added in (1, 2, 3):
        assert submit(world, a_try(last + added, max_tries=retries, retries=retries)).job.job_id == "job-1"
    assert not world.cancelled


# ---------------------------------------------------------------- keys


def test_keys_never_collide_and_fit_every_vendor():
    names = ["a", "b", "a.b", "a__b", 'a"', "ä" * 250]
    keys = [
        submission_key(a_try(dag_id=dag, run_id=run, task_id=task, map_index=index), generation, "f", deployment=site)
        for dag, run, task in itertools.product(names, repeat=3)
        for index in (-1, 0, 11)
        for generation in (1, 2)
        for site in ("", "https://airflow.example")
    ] + [
        submission_key(a_try(run_started_at=RUN_START + timedelta(microseconds=n)), 1, "f", deployment="")
        for n in (0, 1)
    ]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"avp-[0-9a-f]{40}", key) for key in keys)


def test_a_run_that_is_deleted_and_made_again_does_not_find_the_renders_of_the_first(world):
    """Airflow deletes the task state with the run; the run id is made of the date and comes back."""
    submit(world, a_try(1, run_started_at=RUN_START))
    world.set_state("job-1", JobState.SUCCEEDED)
    world.stored.clear()
    again = RUN_START + timedelta(minutes=5)
    world.lose_answer = True
    assert submit(world, a_try(1, run_started_at=again)).job.job_id == "job-2"
    world.stored.clear()
    assert submit(world, a_try(2, run_started_at=again)).job.job_id == "job-2"


def test_the_zone_in_which_a_run_tells_its_start_is_not_part_of_the_key():
    elsewhere = RUN_START.astimezone(timezone(timedelta(hours=9)))
    keys = [submission_key(a_try(run_started_at=start), 1, "f") for start in (RUN_START, elsewhere)]
    assert keys[0] == keys[1]


def test_retries_of_one_render_share_a_key(world):
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1))
    world.steps = Steps()
    key = world.stored[RECORD_KEY]["key"]
    submit(world, a_try(2))
    assert world.jobs["job-1"].key == key == submission_key(a_try(2), 1, fingerprint_of("fake_default", REQUEST))


def test_the_record_lives_for_thirty_days_whatever_the_configuration_says(world, monkeypatch):
    kept = []
    monkeypatch.setattr(World, "set", lambda self, key, value, *, retention: kept.append(retention))
    submit(world, a_try(1))
    assert set(kept) == {timedelta(days=30)}


# ---------------------------------------------------------------- what the record keeps of the request


def test_a_superseded_render_is_found_by_the_request_that_it_was_submitted_with(world, caplog):
    """The search needs the title, as that of some vendors needs a part of the request; the new request has another."""
    hook = FakeHook(world, KeySupport.EXACT, needs_title=True)
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1), hook=hook)
    world.steps = Steps()
    assert submit(world, a_try(2), hook=hook, request={"title": "Another"}).job.job_id == "job-2"
    assert world.cancelled == ["job-1"]
    assert "was not found" not in caplog.text


@pytest.mark.parametrize(("find_wait", "cancelled"), [(60.0, ["job-1"]), (0.0, [])])
def test_a_replaced_render_that_is_not_shown_yet_is_not_gone(world, monkeypatch, find_wait, cancelled):
    hook = FakeHook(world, KeySupport.EXACT)
    submit(world, a_try(1), hook=hook)
    monkeypatch.setattr(type(hook), "find_wait", find_wait)
    cancel, looks = hook.cancel_job, itertools.count(1)
    monkeypatch.setattr(hook, "cancel_job", lambda job_id: None if next(looks) < 3 else cancel(job_id))
    assert submit(world, a_try(2), hook=hook, request={"title": "Another"}).job.job_id == "job-2"
    assert world.cancelled == cancelled


def test_search_terms_that_are_too_long_are_not_kept(world, caplog):
    hook = FakeHook(world, KeySupport.EXACT, needs_title=True)
    request = {"title": "A" * 10_000}
    world.steps = Steps("after the vendor accepted")
    with pytest.raises(Crash):
        submit(world, a_try(1), hook=hook, request=request)
    world.steps = Steps()
    assert world.stored[RECORD_KEY]["search"] is None
    assert len(str(world.stored)) < 1000
    assert submit(world, a_try(2), hook=hook, request=request).job.job_id == "job-1"


@pytest.mark.parametrize("support", KeySupport)
def test_a_superseded_intent_that_was_not_found_is_logged(world, support, caplog):
    world.steps = Steps("before the POST")
    with pytest.raises(Crash):
        submit(world, a_try(1), support=support)
    world.steps = Steps()
    key = world.stored[RECORD_KEY]["key"]
    submit(world, a_try(2), support=support, request={"title": "Another"})
    assert f"a render with key {key} whose outcome is unknown was not found" in caplog.text


# ---------------------------------------------------------------- what the user decides


def doubtful(world, support=KeySupport.NONE):
    """One try whose outcome nobody knows; returns its key."""
    world.lose_answer = True
    with pytest.raises(AmbiguousSubmissionError) as caught:
        submit(world, a_try(1), support=support)
    key = world.stored[RECORD_KEY]["key"]
    assert f'{{"{key}": "<job id>"}}' in str(caught.value)
    return key


def decide(monkeypatch, **decisions):
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_SUBMISSION_DECISIONS", json.dumps(decisions))


RETRY, CLEAR = {}, {"max_tries": 1 + 3}


@pytest.mark.parametrize("again", [RETRY, CLEAR], ids=["retry", "clear"])
def test_a_job_that_the_user_names_is_adopted(world, monkeypatch, again):
    decide(monkeypatch, **{doubtful(world): " job-1 ", "avp-of-another-task": "job-7"})
    second = submit(world, a_try(2, **again), support=KeySupport.NONE)
    assert second.job.job_id == "job-1"
    assert world.cancelled == []
    # From now on it is as any other job: a retry adopts it, a clear submits anew.
    assert submit(world, a_try(3, **again), support=KeySupport.NONE).job.job_id == "job-1"
    assert submit(world, a_try(4, max_tries=3 + 3), support=KeySupport.NONE).job.job_id == "job-2"
    assert world.cancelled == ["job-1"]


@pytest.mark.parametrize("again", [RETRY, CLEAR], ids=["retry", "clear"])
def test_the_user_may_say_that_no_job_was_made(world, monkeypatch, again):
    key = doubtful(world)
    world.forget("job-1")
    decide(monkeypatch, **{key: "none"})
    assert submit(world, a_try(2, **again), support=KeySupport.NONE).job.job_id == "job-2"


def test_a_decision_counts_for_one_doubt_only(world, monkeypatch):
    """The next request has another key: what was decided about the first says nothing about it."""
    key = doubtful(world)
    decide(monkeypatch, **{key: "none"})
    world.lose_answer = True
    with pytest.raises(AmbiguousSubmissionError):
        submit(world, a_try(2), support=KeySupport.NONE)
    assert world.stored[RECORD_KEY]["key"] != key
    with pytest.raises(AmbiguousSubmissionError):
        submit(world, a_try(3), support=KeySupport.NONE)
    assert len(world.jobs) == 2


def test_a_decision_about_a_request_that_has_changed_ends_its_render(world, monkeypatch):
    decide(monkeypatch, **{doubtful(world): "job-1"})
    other = {"title": "Another"}
    assert submit(world, a_try(2), support=KeySupport.NONE, request=other).job.job_id == "job-2"
    assert world.cancelled == ["job-1"]


def test_a_job_that_the_vendor_does_not_know_is_not_adopted(world, monkeypatch):
    key = doubtful(world)
    decide(monkeypatch, **{key: "job-9"})
    with pytest.raises(
        VideoConfigurationError, match=f"names job job-9, which Fake does not know.*{key}.*Nothing was submitted"
    ):
        submit(world, a_try(2), support=KeySupport.NONE)
    assert len(world.jobs) == 1


def test_a_job_that_failed_is_not_adopted(world, monkeypatch):
    decide(monkeypatch, **{doubtful(world): "job-1"})
    world.set_state("job-1", JobState.FAILED)
    assert submit(world, a_try(2), support=KeySupport.NONE).job.job_id == "job-2"


@pytest.mark.parametrize("text", ["job-1", "[]", '{"%s": 7}', '{"%s": ""}'])
def test_decisions_that_cannot_be_read_stop_before_money_is_spent(world, monkeypatch, text):
    key = doubtful(world)
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_SUBMISSION_DECISIONS", text.replace("%s", key))
    with pytest.raises(VideoConfigurationError, match="JSON object that maps submission keys to job ids"):
        submit(world, a_try(2), support=KeySupport.NONE)
    assert len(world.jobs) == 1


def test_no_decision_is_asked_for_where_the_vendor_is_sure(world, monkeypatch):
    """The Variable is read where an outcome is unknown, not by each task."""
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_SUBMISSION_DECISIONS", "not JSON")
    submit(world, a_try(1))
    assert submit(world, a_try(2)).job.job_id == "job-1"
