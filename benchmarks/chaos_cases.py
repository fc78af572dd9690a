# SPDX-License-Identifier: Apache-2.0
"""What ``make chaos`` does to a task: shared by the DAG file, which strikes, and the harness, which judges."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from typing import Any

WAYS: dict[str, dict[str, Any]] = {
    "no wait": {},
    "worker": {"wait_for_completion": True, "deferrable": False},
    "deferred": {"wait_for_completion": True, "deferrable": True},
}
MARK = re.compile(r"chaos_\w+-[a-z0-9]+-\d+\.")
"""The mark of one task in its request, its jobs and the file of a task that stands still."""


@dataclass(frozen=True)
class Case:
    """
    One way to disturb a task.

    :param ways: how the task waits; the vendors and repetitions of a case take turns.
    :param strike: the point at which something happens to the first try.
    :param blow: what happens there: ``kill`` (the worker dies by SIGKILL), ``suspend`` (the worker stops until the next
        try has submitted) or ``hold`` (the task waits until the harness has gone on).
    :param fault: what the simulator does to requests of ``operation``, once a task where the case is not ``suspend``.
    :param operation: the simulator's name of these requests: that which creates the job, unless given.
    :param limit: requests a second beyond which the simulator refuses, in the vendor's own form.
    :param stores: whether a second task stores the video.
    :param proof: a count of the simulator, and how much of it a task causes at least where the case has happened.
    :param action: what the harness does to the task once its job runs.
    :param arguments: of the operator.
    :param changes: whether each try has another request.
    :param renders: how many renders a vendor has created at the end that is sure about a lost response.
    :param doubtful: whether the outcome cannot be known where a vendor is not sure.
    :param ends: the state of the task at the end, where nothing is doubtful.
    :param cancelled: how many of the renders were cancelled, where the vendor can cancel.
    :param tries: how many tries the task takes at most; None: as many as it needs.
    :param callback: only vendors take part of which nothing but their callback tells what became of a lost response.
    :param retry_seconds: the pause before a retry: long enough for a callback to come.
    :param most: how many repetitions with each vendor are enough.
    """

    name: str
    ways: tuple[str, ...]
    strike: str | None = None
    blow: str = "kill"
    fault: dict[str, Any] | None = None
    operation: str = "create"
    limit: float | None = None
    stores: bool = False
    proof: tuple[str, float] | None = None
    action: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    changes: bool = False
    renders: int = 1
    doubtful: bool = False
    ends: str = "success"
    cancelled: int = 0
    tries: int | None = None
    callback: bool = False
    retry_seconds: float = 1
    most: int = 100

    @property
    def dag_id(self) -> str:
        """The DAG that holds the tasks of this case."""
        return "chaos_" + re.sub(r"\W+", "_", self.name)

    @property
    def delivers(self) -> bool:
        """Whether a task that succeeds hands a job id on; one that a user marks as success does not."""
        return self.ends == "success" and self.action != "mark success"


@dataclass(frozen=True)
class Order:
    """One mapped task of a case: its vendor, repetition and way of waiting."""

    case: Case
    vendor: str
    index: int
    way: str

    @property
    def task_id(self) -> str:
        """The task that this order is mapped over."""
        return self.way.replace(" ", "_")

    @property
    def mark(self) -> str:
        """What tells the render of this task from all others."""
        return f"{self.case.dag_id}-{self.vendor}-{self.index}."

    @property
    def content(self) -> str:
        """What the request carries: the mark, and the number of the try where requests change."""
        return self.mark + ("try-{{ ti.try_number }}" if self.case.changes else "")

    @property
    def conn_id(self) -> str:
        """The connection; one that breaks belongs to this task alone."""
        own = self.case.action == "break connection"
        return f"{self.vendor}_chaos_{self.index}" if own else f"{self.vendor}_default"


def orders_of(case: Case, vendors: list[str], times: int) -> list[Order]:
    """Return the mapped tasks of a case, in the order in which the DAG file maps them."""
    pairs = product(range(len(vendors)), range(min(times, case.most)))
    return [Order(case, vendors[at], index, case.ways[(at + index) % len(case.ways)]) for at, index in pairs]


ALL = tuple(WAYS)
STRIKES = [
    Case("killed before the POST", ALL, strike="intended", doubtful=True),
    Case("killed before the response is read", ALL, strike="accepted", doubtful=True),
    Case("killed before the id is kept", ALL, strike="answered", doubtful=True),
    Case("killed after the id is kept", ALL, strike="kept"),
    Case("killed while waiting", ("worker",), strike="waiting"),
    Case("killed while deferring", ("deferred",), strike="deferring"),
    Case("killed after success", ("worker",), strike="succeeded"),
    Case("request changed after the POST", ALL, strike="answered", changes=True, doubtful=True, renders=2, cancelled=1),
]
ACTIONS = [
    Case("worker evicted", ("worker",), action="evict"),
    Case("cleared while running", ("worker",), action="clear", renders=2, cancelled=1),
    Case("cleared while deferred", ("deferred",), action="clear", renders=2, cancelled=1),
    Case("cleared after success", ("no wait",), action="clear when done", renders=2, cancelled=1, most=2),
    Case("failed by hand while running", ("worker",), action="mark failed", ends="failed", cancelled=1, most=2),
    Case("failed by hand while deferred", ("deferred",), action="mark failed", ends="failed", cancelled=1, most=2),
    Case("succeeded by hand while deferred", ("deferred",), action="mark success", cancelled=1, most=2),
    Case("retries changed between tries", ("worker",), action="change retries", strike="waiting", most=2),
    Case("timeout in the worker", ("worker",), arguments={"timeout": 5}, ends="failed", cancelled=1, most=2),
    Case("timeout in the triggerer", ("deferred",), arguments={"timeout": 5}, ends="failed", cancelled=1, most=2),
    Case("connection deleted while deferred", ("deferred",), action="break connection", ends="failed", most=2),
]
FAULTS = [
    Case("response lost", ALL, fault={"lose_answer": True}, doubtful=True),
    Case("answered 502 after the job was made", ALL, fault={"answer_status_after_effect": 502}, doubtful=True),
    Case("response lost, list lags", ALL, fault={"lose_answer": True}, doubtful=True),
    Case(
        "response lost, the vendor calls back",
        ALL,
        fault={"lose_answer": True},
        doubtful=True,
        arguments={"callback": True},
        callback=True,
        retry_seconds=30,
    ),
]
# A submission alone is one request, which no limit refuses.
LIMITS = [Case("rate limit", ("worker", "deferred"), limit=0.05, proof=("limited", 1))]
FAILURES = [Case("render failed", ("worker", "deferred"), action="fail render", renders=2)]
LINKS = [
    Case(
        "link expired",
        ("worker",),
        fault={"expired_link": True},
        operation="download",
        stores=True,
        proof=("downloads", 2),
    )
]
SUSPENDED = [
    Case(
        f"suspended in the pause after a {status}",
        ALL,
        strike="pausing",
        blow="suspend",
        fault={"status": status, "retry_after": 8},
        most=2,
    )
    for status in (429, 503)
]
TRIGGERERS = [
    Case("triggerers killed", ("deferred",), action="kill triggerers", tries=1),
    Case("triggerer heartbeat late", ("deferred",), action="suspend triggerers", tries=1),
]
AWAY = [
    Case("API server hangs after the response", ALL, strike="accepted", blow="hold", action="suspend API", most=2),
    Case("API server restarted after the response", ALL, strike="accepted", blow="hold", action="restart API", most=2),
]

# Airflow gives a task one more try when it finds that no scheduler owns it, also where it has no retry left.
SCHEDULERS = [Case("scheduler killed", ("worker",), action="kill scheduler", arguments={"retries": 0}, most=1)]

PHASES: list[list[Case]] = [
    [Case("undisturbed", ALL, most=1)],
    [*STRIKES, *ACTIONS, *FAILURES],
    *([case] for case in [*FAULTS, *LIMITS, *LINKS, *SUSPENDED, *TRIGGERERS, *AWAY, *SCHEDULERS]),
]
"""The cases that run at the same time: first an easy one, while all parts warm up; what disturbs others runs alone."""
CASES = [case for phase in PHASES for case in phase]
