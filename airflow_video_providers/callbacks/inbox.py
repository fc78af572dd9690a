# SPDX-License-Identifier: Apache-2.0
"""
What the API server keeps of a callback, where triggerers and workers find it: names of Airflow Variables.

Airflow offers no other store that the API server writes, a triggerer lists and a worker reads.

| name | who makes it, and what for | until |
|---|---|---|
| ``video_callback_news/<quarter minute>/<digest>`` | the API server, for each callback: it wakes the wait | 5 minutes |
| ``video_submission_in_doubt/<key>`` | a task, before a paid request: a callback resolves it | the job id is kept |

A digest names a job (or a submission key) of a connection: listing the names tells a triggerer all that it needs.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

NEWS_PREFIX = "video_callback_news/"
DOUBT_PREFIX = "video_submission_in_doubt/"
QUARTER_MINUTE = 15.0
"""Callbacks of one job within this many seconds are one: a replayed callback costs at most one poll in this time."""
NEWS_SECONDS = 300.0
"""How long news are kept, in seconds; a triggerer that is away for longer polls."""


class News(NamedTuple):
    """A callback was received: for which job or key, and when (seconds of the epoch, to the quarter minute)."""

    digest: str
    at: float


def digest_of(conn_id: str, *, job_id: str | None = None, key: str | None = None) -> str:
    """Return what stands for a job, or for a submission key, of a connection: 40 hexadecimal digits."""
    subject = ["job", job_id] if job_id is not None else ["key", key]
    return hashlib.sha256(json.dumps([conn_id, *subject]).encode()).hexdigest()[:40]


def news_name(digest: str, now: float) -> str:
    """Return the name of the news about a job at this time."""
    return f"{NEWS_PREFIX}{int(now // QUARTER_MINUTE):012d}/{digest}"


def oldest_news(now: float) -> str:
    """Return the name below which news are outdated; names sort by time."""
    return f"{NEWS_PREFIX}{int((now - NEWS_SECONDS) // QUARTER_MINUTE):012d}/"


def read_news(name: str) -> News | None:
    """Return what a name says; None: it is none of ours."""
    quarter, _, digest = name.removeprefix(NEWS_PREFIX).partition("/")
    if not name.startswith(NEWS_PREFIX) or not quarter.isdecimal() or len(digest) != 40:
        return None
    return News(digest, int(quarter) * QUARTER_MINUTE)


def doubt_name(key: str) -> str:
    """Return the name under which the outcome of a submission is awaited."""
    return f"{DOUBT_PREFIX}{key}"
