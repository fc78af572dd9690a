# SPDX-License-Identifier: Apache-2.0
"""What an end means to the task: in the worker that waited, and in the one that a trigger's event resumes."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_video_providers.exceptions import (
    VideoApiQuotaError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobFailedError,
    VideoJobTimeoutError,
    VideoPollingError,
    VideoProviderError,
)
from airflow_video_providers.jobs import JobError, JobState, VideoJob
from airflow_video_providers.waiting.outcome import (
    describe_failure,
    event_of,
    job_from_event,
    polling_given_up,
    raise_unless_succeeded,
    timed_out,
)


def job(state=JobState.RUNNING, **fields):
    return VideoJob(vendor="v", job_id="1", state=state, vendor_status=state.value, **fields)


def test_only_success_is_returned():
    good = job(state=JobState.SUCCEEDED)
    assert raise_unless_succeeded(good) is good
    with pytest.raises(VideoJobCancelledError):
        raise_unless_succeeded(job(state=JobState.CANCELLED))
    with pytest.raises(VideoJobFailedError, match=r"\[7\] no codec") as caught:
        raise_unless_succeeded(job(state=JobState.FAILED, error=JobError(code="7", message="no codec")))
    assert caught.value.job.state is JobState.FAILED
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_task_that_could_only_find_the_same_job_again_is_not_retried(state):
    with pytest.raises(VideoJobFailedError) as caught:
        raise_unless_succeeded(job(state), final=True)
    assert isinstance(caught.value, AirflowFailException)


QUOTA = VideoApiQuotaError("slow down", vendor="v", endpoint="GET /jobs/{id}", retry_after=600)


@pytest.mark.parametrize(
    ("last", "error", "status", "kind"),
    [
        (job(JobState.FAILED), None, "failed", VideoJobFailedError),
        (job(JobState.CANCELLED), None, "cancelled", VideoJobCancelledError),
        (job(), timed_out(job()), "timeout", VideoJobTimeoutError),
        (job(), polling_given_up("1", QUOTA), "polling_failed", VideoPollingError),
        (job(), VideoConfigurationError("no host"), "misconfigured", VideoConfigurationError),
    ],
)
def test_an_event_raises_what_the_wait_in_a_worker_would(last, error, status, kind):
    event = json.loads(json.dumps(event_of(last, error)))
    assert event["status"] == status
    with pytest.raises(kind) as caught:
        job_from_event(event)
    if error is not None:
        assert str(caught.value) == str(error)
    assert getattr(caught.value, "retry_after", None) == (600 if kind is VideoPollingError else None)


def test_the_event_of_a_success_gives_the_job():
    good = job(JobState.SUCCEEDED)
    assert job_from_event(json.loads(json.dumps(event_of(good, None)))) == good


@pytest.mark.parametrize("asked", [600, 3 * 86400])
def test_a_retry_after_that_is_not_obeyed_to_its_end_is_said(asked):
    said = describe_failure(VideoApiQuotaError("slow down", vendor="v", endpoint="GET /x", retry_after=asked))
    assert ("asks to wait 259200 s; one poll is made after 900 s" in said) is (asked > 600)


def test_a_fault_of_a_hook_is_named_by_its_kind():
    assert describe_failure(KeyError("status")) == "KeyError: 'status'"


UNREADABLE = [None, {}, [], "success", {"status": "success"}, {"status": "success", "job": None}, {"job": {}},
              {"status": 1, "job": job().to_xcom()}, {"status": "success", "job": {"job_id": "1"}}]  # fmt: skip


@pytest.mark.parametrize("event", UNREADABLE)
def test_an_event_that_cannot_be_read_is_a_named_error(event):
    with pytest.raises(VideoPollingError, match="cannot be read"):
        job_from_event(event)


@pytest.mark.parametrize("status", ["timeout", "polling_failed", "misconfigured"])
def test_an_event_without_a_message_tells_of_its_job(status):
    with pytest.raises(VideoProviderError, match="v 1"):
        job_from_event({"status": status, "job": job().to_xcom()})
