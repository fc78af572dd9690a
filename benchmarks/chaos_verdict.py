# SPDX-License-Identifier: Apache-2.0
"""Compare what the simulator sold with what the tasks of ``make chaos`` handed on: one row a case and vendor."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chaos_cases import Case, Order
from known_vendors import Vendor

HEAD = ["case", "vendor", "tasks", "tries", "created", "cancelled", "after", "undelivered", "outcome", "verdict"]
DONE = ("success", "failed", "upstream_failed")
_ERRORS = ("AmbiguousSubmissionError", "VideoJobTimeoutError")


@dataclass
class Task:
    """One task instance: what was done to it, and how it ended."""

    order: Order
    map_index: int
    state: str | None = None
    tries: int = 0
    pid: int | None = None
    acted_at: float | None = None
    stored: str | None = None
    """The state of the task that stores its video, where the case has one."""
    struck: bool = False
    """Whether the simulator has counted what proves that the case has happened."""
    doomed: list[str] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    result: str | None = None
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def case(self) -> Case:
        """What is done to it."""
        return self.order.case

    @property
    def to_do(self) -> bool:
        """Whether the harness still has to disturb it."""
        return self.acted_at is None and (self.case.action is not None or self.case.blow == "suspend")

    @property
    def to_come(self) -> bool:
        """Whether the task, or the one that stores its video, has not ended yet."""
        return self.state not in DONE or (self.case.stores and self.state == "success" and self.stored not in DONE)

    @property
    def log(self) -> str:
        """What its last try wrote."""
        return self.logs.get(f"attempt={self.tries}.log", "")

    @property
    def trigger_logs(self) -> list[str]:
        """What each triggerer wrote that ran a wait of its last try."""
        return [text for name, text in self.logs.items() if name.startswith(f"attempt={self.tries}.log.trigger.")]


def faults_of(task: Task, vendor: Vendor) -> list[str]:
    """Return what of the promises does not hold for one task."""
    return [*_not_struck(task), *_wrong_renders(task, vendor), *_wrong_end(task, vendor)]


def outcome_of(task: Task) -> str:
    """Return how a task ended: its state, or the error that its last try logged."""
    if task.state == "failed":
        return next((name for name in _ERRORS if name in task.log), "failed")
    return str(task.state)


def is_left_to_the_user(task: Task, vendor: Vendor) -> bool:
    """Tell whether nobody can know the outcome of a lost create, so that the user may have to decide."""
    return task.case.doubtful and not (vendor.sure or (task.case.callback and vendor.calls_back))


def _not_struck(task: Task) -> list[str]:
    """Return what the harness failed to do, since a case that did not happen proves nothing."""
    case = task.case
    if task.to_do:
        return ["never disturbed"]
    if case.strike and case.blow == "kill" and task.tries < 2:
        return ["never killed"]
    if case.action == "kill scheduler" and task.tries < 2:
        return ["never tried once more"]
    if case.proof and not task.struck:
        return [f"too few {case.proof[0]}"]
    if case.action == "suspend triggerers" and len(task.trigger_logs) < 2:
        return ["never taken over by the other triggerer"]
    return []


def _wrong_renders(task: Task, vendor: Vendor) -> list[str]:
    case, made = task.case, len(task.jobs)
    if is_left_to_the_user(task, vendor):
        return [f"{made} renders without consent"] if made > case.renders else []
    faults = [] if made == case.renders else [f"{made} renders, not {case.renders}"]
    cancelled = sum(job["state"] == "cancelled" for job in task.jobs)
    if cancelled != (case.cancelled if vendor.can_cancel else 0) and case.action != "break connection":
        faults.append(f"{cancelled} cancelled")
    return faults


def _wrong_end(task: Task, vendor: Vendor) -> list[str]:
    case = task.case
    if is_left_to_the_user(task, vendor) and outcome_of(task) == "AmbiguousSubmissionError":
        return []
    if task.state != case.ends:
        return [f"ended as {outcome_of(task)}"]
    faults = [f"stored as {task.stored}"] if case.stores and task.stored != "success" else []
    if case.tries is not None and task.tries > case.tries:
        faults.append(f"{task.tries} tries")
    if case.delivers and task.jobs:
        newest = task.jobs[-1]
        if task.result != newest["job_id"]:
            faults.append("delivered nothing" if task.result is None else "delivered another render than the newest")
        elif newest["state"] == "cancelled":
            faults.append("delivered a cancelled render")
    if case.action == "break connection" and not _is_named(task):
        faults.append("the log does not name the render that goes on")
    return faults


def _is_named(task: Task) -> bool:
    """Tell whether the render of a killed wait was cancelled, or is named in the log after the kill."""
    for job in task.jobs:
        if job["state"] == "cancelled":
            continue
        if not any(job["job_id"] in line for text in task.trigger_logs for line in _after_the_kill(text)):
            return False
    return True


def _after_the_kill(log: str) -> Iterable[str]:
    """Return the messages of a trigger after Airflow has called ``on_kill``."""
    killed = False
    for line in log.splitlines():
        if killed:
            yield str(json.loads(line).get("event", ""))
        killed = killed or "on_kill" in line


def row_of(tasks: list[Task], vendor: Vendor) -> list[str]:
    """Return the row of one case and vendor."""
    case = tasks[0].case
    made = [job for task in tasks for job in task.jobs]
    delays, undelivered = [], 0
    for task in tasks:
        for job in task.jobs:
            if job["state"] == "cancelled":
                due = task.acted_at or seconds(job["created_at"]) + case.arguments.get("timeout", 0)
                delays.append(seconds(job["cancelled_at"]) - due)
            else:
                undelivered += job["job_id"] != task.result
    outcomes = Counter(outcome_of(task) for task in tasks)
    faults = sorted({fault for task in tasks for fault in faults_of(task, vendor)})
    return [
        case.name,
        vendor.name,
        str(len(tasks)),
        "-".join(str(tries) for tries in sorted({task.tries for task in tasks})),
        str(len(made)),
        str(len(delays)),
        f"{max(delays):.0f} s" if delays else "",
        str(undelivered),
        ", ".join(f"{count} {name}" for name, count in outcomes.items()),
        "BROKEN: " + "; ".join(faults) if faults else "ok",
    ]


def rows_of(tasks: list[Task], vendors: dict[str, Vendor]) -> list[list[str]]:
    """Return one row a case and vendor, in their order."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.case.name, task.order.vendor), []).append(task)
    names = list(dict.fromkeys(task.case.name for task in tasks))
    order = [(case, vendor) for case in names for vendor in vendors]
    return [row_of(groups[key], vendors[key[1]]) for key in order if key in groups]


def print_table(rows: list[list[str]], head: list[str] = HEAD) -> None:
    """Print the rows with their columns aligned."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)


def seconds(when: str | float) -> float:
    """Return a time of the simulator as seconds of the epoch."""
    return when if isinstance(when, (int, float)) else datetime.fromisoformat(when).timestamp()
