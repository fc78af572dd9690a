# SPDX-License-Identifier: Apache-2.0
"""
``make chaos``: kill workers and the triggerer of a real Airflow at every point of a task's life, and count the renders.

A scheduler with the LocalExecutor, an API server, a DAG processor and a triggerer run on the simulator. Each case of
``chaos_cases`` is a DAG with one mapped task a vendor and repetition. At the end there is one line a case and vendor:
tries, renders created, cancelled, paid and not delivered, outcome; and the exit code is 0 if every promise held.

``python benchmarks/chaos.py [--times N] [--only PART-OF-A-NAME] [--keep]``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from chaos_cases import ACTIONS, EXACT, FAULTS, LATE, STRIKES, TRIGGERER, VENDORS, Case, mark_of
from live_airflow import Airflow, make_airflow

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.support.simulator import Simulator  # noqa: E402  # the one that the tests use

DONE = ("success", "failed")
LONGEST = 900
"""Seconds that a phase may take."""


@dataclass
class Task:
    """One task instance: what was done to it, and how it ended."""

    case: Case
    vendor: str
    index: int
    task_id: str
    map_index: int
    state: str | None = None
    tries: int = 0
    pid: int | None = None
    acted_at: float | None = None
    outcome: str = ""

    @property
    def mark(self) -> str:
        """What its request carries."""
        return mark_of(self.case, self.vendor, self.index)


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"[chaos {time.strftime('%H:%M:%S')}] {text}", flush=True)


class Phase:
    """Some cases, run at the same time until each of their tasks has come to its end."""

    def __init__(self, airflow: Airflow, simulator: Simulator, cases: list[Case], times: int) -> None:
        self.airflow, self.simulator, self.cases = airflow, simulator, cases
        self.run_id = f"chaos-{time.time_ns()}"
        self.tasks = [task for case in cases for task in tasks_of(case, times)]
        self.by_key = {(task.case.dag_id, task.task_id, task.map_index): task for task in self.tasks}

    def run(self) -> list[Task]:
        """Trigger, disturb, wait."""
        for case in self.cases:
            self.trigger(case.dag_id)
        end = time.monotonic() + LONGEST
        while True:
            self.look()
            self.act()
            left = [task for task in self.tasks if task.state not in DONE or self.to_do(task)]
            if not left:
                break
            if time.monotonic() > end:
                say(f"{len(left)} tasks did not end: {[(task.mark, task.state) for task in left][:5]}")
                break
            time.sleep(2)
        for task in self.tasks:
            task.outcome = self.outcome_of(task)
        return self.tasks

    def trigger(self, dag_id: str) -> None:
        """Start a run as soon as the DAG is known."""
        end = time.monotonic() + 180
        while True:
            try:
                self.airflow.call("PATCH", f"dags/{dag_id}", {"is_paused": False})
                self.airflow.call("POST", f"dags/{dag_id}/dagRuns", {"dag_run_id": self.run_id, "logical_date": None})
                return
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(3)

    def look(self) -> None:
        """Read the states of all task instances."""
        for case in self.cases:
            found = self.airflow.call("GET", f"dags/{case.dag_id}/dagRuns/{self.run_id}/taskInstances?limit=100")
            for instance in found["task_instances"]:
                task = self.by_key.get((case.dag_id, instance["task_id"], instance["map_index"]))
                if task is not None:
                    task.state, task.tries, task.pid = instance["state"], instance["try_number"], instance["pid"]

    def to_do(self, task: Task) -> bool:
        """Tell whether the runner still has to disturb the task."""
        return task.case.action is not None and task.acted_at is None

    def act(self) -> None:
        """Disturb each task whose moment has come: its job runs."""
        jobs = jobs_by_mark(self.simulator)
        for task in self.tasks:
            if not self.to_do(task):
                continue
            waiting = task.state in ("running", "deferred") and task.state == (
                "deferred" if task.case.ways == ("deferred",) else "running"
            )
            if task.case.action == "clear when done":
                ready = task.state == "success"
            elif task.case.action == "change retries":
                ready = bool(jobs.get(task.mark))
            else:
                ready = waiting and bool(jobs.get(task.mark))
            if ready and task.case.action == "kill triggerer":
                self.kill_triggerer(task.case)
            elif ready:
                self.disturb(task)
                task.acted_at = time.time()

    def disturb(self, task: Task) -> None:
        """Do what the case says."""
        action = task.case.action
        where = f"dags/{task.case.dag_id}/dagRuns/{self.run_id}/taskInstances/{task.task_id}/{task.map_index}"
        if action in ("clear", "clear when done"):
            body = {"dry_run": False, "dag_run_id": self.run_id, "only_failed": False,
                    "task_ids": [[task.task_id, task.map_index]]}  # fmt: skip
            self.airflow.call("POST", f"dags/{task.case.dag_id}/clearTaskInstances", body)
            task.state = None
        elif action == "mark failed":
            self.airflow.call("PATCH", where, {"new_state": "failed"})
        elif action == "evict":
            evict(task)
        elif action == "change retries":
            (self.airflow.home / "retries").write_text("1")

    def kill_triggerer(self, case: Case) -> None:
        """Kill the triggerer once half of the tasks that have not lived through it yet are deferred."""
        left = [task for task in self.tasks if task.case is case and task.acted_at is None]
        struck = [task for task in left if task.state == "deferred"]
        if len(struck) * 2 < len(left):
            return
        self.airflow.kill("triggerer")
        say(f"triggerer killed, with {len(struck)} tasks deferred")
        time.sleep(3)
        self.airflow.start("triggerer")
        for task in struck:
            task.acted_at = time.time()

    def outcome_of(self, task: Task) -> str:
        """Return how a task ended: success, or the error that its last try logged."""
        if task.state != "failed":
            return str(task.state)
        folder = self.airflow.home / "logs" / f"dag_id={task.case.dag_id}" / f"run_id={self.run_id}"
        folder = folder / f"task_id={task.task_id}" / f"map_index={task.map_index}"
        text = (folder / f"attempt={task.tries}.log").read_text() if folder.exists() else ""
        for name in ("AmbiguousSubmissionError", "VideoJobTimeoutError"):
            if name in text:
                return name
        return "failed"

    def delivered(self, task: Task) -> str | None:
        """Return the job id that a task that succeeded gave to the tasks after it."""
        if task.state != "success":
            return None
        where = f"dags/{task.case.dag_id}/dagRuns/{self.run_id}/taskInstances/{task.task_id}"
        found = self.airflow.call("GET", f"{where}/xcomEntries/return_value?map_index={task.map_index}")
        return str(found["value"]).strip('"')


def evict(task: Task) -> None:
    """Stop a worker as a cluster does: SIGTERM to the supervisor, which hands it on; soon after, SIGKILL to both."""
    assert task.pid is not None
    child = psutil.Process(task.pid)
    supervisor = child.parent()
    assert supervisor is not None
    supervisor.terminate()
    time.sleep(3)
    for process in (supervisor, child):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def tasks_of(case: Case, times: int) -> list[Task]:
    """Return the task instances of a case, numbered as the DAG file maps them."""
    found = []
    for way in case.ways:
        orders = [
            (vendor, index)
            for vendor in VENDORS
            for index in range(case.times or times)
            if case.ways[index % len(case.ways)] == way
        ]
        found += [Task(case, vendor, index, way.replace(" ", "_"), at) for at, (vendor, index) in enumerate(orders)]
    return found


def jobs_by_mark(simulator: Simulator) -> dict[str, list[dict[str, Any]]]:
    """Return the simulator's jobs by the mark in their request."""
    found: dict[str, list[dict[str, Any]]] = {}
    for job in simulator.jobs():
        text = json.dumps(job["request"])
        start = text.find("chaos_")
        mark = text[start : text.index(".", start) + 1] if start >= 0 else ""
        found.setdefault(mark, []).append(job)
    return found


