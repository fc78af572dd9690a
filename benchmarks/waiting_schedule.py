# SPDX-License-Identifier: Apache-2.0
"""The schedule against a poll every 60 s, by simulation: requests and delay, for renders of 30 s to 2 h."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timezone
from statistics import mean, median

from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL, Pace, next_poll

FIXED = 60.0
SHORTEST, LONGEST = 30.0, 7200.0
BANDS = ((30.0, 300.0), (300.0, 1800.0), (1800.0, 7200.0))
Progress = Callable[[float], "float | None"]


def linear(share: float) -> float:
    """Return whole percents, as the vendors give them."""
    return int(share * 100) / 100


def stepwise(steps: int) -> Progress:
    """Return progress that moves in a few equal steps."""
    return lambda share: int(share * steps) / steps


def silent(share: float) -> None:
    """Return no progress, as a vendor that says nothing before the end."""


def kinds(chance: random.Random) -> dict[str, Progress]:
    """Return the forms of progress; the number of steps differs from render to render."""
    return {"linear": linear, "stepwise": stepwise(chance.choice((4, 5, 8, 10, 20))), "silent": silent}


def poll(age: float, duration: float, queued: float, progress: Progress) -> VideoJob:
    """Return what the vendor shows ``age`` seconds after the job was created."""
    done = age >= queued + duration
    share = max(0.0, (age - queued) / duration)
    state = JobState.SUCCEEDED if done else JobState.RUNNING if age >= queued else JobState.QUEUED
    return VideoJob(
        vendor="simulated",
        job_id="1",
        state=state,
        vendor_status=state.value,
        progress=1.0 if done else progress(min(share, 0.999)),
        created_at=datetime.fromtimestamp(0, timezone.utc),
    )


def adaptive(duration: float, queued: float, progress: Progress, seed: str) -> tuple[int, float]:
    """Return the number of polls, and the seconds from the end of the render to the poll that shows it."""
    now, polls = 0.0, 1
    job = poll(now, duration, queued, progress)
    pace = Pace.begin(job, now)
    while not job.state.is_terminal:
        now += next_poll(job, pace, poll_interval=DEFAULT_POLL_INTERVAL, seed=seed)
        polls += 1
        job = poll(now, duration, queued, progress)
        pace = pace.observe(job, now)
    return polls, now - queued - duration


def fixed(duration: float, queued: float) -> tuple[int, float]:
    """Return the same for a poll every 60 s."""
    polls = int((queued + duration) // FIXED) + 1
    return polls + 1, polls * FIXED - queued - duration


def simulate(renders: int, seed: int = 1) -> list[dict[str, object]]:
    """Return one row for each form of progress and band of lengths, and for all lengths."""
    chance = random.Random(seed)
    results: dict[tuple[str, tuple[float, float]], list[tuple[int, float, int, float]]] = {}
    for number in range(renders):
        duration = SHORTEST * (LONGEST / SHORTEST) ** chance.random()
        queued = chance.choice((0.0, chance.uniform(0, 60)))
        for kind, progress in kinds(chance).items():
            row = (*adaptive(duration, queued, progress, str(number)), *fixed(duration, queued))
            for band in (*BANDS, (SHORTEST, LONGEST)):
                if band[0] <= duration <= band[1]:
                    results.setdefault((kind, band), []).append(row)
    return [
        {
            "progress": kind,
            "render": f"{band[0]:.0f}-{band[1]:.0f} s",
            "renders": len(rows),
            "requests": round(mean(row[0] for row in rows), 2),
            "requests_fixed": round(mean(row[2] for row in rows), 2),
            "delay_median_s": round(median(row[1] for row in rows), 1),
            "delay_median_fixed_s": round(median(row[3] for row in rows), 1),
            "delay_max_s": round(max(row[1] for row in rows), 1),
        }
        for (kind, band), rows in sorted(results.items())
    ]


if __name__ == "__main__":
    for row in simulate(2000):
        print(row)
