# SPDX-License-Identifier: Apache-2.0
"""What ``make chaos`` does to a task: shared by the DAG file, which strikes, and the runner, which judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

VENDORS = ("colossyan", "hourone", "oxolo", "xvid")
EXACT = ("hourone", "xvid")
WAYS: dict[str, dict[str, Any]] = {
    "no wait": {},
    "worker": {"wait_for_completion": True, "deferrable": False},
    "deferred": {"wait_for_completion": True, "deferrable": True},
}


@dataclass(frozen=True)
class Case:
    """
    One way to disturb a task.

    :param ways: how the task waits; the repetitions of a case take turns.
    :param strike: the point at which the first try kills its worker with SIGKILL.
    :param fault: what the simulator does to the request that creates the job.
    :param action: what the runner does to the task once its job runs.
    :param arguments: of the operator.
    :param renders: how many renders the vendors that are found again surely have created at the end.
    :param doubtful: whether the outcome cannot be known where a vendor offers no sure way to look.
    :param ends: the state of the task at the end, where nothing is doubtful.
    :param cancelled: how many of the renders were cancelled, where the vendor can cancel.
    :param times: repetitions with each vendor; None: as the runner was told.
    """

    name: str
    ways: tuple[str, ...]
    strike: str | None = None
    fault: dict[str, Any] | None = None
    action: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    renders: int = 1
    doubtful: bool = False
    ends: str = "success"
    cancelled: int = 0
    times: int | None = None

    @property
    def dag_id(self) -> str:
        """The DAG that holds the tasks of this case."""
        return "chaos_" + self.name.replace(" ", "_").replace(",", "")


ALL = tuple(WAYS)
STRIKES = [
    Case("killed before the POST", ALL, strike="intended", doubtful=True),
    Case("killed before the answer is read", ALL, strike="accepted", doubtful=True),
    Case("killed before the id is kept", ALL, strike="answered", doubtful=True),
    Case("killed after the id is kept", ALL, strike="kept"),
    Case("killed while waiting", ("worker",), strike="waiting"),
    Case("killed while deferring", ("deferred",), strike="deferring"),
    Case("killed after success", ("worker",), strike="succeeded"),
]
FAULTS = [
    Case("answer lost", ALL, fault={"lose_answer": True}, doubtful=True),
    Case("answered 502 after the job was made", ALL, fault={"answer_status_after_effect": 502}, doubtful=True),
    Case("answer lost, list lags", ALL, fault={"lose_answer": True}, doubtful=True),
]
TRIGGERER = [Case("triggerer killed", ("deferred",), action="kill triggerer")]
ACTIONS = [
    Case("worker evicted", ("worker",), action="evict"),
    Case("cleared while running", ("worker",), action="clear", times=2, renders=2, cancelled=1),
    Case("cleared while deferred", ("deferred",), action="clear", times=2, renders=2, cancelled=1),
    Case("failed by hand while running", ("worker",), action="mark failed", times=2, ends="failed", cancelled=1),
    Case("failed by hand while deferred", ("deferred",), action="mark failed", times=2, ends="failed", cancelled=1),
    Case("retries changed between tries", ("worker",), action="change retries", strike="waiting", times=2),
]
LATE = [
    Case("cleared after success", ("no wait",), action="clear when done", times=2, renders=2, cancelled=1),
    Case("timeout in the worker", ("worker",), arguments={"timeout": 5}, times=2, ends="failed", cancelled=1),
    Case("timeout in the triggerer", ("deferred",), arguments={"timeout": 5}, times=2, ends="failed", cancelled=1),
]
CASES = [*STRIKES, *FAULTS, *TRIGGERER, *ACTIONS, *LATE]


def request_of(vendor: str, mark: str) -> dict[str, Any]:
    """Return a request of a vendor that carries a mark by which the runner knows it again."""
    if vendor == "colossyan":
        return {"templateJobId": "chaos", "dynamicVariables": {"name": mark}}
    if vendor == "hourone":
        return {"type": "override", "source_draft_id": "chaos", "name": mark, "scenes": [{"name": "one"}]}
    if vendor == "oxolo":
        return {"mode": "url", "url": f"https://shop.example/{mark.replace(' ', '-')}", "template_id": "chaos"}
    return {"pipeline": {"id": "chaos"}, "input": {"input_name": mark}, "outputs": [{"preset": {"id": "chaos"}}]}


def mark_of(case: Case, vendor: str, index: int) -> str:
    """Return what tells the render of one task from all others."""
    return f"{case.dag_id}-{vendor}-{index}."
