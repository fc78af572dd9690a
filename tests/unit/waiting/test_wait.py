# SPDX-License-Identifier: Apache-2.0
"""The state machine of a wait: counts, deadlines and ends, whoever drives it."""

from __future__ import annotations

import pytest

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiRedirectError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.jobs import JobError, JobState, VideoJob
from airflow_video_providers.waiting.schedule import LONGEST_RETRY_AFTER, Pace, next_poll
from airflow_video_providers.waiting.wait import Limits, Wait, failure_weight, may_pass

BEGAN = 1000.0


def job(state=JobState.RUNNING, **fields):
    return VideoJob(vendor="v", job_id="1", state=state, vendor_status=state.value, **fields)


def error(kind, **fields):
    return kind("no", vendor="v", endpoint="GET /jobs/{id}", **fields)


NOT_FOUND = error(VideoApiNotFoundError)
DOWN = error(VideoApiUnavailableError)


def seen(**limits):
    return Wait.begin(job(), Pace.begin(job(), BEGAN), Limits(**limits))


def unseen(**limits):
    return Wait.begin_unseen("v", "1", BEGAN, Limits(**limits))


def miss(wait, *errors, find_wait=0.0):
    """Let polls fail one after another, each when it is due; return the wait after each."""
    waits = []
    for failure in errors:
        wait = wait.missed(failure, wait.due, find_wait=find_wait)
        waits.append(wait)
    return waits


def test_a_wait_begins_with_its_first_poll_and_goes_on_by_the_schedule():
    assert (unseen().due, unseen().end, unseen().is_seen) == (BEGAN, None, False)
    wait = unseen(poll_interval=60, seed="a").saw(job(progress=0.2), BEGAN + 1)
    assert wait.is_seen
    assert wait.due == BEGAN + 1 + next_poll(job(progress=0.2), wait.pace, poll_interval=60, seed="a")
    assert wait.pace.since == BEGAN + 1
    again = wait.saw(job(progress=0.4), BEGAN + 50)
    assert again.pace.progress == 0.4
    assert again.end is None
    assert again.since == BEGAN


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
@pytest.mark.parametrize("deadline", [None, BEGAN])
def test_a_job_that_has_ended_ends_the_wait_also_at_the_deadline(state, deadline):
    wait = seen(deadline=deadline).saw(job(state), BEGAN + 10)
    assert wait.end is wait.job
    assert wait.result().state is state


def test_the_poll_at_the_deadline_is_the_last():
    wait = seen(deadline=BEGAN + 5)
    assert wait.due == BEGAN + 5
    for after in (wait.saw(job(), BEGAN + 5), wait.missed(DOWN, BEGAN + 5), wait.expire(BEGAN + 5)):
        assert isinstance(after.end, VideoJobTimeoutError)
        with pytest.raises(VideoJobTimeoutError, match="running · v 1"):
            after.result()
    early = wait.missed(DOWN, BEGAN + 4)
    assert (early.end, early.due) == (None, BEGAN + 5)
    assert wait.expire(BEGAN + 4) is wait


def test_a_job_that_was_never_seen_is_named_at_the_deadline():
    (*_, last) = miss(unseen(deadline=BEGAN), DOWN)
    with pytest.raises(VideoJobTimeoutError, match="not seen yet · v 1"):
        last.result()


def test_too_many_failures_in_a_row_end_the_wait_and_one_that_works_forgives_them():
    quota = error(VideoApiQuotaError, retry_after=77)
    two = miss(seen(max_poll_failures=2), DOWN, DOWN)[-1]
    assert two.end is None
    over = two.missed(quota, two.due)
    assert isinstance(over.end, VideoPollingError)
    assert over.end.retry_after == 77
    assert "job 1" in str(over.end)
    assert miss(two.saw(job(), two.due), DOWN, DOWN)[-1].end is None


@pytest.mark.parametrize("wait", [seen(max_poll_failures=0), unseen(max_poll_failures=0)])
def test_no_failure_may_be_tolerated(wait):
    assert isinstance(wait.missed(DOWN, BEGAN).end, VideoPollingError)


