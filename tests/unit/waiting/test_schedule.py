# SPDX-License-Identifier: Apache-2.0
"""When the next look is due, and what a look is worth."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoJobCancelledError,
    VideoJobFailedError,
)
from airflow_video_providers.jobs import JobError, JobState, VideoJob
from airflow_video_providers.waiting.outcome import raise_unless_succeeded
from airflow_video_providers.waiting.schedule import (
    FIRST_INTERVAL,
    SHORTEST_INTERVAL,
    Pace,
    describe_wait,
    may_pass,
    moved,
    next_poll,
    next_try,
    weight,
)

SEEDS = [f"dag/run/wait/{index}" for index in range(200)]


def job(progress=None, state=JobState.RUNNING, **fields):
    return VideoJob(vendor="v", job_id="1", state=state, vendor_status=state.value, progress=progress, **fields)


def looks(*seen, start=1000.0):
    """Return the last job and the pace after looks given as (seconds, progress)."""
    pace = None
    for seconds, progress in seen:
        last = job(progress)
        pace = pace.observe(last, start + seconds) if pace else Pace.begin(last, start + seconds)
    return last, pace


def test_a_job_with_progress_is_looked_at_early_then_later():
    gaps = [next_poll(*looks((0, 0.0), (age, 0.0)), seed="x") for age in (0, 30, 60, 600)]
    assert gaps == sorted(gaps)
    assert gaps[0] <= 1.1 * FIRST_INTERVAL
    assert gaps[-1] <= 60 * 1.1


def test_a_silent_vendor_is_asked_the_more_seldom_the_longer_the_render_takes():
    gaps = [{next_poll(*looks((0, None), (age, None)), seed=seed) for seed in SEEDS} for age in (60, 600, 6000)]
    assert gaps == [{33.0}, {60.0}, {120.0}]
    assert next_poll(*looks((0, None), (600, None)), poll_interval=300) == 105
    first = [next_poll(*looks((0, None)), seed=seed) for seed in SEEDS]
    assert 15 <= min(first) < 20
    assert 40 < max(first) <= 45


def test_speed_tells_the_expected_end():
    _, pace = looks((0, 0.0), (100, 0.25), (200, 0.5))
    assert pace.expected_end() == (1000 + 200, 1000 + 400)
    _, pace = looks((0, 0.0), (100, 0.25), (200, 0.5), (240, 0.5))
    assert pace.expected_end() == (1000 + 200, 1000 + 400)


def test_the_time_in_the_queue_is_not_taken_for_work():
    _, pace = looks((0, 0.0), (500, 0.0), (550, 0.5))
    assert pace.expected_end() == (1500, 1600)


def test_a_render_begun_anew_is_timed_anew():
    _, pace = looks((0, 0.0), (100, 0.5), (200, 0.0), (300, 0.5))
    assert pace.expected_end() == (1200, 1400)


def test_a_job_first_seen_at_work_is_timed_from_its_creation():
    created = datetime.fromtimestamp(900, timezone.utc)
    pace = Pace.begin(job(0.5, created_at=created), 1000.0)
    assert pace.expected_end() == (900, 1100)
    assert Pace.begin(job(0.5), 1000.0).expected_end() is None


def test_the_looks_skip_the_middle_and_crowd_at_the_end():
    far = next_poll(*looks((0, 0.0), (110, 0.01), (120, 0.02)), seed="x")
    near = next_poll(*looks((0, 0.0), (930, 0.95), (940, 0.96)), seed="x")
    assert far > 100
    assert near <= 30


def test_a_job_that_stands_still_beyond_its_expected_end_is_asked_less_and_less():
    gaps = [next_poll(*looks((0, 0.0), (90, 0.9), (100, 0.95), (age, 0.95)), seed="x") for age in (110, 300, 600, 9999)]
    assert gaps == sorted(gaps)
    assert 108 <= gaps[-1] <= 120


@pytest.mark.parametrize("poll_interval", [0.5, 5, 60, 120, 600])
def test_the_bounds_hold(poll_interval):
    seen = [((0, None),), ((0, 0.0),), ((0, 0.0), (10, 0.99)), ((0, 0.0), (10, 0.01))]
    seen.append(((0, 0.0), (1, 0.5), (9999, 0.5)))
    for looked in seen:
        for seed in SEEDS[:20]:
            gap = next_poll(*looks(*looked), poll_interval=poll_interval, seed=seed)
            assert min(SHORTEST_INTERVAL, poll_interval) <= gap <= poll_interval


def test_mapped_tasks_are_spread_each_always_the_same():
    for seen in (((0, None),), ((0, 0.0),), ((0, 0.0), (100, 0.1)), ((0, 0.0), (600, 0.01))):
        gaps = [next_poll(*looks(*seen), seed=seed) for seed in SEEDS]
        assert len(set(gaps)) > 150
        assert gaps == [next_poll(*looks(*seen), seed=seed) for seed in SEEDS]


def test_the_pace_survives_as_plain_json():
    _, pace = looks((0, 0.0), (100, 0.25))
    assert Pace(**pace.to_json()) == pace


def error(kind, **fields):
    return kind("no", vendor="v", endpoint="GET /jobs/{id}", **fields)


def test_a_failed_look_backs_off_up_to_the_poll_interval():
    gaps = [next_try(failures, error(VideoApiUnavailableError)) for failures in range(1, 9)]
    assert [gap - gaps[0] for gap in gaps] == [0, 10, 30, 70, 110, 110, 110, 110]


def test_retry_after_is_obeyed_even_beyond_the_poll_interval():
    gaps = [next_try(1, error(VideoApiQuotaError, retry_after=900.0), poll_interval=60, seed=seed) for seed in SEEDS]
    assert min(gaps) >= 900
    assert max(gaps) <= 910
    assert len(set(gaps)) > 150


def test_a_short_retry_after_does_not_shorten_the_backoff():
    gaps = [next_try(failures, error(VideoApiQuotaError, retry_after=1.0)) for failures in range(1, 9)]
    assert gaps == [next_try(failures, error(VideoApiUnavailableError)) for failures in range(1, 9)]


def test_only_faults_of_the_moment_are_waited_out_at_the_first_look():
    assert may_pass(error(VideoApiUnavailableError))
    assert may_pass(error(VideoApiQuotaError))
    assert not may_pass(error(VideoApiNotFoundError))
    assert not may_pass(error(VideoApiPermissionError))
    assert (weight(error(VideoApiUnavailableError)), weight(error(VideoApiNotFoundError))) == (1, 3)


def test_a_look_is_worth_a_line_when_something_moved():
    assert moved(job(0.11)) == moved(job(0.19))
    assert moved(job(0.19)) != moved(job(0.20))
    assert moved(job(0.19)) != moved(job(0.19, stage="encoding"))
    assert moved(job(0.19)) != moved(job(0.19, state=JobState.QUEUED))


def test_the_line_says_how_long_and_when():
    last, pace = looks((0, 0.0), (100, 0.25))
    assert describe_wait(last, pace) == "v job 1: running, 25%; waited 100 s, expected to end in about 300 s"


def test_only_success_is_returned():
    good = job(state=JobState.SUCCEEDED)
    assert raise_unless_succeeded(good) is good
    with pytest.raises(VideoJobCancelledError):
        raise_unless_succeeded(job(state=JobState.CANCELLED))
    with pytest.raises(VideoJobFailedError, match=r"\[7\] no codec") as caught:
        raise_unless_succeeded(job(state=JobState.FAILED, error=JobError(code="7", message="no codec")))
    assert caught.value.job.state is JobState.FAILED