def judge(phase: Phase, simulator: Simulator) -> tuple[list[list[str]], bool]:
    """Compare what the simulator sold with what the tasks delivered: one row a case and vendor."""
    jobs = jobs_by_mark(simulator)
    rows, all_well = [], True
    for case in phase.cases:
        for vendor in VENDORS:
            tasks = [task for task in phase.tasks if task.case is case and task.vendor == vendor]
            made = cancelled = undelivered = 0
            faults: list[str] = []
            delays: list[float] = []
            for task in tasks:
                mine = jobs.get(task.mark, [])
                ended = [job for job in mine if job["state"] == "cancelled"]
                result = phase.delivered(task)
                made, cancelled = made + len(mine), cancelled + len(ended)
                undelivered += sum(job["job_id"] != result for job in mine if job not in ended)
                for job in ended:
                    due = task.acted_at
                    if due is None:
                        due = seconds(job["created_at"]) + case.arguments.get("timeout", 0)
                    delays.append(seconds(job["cancelled_at"]) - due)
                faults += faults_of(case, vendor, task, len(mine), len(ended))
            all_well &= not faults
            outcomes = Counter(task.outcome for task in tasks)
            rows.append([
                case.name, vendor, str(len(tasks)), "-".join(str(n) for n in sorted({task.tries for task in tasks})),
                str(made), str(cancelled), f"{max(delays):.0f} s" if delays else "", str(undelivered),
                ", ".join(f"{count} {name}" for name, count in outcomes.items()),
                "ok" if not faults else "BROKEN: " + "; ".join(sorted(set(faults))),
            ])  # fmt: skip
    return rows, all_well


