# SPDX-License-Identifier: Apache-2.0
"""
What a task remembers of the render that it submitted: one record in the task state store, and what it is compared with.

The record survives retries, clears and crashes of the worker.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from airflow_video_providers.exceptions import SubmissionError, SubmissionSupersededError, VideoConfigurationError
from airflow_video_providers.submission.task_try import TaskTry, is_store_away, is_superseded

log = logging.getLogger(__name__)

RECORD_KEY = "video_submission"
"""The name of the record in the task state store."""
RECORD_RETENTION = timedelta(days=30)
"""How long Airflow keeps the record after its last change, whatever ``[state_store] default_retention_days`` says."""
MOST_SEARCH_TERMS = 8192
"""Most characters of search terms that are kept in a record."""
_PROBE_KEY = "video_submission_probe"
_STORE_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class SubmissionRecord:
    """
    What is known about the render that a task submitted, or may have submitted.

    :param state: ``intended``: a request may have been sent. ``submitted``: the vendor named the job. ``refused``: the
        vendor refused it, or it provably never arrived.
    :param generation: the first try that this render belongs to; a clear begins a new one.
    :param purchase: counts the renders of a generation: it goes up after one that was refused, failed or is gone.
    :param replay_seconds: for how long from ``intended_at`` the vendor replays its response; None: it does not.
    :param search: what :meth:`VideoHook.search_terms` kept of the request, until the job is known; None:
        nothing, or it was too long.
    :param intended_at: when the request was about to be sent (aware, UTC); of several sends whose outcome is unknown,
        the first.
    :param sent_at: when the last of several sends was about to be made (aware, UTC); None: there was one.
    :param bought: a callback has told that the vendor made a job; it did not say which.
    :param last_try: the last try that saw the record, with ``max_tries`` as it saw it.
    """

    state: Literal["intended", "submitted", "refused"]
    conn_id: str
    key: str
    fingerprint: str
    generation: int
    intended_at: datetime
    last_try: int
    max_tries: int
    purchase: int = 1
    replay_seconds: float | None = None
    search: dict[str, Any] | None = None
    job_id: str | None = None
    bought: bool = False
    sent_at: datetime | None = None

    def shown_by(self, find_wait: float) -> datetime:
        """Return until when the vendor may not show the job: for ``find_wait`` seconds after the last send."""
        return (self.sent_at or self.intended_at) + timedelta(seconds=find_wait)

    def updated(self, **changes: Any) -> SubmissionRecord:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def submitted(self, job_id: str, **changes: Any) -> SubmissionRecord:
        """Return the record of a job whose id is known: what a search for it would need is not kept any longer."""
        return replace(self, state="submitted", job_id=job_id, search=None, **changes)


_RECORD = TypeAdapter(SubmissionRecord)


def fingerprint_of(conn_id: str, request: Mapping[str, Any]) -> str:
    """
    Return what tells two orders apart: the connection and the rendered request.

    :raises VideoConfigurationError: the request is not plain JSON.
    """
    try:
        text = json.dumps([conn_id, request], sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise VideoConfigurationError(f"The request must be plain JSON: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def bounded_terms(terms: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a hook keeps of a request for its search; None where it is too long to be kept."""
    return terms if len(json.dumps(terms)) <= MOST_SEARCH_TERMS else None


def submission_key(
    task_try: TaskTry, generation: int, fingerprint: str, *, purchase: int = 1, deployment: str = ""
) -> str:
    """
    Return the key that the vendor's job carries: 44 characters of ``a-z0-9-``, the same on every retry of one purchase.

    The microsecond at which the run started is part of it: a run that was deleted and made again has the names of the
    one before, but must not find its jobs. Nor must a second Airflow installation that uses the account.

    :param purchase: as in the record. A server that replays keys would bring a failed job back for ever.
    :param deployment: tells apart two installations further, whose runs might start together.
    """
    started = task_try.run_started_at
    parts = [
        deployment,
        task_try.dag_id,
        task_try.run_id,
        None if started is None else started.astimezone(timezone.utc).isoformat(timespec="microseconds"),
        task_try.task_id,
        task_try.map_index,
        generation,
        purchase,
        fingerprint,
    ]
    return f"avp-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]}"


def write_entry(store: Any, key: str, value: Any, *, retention: timedelta, patience: float = 0.0) -> None:
    """
    Write an entry of the task state store.

    :param patience: seconds for which an API server that is away is asked again, beyond the half minute for which
        Airflow's own client asks it; default: not at all.
    :raises SubmissionSupersededError: Airflow has replaced this try by another one.
    :raises AirflowRuntimeError: the API server is away, or refuses.
    """
    give_up_at = time.monotonic() + patience
    while True:
        try:
            store.set(key, value, retention=retention)
        except Exception as error:
            if is_superseded(error):
                raise SubmissionSupersededError(
                    "Airflow has replaced this try of the task: it was cleared, or retried after its worker was "
                    "taken for dead. This try stops and sends nothing more."
                ) from error
            if not is_store_away(error) or time.monotonic() >= give_up_at:
                raise
            log.warning("The submission cannot be recorded yet, trying again in %.0f s: %s", _STORE_PAUSE, error)
        else:
            return
        time.sleep(_STORE_PAUSE)


class RecordStore(Protocol):
    """Keeps the submission record of one render: of a task, or of an item of a bulk task."""

    @property
    def record(self) -> SubmissionRecord | None:
        """The record as it was last read or written."""

    def write(self, record: SubmissionRecord, *, patience: float = 0.0) -> None:
        """Keep the record; raise ``SubmissionSupersededError`` for a try that Airflow has replaced."""


class SubmissionStore:
    """
    The record of one task in Airflow's task state store.

    :param store: ``context["task_state_store"]``.
    :ivar record: as it was last read or written; None: there is none, or it was not read yet.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.record: SubmissionRecord | None = None

    def read(self) -> SubmissionRecord | None:
        """
        Return the record; None: there is none. A try that Airflow has replaced always gets None.

        :raises SubmissionError: the entry is there and cannot be read.
        """
        stored = self._store.get(RECORD_KEY)
        try:
            self.record = None if stored is None else _RECORD.validate_python(stored)
        except ValidationError as error:
            raise SubmissionError(
                f"The task state {RECORD_KEY!r} cannot be read ({error.error_count()} faults), so it is not known "
                "whether a render was submitted. Check the vendor's app, then delete that entry (task instance, "
                "Storage, Task State Store) and clear the task."
            ) from None
        return self.record

    def write(self, record: SubmissionRecord, *, patience: float = 0.0) -> None:
        """
        Keep the record for the next try to find.

        :param patience: seconds for which an API server that is away is asked again, beyond the half minute for which
            Airflow's own client asks it; default: not at all.
        :raises SubmissionSupersededError: Airflow has replaced this try by another one.
        :raises AirflowRuntimeError: the API server is away, or refuses.
        """
        write_entry(
            self._store,
            RECORD_KEY,
            _RECORD.dump_python(record, mode="json"),
            retention=RECORD_RETENTION,
            patience=patience,
        )
        self.record = record

    def is_current(self) -> bool:
        """
        Tell whether this try is still the task's current one.

        :raises AirflowRuntimeError: the API server is away, or refuses.
        """
        try:
            self._store.delete(_PROBE_KEY)  # nothing is there; the response tells whether the try may access its state
        except Exception as error:
            if is_superseded(error):
                return False
            raise
        return True
