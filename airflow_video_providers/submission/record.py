# SPDX-License-Identifier: Apache-2.0
"""
What a task remembers of the render that it bought: one record in the task state store, and what it is compared with.

The record survives retries and crashes of the worker. Clear and retry are told apart by the task instance itself, since
Airflow keeps the record on both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_video_providers.exceptions import SubmissionError, VideoConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context

RECORD_KEY = "video_submission"
"""The name of the record in the task state store."""
RECORD_RETENTION = timedelta(days=30)
"""How long Airflow keeps the record after its last change, whatever ``[state_store] default_retention_days`` says."""


@dataclass(frozen=True)
class TaskTry:
    """
    Where a try of a task stands, told by the task instance itself.

    :param max_tries: Airflow sets it to ``try_number + retries`` on a clear, and leaves it on a retry.
    :param retries: as the DAG has it now.
    :param run_started_at: when the DAG run began (aware): tells a run from a deleted one with the same ``run_id``.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    max_tries: int
    retries: int
    run_started_at: datetime | None = None

    @classmethod
    def of(cls, context: Context) -> TaskTry:
        """Read it from the context of the running task."""
        ti = context["ti"]
        return cls(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            try_number=ti.try_number,
            max_tries=ti.max_tries,
            retries=context["task"].retries or 0,
            run_started_at=context["dag_run"].start_date,
        )

    @property
    def first_try(self) -> int:
        """The first try since the last clear."""
        return max(1, self.max_tries - self.retries + 1)

    @property
    def is_last(self) -> bool:
        """Whether Airflow will not try again by itself."""
        return self.try_number > self.max_tries

    def ends_the_task(self, error: BaseException, context: Context) -> bool:
        """Tell whether no try follows one that fails with ``error``: none is left, or the task's policy wants none."""
        from airflow.sdk.definitions.retry_policy import RetryAction

        if self.is_last:
            return True
        policy = context["task"].retry_policy
        if policy is None:
            return False
        try:
            decision = policy.evaluate(error, self.try_number, self.max_tries, context)
        except Exception:  # Airflow, too, goes on without a policy that fails, and tells of it
            return False
        return bool(decision.action is RetryAction.FAIL)

    def cleared_since(self, *, last_try: int, max_tries: int) -> bool:
        """
        Tell whether the task was cleared after try ``last_try``, which saw ``max_tries``: a clear moves ``max_tries``.

        It stays where it was only if the DAG's ``retries`` were lowered, just before the clear, by exactly the number
        of tries used. Such a clear is taken for a retry, since a retry with lowered ``retries`` looks the same and must
        not submit a second render; a second clear works.

        A clear of a running task whose worker is dead does not move it either: Airflow just tries once more. It shows
        where there was no retry left. Where there was one, the clear is taken for that retry.

        :param last_try: the number of the last try that wrote what is compared.
        :param max_tries: the task instance's ``max_tries`` as that try saw it.
        """
        if self.max_tries != max_tries:
            return True
        return last_try < self.try_number and self.max_tries + 1 < self.try_number


class SubmissionRecord(BaseModel):
    """
    What is known about the render that a task bought, or may have bought.

    :param state: ``intended``: a request may have been sent. ``submitted``: the vendor named the job. ``refused``: the
        vendor refused it, or it provably never arrived.
    :param generation: the first try that this render belongs to; a clear begins a new one.
    :param intended_at: when the request was about to be sent (aware, UTC).
    :param last_try: the last try that saw the record, with ``max_tries`` as it saw it.
    """

    model_config = ConfigDict(frozen=True)

    state: Literal["intended", "submitted", "refused"]
    conn_id: str
    key: str
    fingerprint: str
    generation: int
    job_id: str | None = None
    intended_at: datetime
    last_try: int
    max_tries: int


def fingerprint_of(conn_id: str, request: Mapping[str, Any]) -> str:
    """
    Return what tells two orders apart: the connection and the rendered request.

    :raises VideoConfigurationError: the request is not plain JSON.
    """
    try:
        text = json.dumps([conn_id, request], sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise VideoConfigurationError(f"The request must be plain JSON: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def submission_key(task_try: TaskTry, generation: int, fingerprint: str, *, deployment: str = "") -> str:
    """
    Return the key that the vendor's job carries: 44 characters of ``a-z0-9-``, the same on every retry.

    The microsecond at which the run started is part of it: a run that was deleted and made again has the names of the
    one before, but must not find its jobs. Nor must a second Airflow installation that uses the account.

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
        fingerprint,
    ]
    return f"avp-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]}"


def read_record(store: Any) -> SubmissionRecord | None:
    """
    Return what the task state store knows of the task's render; None: nothing.

    :raises SubmissionError: the entry is there and cannot be read.
    """
    stored = store.get(RECORD_KEY)
    if stored is None:
        return None
    try:
        return SubmissionRecord.model_validate(stored)
    except ValidationError as error:
        raise SubmissionError(
            f"The task state {RECORD_KEY!r} cannot be read ({error.error_count()} faults), so it is not known whether "
            f"a render was bought. Look at the vendor, then delete that entry (task instance, Storage, Task State "
            f"Store) and clear the task."
        ) from None


def write_record(store: Any, record: SubmissionRecord) -> None:
    """Keep what is known, for the next try to find."""
    store.set(RECORD_KEY, record.model_dump(mode="json"), retention=RECORD_RETENTION)