def test_a_job_that_is_not_found_any_more_was_deleted():
    waits = miss(seen(max_poll_failures=10), *[NOT_FOUND] * 4)
    assert [wait.end is None for wait in waits] == [True, True, True, False]
    assert waits[-1].result().state is JobState.CANCELLED
    assert waits[-1].result().vendor_status == "not found any more"


def test_a_job_that_is_not_found_among_other_failures_is_not_taken_for_deleted():
    assert isinstance(miss(seen(max_poll_failures=3), NOT_FOUND, DOWN)[-1].end, VideoPollingError)
    assert isinstance(miss(seen(max_poll_failures=3), DOWN, NOT_FOUND)[-1].end, VideoPollingError)


@pytest.mark.parametrize("wait", [seen(max_poll_failures=0), unseen(max_poll_failures=0)])
def test_a_job_that_is_not_found_in_its_first_seconds_is_polled_again(wait):
    early = wait.missed(NOT_FOUND, BEGAN + 59, find_wait=60)
    assert (early.end, early.failures, early.gone) == (None, 0, 0)
    assert early.due > BEGAN + 59
    late = wait.missed(NOT_FOUND, BEGAN + 60, find_wait=60)
    assert late.end is not None


@pytest.mark.parametrize(
    "refusal",
    [NOT_FOUND, error(VideoApiPermissionError), error(VideoApiAuthenticationError), KeyError("status")],
)
def test_a_job_that_was_never_seen_is_not_waited_for_if_the_poll_is_refused(refusal):
    assert unseen().missed(refusal, BEGAN).end is refusal
    assert seen().missed(refusal, BEGAN).end is None


@pytest.mark.parametrize("kind", [VideoApiUnavailableError, VideoApiQuotaError, VideoApiUnreadableAnswerError])
def test_a_passing_fault_is_waited_out_before_the_job_is_seen(kind):
    assert may_pass(error(kind))
    assert unseen().missed(error(kind), BEGAN).end is None


@pytest.mark.parametrize("wait", [seen(), unseen()])
def test_a_connection_that_cannot_work_ends_the_wait_at_once(wait):
    wrong = VideoConfigurationError("no host")
    assert wait.missed(wrong, BEGAN).end is wrong


def test_a_redirect_to_a_page_of_maintenance_does_not_end_a_wait_that_has_begun():
    redirect = error(VideoApiRedirectError)
    assert isinstance(redirect, VideoConfigurationError)
    assert seen().missed(redirect, BEGAN).end is None
    assert unseen().missed(redirect, BEGAN).end is redirect


def test_a_retry_after_of_days_is_not_waited_for():
    wait = seen().missed(error(VideoApiQuotaError, retry_after=3 * 86400.0), BEGAN)
    assert LONGEST_RETRY_AFTER <= wait.due - BEGAN <= LONGEST_RETRY_AFTER + 10
    assert seen(deadline=BEGAN + 100).missed(error(VideoApiQuotaError, retry_after=500.0), BEGAN).due == BEGAN + 100


def test_what_a_failed_poll_counts():
    assert (failure_weight(DOWN), failure_weight(NOT_FOUND)) == (1, 3)


def test_what_moved_is_worth_a_line():
    def shown(**fields):
        return seen().saw(job(**fields), BEGAN)

    assert not shown(progress=0.19).has_moved(shown(progress=0.11))
    assert shown(progress=0.20).has_moved(shown(progress=0.19))
    assert shown(progress=0.19, stage="encoding").has_moved(shown(progress=0.19))
    assert shown(state=JobState.QUEUED).has_moved(shown())
    assert shown().has_moved(unseen())


def test_the_line_says_how_far_and_how_long_before_it_says_which():
    wait = unseen().saw(job(progress=0.0), BEGAN).saw(job(progress=0.25, stage="encoding"), BEGAN + 30)
    assert wait.describe() == "25 %, about 90 s left · running · encoding · v 1"
    assert wait.saw(job(progress=0.26), BEGAN + 240).describe() == "26 %, about 11 min left · running · v 1"
    assert wait.saw(job(), BEGAN + 9000).describe() == "running · waited 2.5 h · v 1"
    failed = job(JobState.FAILED, progress=0.3, error=JobError(code="7", message="no codec"))
    assert wait.saw(failed, BEGAN + 40).describe() == "failed · after 40 s · [7] no codec · v 1"
    assert unseen().describe() == "not seen yet · v 1"
