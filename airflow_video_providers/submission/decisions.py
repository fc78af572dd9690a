# SPDX-License-Identifier: Apache-2.0
"""
What a user is told, and has decided, about submissions whose outcome cannot be known.

The Airflow Variable ``video_submission_decisions`` holds a JSON object. It maps the submission key that an
``AmbiguousSubmissionError`` names to the id of the job that belongs to it, or to ``none`` where no job was made. One
Variable serves any number of tasks. It is read only where an outcome is unknown.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import timedelta

from airflow_video_providers.callbacks.doubts import read_doubt
from airflow_video_providers.exceptions import AmbiguousSubmissionError, VideoConfigurationError
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.submission.record import SubmissionRecord

log = logging.getLogger(__name__)

VARIABLE = "video_submission_decisions"
"""The name of the Airflow Variable."""
NO_JOB = "none"
"""The decision that no job was made."""
GUIDE = "'When the user decides' in docs/submission.md"
"""Where the documentation says how the user decides."""


def read_decision(key: str) -> str | None:
    """
    Return what the user decided about the submission with this key: a job id, :data:`NO_JOB`; None: nothing yet.

    :raises VideoConfigurationError: the Variable is no JSON object of keys and texts.
    """
    from airflow.sdk import Variable

    try:
        text = Variable.get(VARIABLE, default=None)
    except Exception as error:  # no answer from Airflow is no decision
        log.warning("The Variable %s cannot be read: %s", VARIABLE, error)
        return None
    if text is None:
        return None
    try:
        decisions = json.loads(text)
    except ValueError:
        decisions = None
    decided = decisions.get(key) if isinstance(decisions, Mapping) else ""
    if decided is not None and (not isinstance(decided, str) or not decided.strip()):
        raise VideoConfigurationError(
            f"The Airflow Variable {VARIABLE!r} must be a JSON object that maps submission keys to job ids or "
            f"{NO_JOB!r}, e.g. {json.dumps({key: 'the id of the job'})}."
        )
    return None if decided is None else decided.strip()


def ambiguous_submission(hook: VideoHook, record: SubmissionRecord) -> AmbiguousSubmissionError:
    """Return the error that asks the user: what to check, and how each decision is given."""
    awaits_callback = not record.bought and read_doubt(record.key) is not None
    callback = ["A callback of the vendor may still name the job: a retry after it adopts that job."]
    error = _ambiguous(hook, record, callback if awaits_callback else [])
    error.awaits_callback = awaits_callback
    return error


def bought_submission(hook: VideoHook, record: SubmissionRecord) -> AmbiguousSubmissionError:
    """Return the error for a render that was made, as the vendor's callback told, and whose id is not known."""
    return AmbiguousSubmissionError(
        f"A render was submitted to {hook.hook_name}: its callback says so, but not under which id. See {GUIDE}",
        advice=[
            f"Connection {record.conn_id!r}; sent at {record.intended_at.isoformat(timespec='seconds')}.",
            "Nothing more is submitted by a retry, also with on_ambiguous.",
            "Find the video of that time in the vendor's app.",
            f"Add its id to the Airflow Variable {VARIABLE!r}, then clear this task:",
            json.dumps({record.key: "<job id>"}),
        ],
    )


def _ambiguous(hook: VideoHook, record: SubmissionRecord, more: list[str]) -> AmbiguousSubmissionError:
    blind = hook.key_support is KeySupport.NONE
    sight = "The vendor offers no way to search for it" if blind else "The vendor shows no match, which is no proof"
    return AmbiguousSubmissionError(
        f"A render may have been submitted to {hook.hook_name}, and its outcome is unknown: see {GUIDE}",
        advice=[
            f"Connection {record.conn_id!r}; sent at {record.intended_at.isoformat(timespec='seconds')}.",
            f"{sight}; nothing more is submitted until you decide.",
            *more,
            "Check the vendor's app for a video created at that time.",
            "If there is none: clear this task, it submits anew.",
            f"If there is one: add its id to the Airflow Variable {VARIABLE!r}, then clear this task:",
            json.dumps({record.key: "<job id>"}),
            'on_ambiguous="resubmit" lets retries submit without asking, at the risk of paying twice.',
        ],
    )


def unknown_decision(hook: VideoHook, record: SubmissionRecord) -> VideoConfigurationError:
    """Return the error for a decision that names a job which the vendor does not know."""
    return VideoConfigurationError(
        f"The Airflow Variable {VARIABLE!r} names job {record.job_id}, which {hook.hook_name} does not know",
        advice=[
            f"The key is {record.key}, the connection {record.conn_id!r}. Nothing was submitted.",
            f"Correct the id in the Variable, or write {NO_JOB!r} there if no job was made; then clear this task.",
        ],
    )


def describe_prospect(hook: VideoHook, record: SubmissionRecord) -> str:
    """Return the sentences that say what the next try makes of a job whose id is not recorded, and how a user helps."""
    if record.replay_seconds is not None:
        until = (record.intended_at + timedelta(seconds=record.replay_seconds)).isoformat(timespec="seconds")
        prospect = f"Until {until} the next try gets it back by its key."
    elif hook.key_support is KeySupport.EXACT:
        prospect = "The next try finds it by its key, unless it has searched already."
    elif hook.key_support is KeySupport.BEST_EFFORT:
        prospect = "The next try searches for it; if it finds no match, it asks the user."
    else:
        prospect = "The next try cannot find it and asks the user."
    decision = json.dumps({record.key: record.job_id})
    return f"{prospect} To have it adopted for sure, set the Airflow Variable {VARIABLE!r} to {decision}."
