# SPDX-License-Identifier: Apache-2.0
"""
Where a try of a task stands: its place in the run, whether it was cleared since, whether Airflow still wants it.

Clear and retry are told apart by the task instance itself, since Airflow keeps the task's state on both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import Context


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
        from airflow.sdk.exceptions import AirflowFailException

        if self.is_last or isinstance(error, AirflowFailException):
            return True
        policy = context["task"].retry_policy
        if policy is None:
            return False
        try:
            decision = policy.evaluate(error, self.try_number, self.max_tries, context)
        except Exception:  # Airflow, too, goes on without a policy that fails, and tells of it
            return False
        return bool(decision.action is RetryAction.FAIL)

    def cleared_since(self, *, max_tries: int) -> bool:
        """
        Tell whether the task was cleared after a try that saw ``max_tries``: a clear moves it, a retry leaves it.

        It stays where it was only if the DAG's ``retries`` were lowered, just before the clear, by exactly the number
        of tries used. Such a clear is taken for a retry, since a retry with lowered ``retries`` looks the same and must
        not submit a second render; a second clear works.

        A clear of a running task whose worker dies before Airflow has stopped it does not move it either: Airflow just
        tries once more, with no retry left, too (a try that fails by itself waits to be stopped, see
        ``task_state.stopped_by_a_clear``). So does a scheduler that finds the task without one to own it (it was
        restarted, or was late itself), which no user has asked for. Both are taken for a retry, which submits again
        what the clear has cancelled.

        :param max_tries: the task instance's ``max_tries`` as that try saw it.
        """
        return self.max_tries != max_tries


def is_superseded(error: BaseException) -> bool:
    """
    Tell whether Airflow refused access to the task state store since the try is not the task's current one.

    It answers 404 to a try that it has replaced: the task was cleared, retried after the worker was taken for dead, or
    deleted with its run.
    """
    return _status_of(error) == 404


def is_store_away(error: BaseException) -> bool:
    """Tell whether the API server could not be reached, or failed, while the task state store was accessed."""
    from airflow.sdk.exceptions import AirflowRuntimeError

    status = _status_of(error)
    return isinstance(error, AirflowRuntimeError) and (status is None or status >= 500)


def _status_of(error: BaseException) -> int | None:
    detail = getattr(getattr(error, "error", None), "detail", None)
    status = detail.get("status_code") if isinstance(detail, Mapping) else None
    return status if isinstance(status, int) else None
