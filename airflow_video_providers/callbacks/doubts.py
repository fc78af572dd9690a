# SPDX-License-Identifier: Apache-2.0
"""
A submission in doubt: a task says before it sends that its outcome is open, and a callback names the job.

An entry is there from before the send until the job id is kept, so a render without trouble leaves none behind. One
that stays names a render whose outcome nobody knows.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timezone

from airflow_video_providers.callbacks.inbox import doubt_name

log = logging.getLogger(__name__)

_ABOUT = "A paid request whose outcome is not known yet; removed as soon as it is."


@dataclass(frozen=True)
class Doubt:
    """
    What is known of a submission in doubt.

    :param is_answered: a callback has come: the vendor made a job.
    :param job_id: the job that it named; None: it named none.
    :param candidates: ids in its links, of which one may be the job's or its video's.
    """

    is_answered: bool
    job_id: str | None
    candidates: tuple[str, ...] = ()


def open_doubt(conn_id: str, key: str) -> None:
    """
    Say that a request with this key is about to be sent.

    :raises AirflowRuntimeError: Airflow does not take the entry.
    """
    from airflow.sdk import Variable

    entry = {"conn_id": conn_id, "since": datetime.now(timezone.utc).isoformat(timespec="seconds"), "job_id": None}
    Variable.set(doubt_name(key), json.dumps(entry), description=_ABOUT)


def read_doubt(key: str) -> Doubt | None:
    """Return what callbacks say of a submission; None: it is not in doubt, or Airflow does not tell."""
    from airflow.sdk import Variable

    try:
        text = Variable.get(doubt_name(key), default=None)
        entry = None if text is None else json.loads(text)
    except Exception as error:  # no answer from Airflow is no answer of the vendor
        log.warning("The callbacks of the submission with key %s cannot be read: %s", key, error)
        return None
    if not isinstance(entry, dict):
        return None
    job_id = entry.get("job_id")
    candidates = entry.get("candidates")
    return Doubt(
        is_answered="received" in entry,
        job_id=job_id if isinstance(job_id, str) else None,
        candidates=tuple(each for each in candidates if isinstance(each, str)) if isinstance(candidates, list) else (),
    )


def close_doubt(key: str) -> None:
    """Say that the outcome is known; an entry that cannot be removed does no harm."""
    from airflow.sdk import Variable

    try:
        Variable.delete(doubt_name(key))
    except Exception as error:
        log.info("The entry of the submission with key %s was not removed: %s", key, error)