def faults_of(case: Case, vendor: str, task: Task, made: int, cancelled: int) -> list[str]:
    """Return what of the promise did not hold for one task."""
    if case.doubtful and vendor not in EXACT:
        if made > 1:
            return [f"{made} renders without consent"]
        if task.outcome == "AmbiguousSubmissionError" or (task.outcome == "success" and made == 1):
            return []
        return [f"ended as {task.outcome}"]
    faults = []
    if made != case.renders:
        faults.append(f"{made} renders, not {case.renders}")
    if task.state != case.ends:
        faults.append(f"ended as {task.state}")
    if cancelled != (0 if vendor == "oxolo" else case.cancelled):
        faults.append(f"{cancelled} cancelled")
    return faults


def seconds(when: str | float) -> float:
    """Return a time of the simulator as seconds of the epoch."""
    return when if isinstance(when, (int, float)) else datetime.fromisoformat(when).timestamp()


def print_table(rows: list[list[str]]) -> None:
    """Print the rows with their columns aligned."""
    head = ["case", "vendor", "tasks", "tries", "created", "cancelled", "after", "undelivered", "outcome", "verdict"]
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)


def main() -> int:
    """Run every phase, print the table, and stop all that was started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--times", type=int, default=5, help="repetitions of each case with each vendor")
    parser.add_argument("--only", default="", help="a part of the names of the cases to run")
    parser.add_argument("--keep", action="store_true", help="keep Airflow's home, with the logs of every task")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = Path(tempfile.mkdtemp(prefix="video-chaos-"))
    simulator = Simulator("--port", "0", "--render-seconds", "20")
    airflow = None
    rows: list[list[str]] = []
    all_well = True
    try:
        say(f"starting Airflow in {home}")
        settings = {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]),
            "CHAOS_HOME": str(home),
            "CHAOS_TIMES": str(options.times),
            # Many workers, few tasks: a LocalExecutor whose workers all die with tasks queued blocks its scheduler.
            "AIRFLOW__CORE__PARALLELISM": "24",
            "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": "8",
        }
        dags = ROOT / "benchmarks" / "chaos_dags"
        airflow = make_airflow(home, dags, settings | simulator.connection_env())
        phases: list[list[Case]] = [STRIKES, *([case] for case in FAULTS), TRIGGERER, ACTIONS, LATE]
        for cases in phases:
            chosen = [case for case in cases if options.only in case.name]
            if not chosen:
                continue
            say(", ".join(case.name for case in chosen))
            simulator.reset()
            simulator.settings(render_seconds=180 if chosen[0] in [*TRIGGERER, *LATE] else 30)
            fault = chosen[0].fault
            if fault:
                simulator.settings(list_lag_seconds=6 if "lags" in chosen[0].name else 0)
                for vendor in VENDORS:
                    simulator.fault(vendor, "create", times=None, **fault)
            phase = Phase(airflow, simulator, chosen, options.times)
            phase.run()
            found, well = judge(phase, simulator)
            deleted = sum(simulator.counts(vendor).get("finished_deletes", 0) for vendor in VENDORS)
            if deleted:
                say(f"BROKEN: {deleted} finished jobs were deleted")
            all_well &= well and not deleted
            rows += found
            print_table(found)
    finally:
        if airflow is not None:
            for part in list(airflow.parts):
                airflow.kill(part)
        simulator.stop()
        if all_well and rows and not options.keep:
            shutil.rmtree(home, ignore_errors=True)
        else:
            say(f"the logs are in {home}")
    print()
    print_table(rows)
    return 0 if all_well and rows else 1


if __name__ == "__main__":
    sys.exit(main())
