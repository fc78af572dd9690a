# SPDX-License-Identifier: Apache-2.0
"""When the next poll is due."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_video_providers.exceptions import VideoApiQuotaError, VideoApiUnavailableError
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.waiting.schedule import (
    FIRST_INTERVAL,
    LONGEST_RETRY_AFTER,
    SHORTEST_INTERVAL,
    Pace,
    next_poll,
    pause_after_failure,
)

SEEDS = [f"dag/run/wait/{index}" for index in range(200)]


def job(progress=None, state=JobState.RUNNING, **fields):
    return VideoJob(vendor="v", job_id="1", state=state, vendor_status=state.value, progress=progress, **fields)


def polls(*seen, start=1000.0):
    """Return the last job and the pace after polls given as (seconds, progress)."""
    pace = None
    for seconds, progress in seen:
        last = job(progress)
        pace = pace.observe(last, start + seconds) if pace else Pace.begin(last, start + seconds)
    return last, pace


def test_a_job_with_progress_is_polled_early_then_later():
    gaps = [next_poll(*polls((0, 0.0), (age, 0.0)), seed="x") for age in (0, 30, 60, 600)]
    assert gaps == sorted(gaps)
    assert gaps[0] <= 1.1 * FIRST_INTERVAL
    assert gaps[-1] <= 60 * 1.1


def test_a_silent_vendor_is_polled_the_more_seldom_the_longer_the_render_takes():
    gaps = [{next_poll(*polls((0, None), (age, None)), seed=seed) for seed in SEEDS} for age in (60, 600, 6000)]
    assert gaps == [{33.0}, {60.0}, {120.0}]
    assert next_poll(*polls((0, None), (600, None)), poll_interval=300) == 105
    first = [next_poll(*polls((0, None)), seed=seed) for seed in SEEDS]
    assert 15 <= min(first) < 20
    assert 40 < max(first) <= 45


@pytest.mark.parametrize("progress", [None, 0.0])
def test_a_render_of_a_list_is_polled_when_the_others_had_ended_then_soon_again(progress):
    gaps = [
        next_poll(*polls((0, progress), *[(age, progress)] * (age > 0)), seed="x", usual=50.0)
        for age in (0, 50, 60, 120, 600, 6000)
    ]
    assert gaps[0] == 50
    assert gaps[1:3] == [SHORTEST_INTERVAL] * 2
    assert gaps == [50, *sorted(gaps[1:])]
    assert gaps[-1] <= 120
    moving = polls((0, 0.0), (10, 0.1), (20, 0.2))  # its own progress tells more
    assert next_poll(*moving, seed="x", usual=50.0) == next_poll(*moving, seed="x")


def test_speed_tells_the_expected_end():
    _, pace = polls((0, 0.0), (100, 0.25), (200, 0.5))
    assert pace.expected_end() == (1000 + 200, 1000 + 400)
    _, pace = polls((0, 0.0), (100, 0.25), (200, 0.5), (240, 0.5))
    assert pace.expected_end() == (1000 + 200, 1000 + 400)


def test_the_time_in_the_queue_is_not_taken_for_work():
    _, pace = polls((0, 0.0), (500, 0.0), (550, 0.5))
    assert pace.expected_end() == (1500, 1600)


def test_a_render_begun_anew_is_timed_anew():
    _, pace = polls((0, 0.0), (100, 0.5), (200, 0.0), (300, 0.5))
    assert pace.expected_end() == (1200, 1400)


def test_a_job_first_seen_at_work_is_timed_from_its_creation():
    created = datetime.fromtimestamp(900, timezone.utc)
    pace = Pace.begin(job(0.5, created_at=created), 1000.0)
    assert pace.expected_end() == (900, 1100)
    assert Pace.begin(job(0.5), 1000.0).expected_end() is None


def test_the_polls_skip_the_middle_and_crowd_at_the_end():
    far = next_poll(*polls((0, 0.0), (110, 0.01), (120, 0.02)), seed="x")
    near = next_poll(*polls((0, 0.0), (930, 0.95), (940, 0.96)), seed="x")
    assert far > 100
    assert near <= 30


def test_a_job_that_stands_still_beyond_its_expected_end_is_polled_less_and_less():
    gaps = [next_poll(*polls((0, 0.0), (90, 0.9), (100, 0.95), (age, 0.95)), seed="x") for age in (110, 300, 600, 9999)]
    assert gaps == sorted(gaps)
    assert 108 <= gaps[-1] <= 120


@pytest.mark.parametrize("poll_interval", [0.5, 5, 60, 120, 600])
def test_the_bounds_hold(poll_interval):
    seen = [((0, None),), ((0, 0.0),), ((0, 0.0), (10, 0.99)), ((0, 0.0), (10, 0.01))]
    seen.append(((0, 0.0), (1, 0.5), (9999, 0.5)))
    for polled in seen:
        for seed in SEEDS[:20]:
            gap = next_poll(*polls(*polled), poll_interval=poll_interval, seed=seed)
            assert min(SHORTEST_INTERVAL, poll_interval) <= gap <= poll_interval


def test_mapped_tasks_are_spread_each_always_the_same():
    for seen in (((0, None),), ((0, 0.0),), ((0, 0.0), (100, 0.1)), ((0, 0.0), (600, 0.01))):
        gaps = [next_poll(*polls(*seen), seed=seed) for seed in SEEDS]
        assert len(set(gaps)) > 150
        assert gaps == [next_poll(*polls(*seen), seed=seed) for seed in SEEDS]


def test_the_pace_survives_as_plain_json():
    _, pace = polls((0, 0.0), (100, 0.25))
    assert Pace(**pace.to_json()) == pace


def error(kind, **fields):
    return kind("no", vendor="v", endpoint="GET /jobs/{id}", **fields)


def test_a_failed_poll_backs_off_up_to_the_poll_interval():
    gaps = [pause_after_failure(failures, error(VideoApiUnavailableError)) for failures in range(1, 9)]
    assert [gap - gaps[0] for gap in gaps] == [0, 10, 30, 70, 110, 110, 110, 110]


@pytest.mark.parametrize("asked", [LONGEST_RETRY_AFTER, 3 * 86400.0])
def test_retry_after_is_obeyed_beyond_the_poll_interval_but_not_for_days(asked):
    slow = error(VideoApiQuotaError, retry_after=asked)
    gaps = [pause_after_failure(1, slow, poll_interval=60, seed=seed) for seed in SEEDS]
    assert min(gaps) >= LONGEST_RETRY_AFTER
    assert max(gaps) <= LONGEST_RETRY_AFTER + 10
    assert len(set(gaps)) > 150


@pytest.mark.parametrize("asked", [0.0, 1.0])
def test_a_short_retry_after_does_not_shorten_the_backoff(asked):
    gaps = [pause_after_failure(failures, error(VideoApiQuotaError, retry_after=asked)) for failures in range(1, 9)]
    assert gaps == [pause_after_failure(failures, error(VideoApiUnavailableError)) for failures in range(1, 9)]
