# SPDX-License-Identifier: Apache-2.0
"""Run the bulk cases of ``make chaos``: disturb each task, wait for all to end, and look at each item."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos_bulk_cases import ITEMS, MARK, WINDOW, BulkCase
from chaos_run import STUCK, UNCOUNTED, evict_pid, say
from chaos_verdict import seconds
from known_vendors import Vendor
from live_airflow import Airflow

from tests.support.simulator import VENDORS as SIMULATED
from tests.support.simulator import Simulator

DONE = ("success", "failed")
RENDER_SECONDS = 6
SLOTS = 4
"""How many tasks run at the same time."""
HEAD = ["case", "vendor", "tries", "created", "cancelled", "states of the items", "task", "verdict"]


@dataclass
class BulkTaskRun:
    """One bulk task: what was done to it, and how it ended."""

    case: BulkCase
    vendor: Vendor
    map_index: int
    state: str | None = None
    tries: int = 0
    pid: int | None = None
    acted_at: float | None = None
    doomed: set[str] = field(default_factory=set)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def mark(self) -> str:
        """What tells its renders from all others."""
        return f"{self.case.dag_id}-{self.vendor.name}"

    @property
    def to_do(self) -> bool:
        """Whether the harness still has to disturb it."""
        return self.case.action is not None and self.acted_at is None


def write_bulk_orders(home: Path, cases: list[BulkCase], vendors: dict[str, Vendor]) -> None:
    """Write what the DAG file maps each case over."""
    orders: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        for name in vendors:
            items = [
                {"id": f"item-{n}", "request": SIMULATED[name].request(f"{case.dag_id}-{name}.item-{n}.")}
                for n in range(ITEMS)
            ]
            folder = (home / "videos" / case.dag_id / name).as_uri()
            orders.setdefault(case.dag_id, []).append(
                {
                    "conn_id": f"{name}_default",
                    "requests": items,
                    "destination": f"{folder}/{{id}}.{{ext}}",
                    "manifest": f"{folder}/manifest.jsonl",
                }
            )
    (home / "bulk_orders.json").write_text(json.dumps(orders))


class BulkPhase:
    """Some bulk cases, run at the same time."""

    def __init__(
        self, airflow: Airflow, simulator: Simulator, cases: list[BulkCase], vendors: dict[str, Vendor]
    ) -> None:
        self.airflow, self.simulator, self.cases = airflow, simulator, cases
        self.run_id = f"bulk-{time.time_ns()}"
        self.tasks = [BulkTaskRun(case, vendor, at) for case in cases for at, vendor in enumerate(vendors.values())]

    def run(self) -> list[BulkTaskRun]:
        """Trigger, disturb, wait."""
        self.simulator.reset()
        slots = {"name": "default_pool", "slots": SLOTS}
        self.airflow.call("PATCH", "pools/default_pool?update_mask=slots", slots)
        by_hand = any(case.ends == "failed" or case.action for case in self.cases)
        self.simulator.settings(render_seconds=100_000 if by_hand else RENDER_SECONDS)
        if any(case.fault for case in self.cases):
            for task in self.tasks:
                if task.case.fault:
                    self.simulator.fault(task.vendor.name, "create", times=1, after=1, **task.case.fault)
        for case in self.cases:
            self.airflow.trigger(case.dag_id, run_id=self.run_id)
        seen, changed = None, time.monotonic()
        while True:
            if dead := self.airflow.start_dead():
                say(f"{', '.join(dead)} had died, and was started again")
            self.read()
            self.forget_uncounted_clears()
            self.act()
            self.end_renders()
            left = [task for task in self.tasks if task.state not in DONE or task.to_do]
            if not left:
                break
            now = [(task.state, task.tries, len(task.jobs), task.acted_at) for task in self.tasks]
            if now != seen:
                seen, changed = now, time.monotonic()
            elif time.monotonic() > changed + STUCK:
                say(f"{len(left)} tasks did not end: {[(task.mark, task.state) for task in left][:9]}")
                break
            time.sleep(2)
        end = time.monotonic() + 60
        while time.monotonic() < end and any(faults_of(task, self.airflow.home) for task in self.tasks):
            time.sleep(3)  # what a triggerer cancels, it cancels soon after the end
            self.read()
        return self.tasks

    def read(self) -> None:
        """Read the states of all task instances, all jobs and all manifests."""
        which = {"dag_run_ids": [self.run_id], "page_limit": 10_000}
        found = self.airflow.call("POST", "dags/~/dagRuns/~/taskInstances/list", which)
        by_key = {(task.case.dag_id, task.map_index): task for task in self.tasks}
        for instance in found["task_instances"]:
            task = by_key.get((instance["dag_id"], instance["map_index"]))
            if task is not None:
                task.state, task.tries, task.pid = instance["state"], instance["try_number"], instance["pid"]
        jobs: dict[str, list[dict[str, Any]]] = {}
        for job in self.simulator.jobs():
            if mark := MARK.search(json.dumps(job["request"])):
                jobs.setdefault(mark[1], []).append({**job, "item": f"item-{mark[2]}"})
        for task in self.tasks:
            task.jobs = jobs.get(task.mark, [])
            manifest = folder_of(task, self.airflow.home) / "manifest.jsonl"
            if manifest.exists():
                task.lines = [json.loads(line) for line in manifest.read_text().splitlines()]

    def act(self) -> None:
        """Disturb each task whose moment has come: its window is full, and it runs or is deferred."""
        ready = [task for task in self.tasks if task.to_do and self.is_ready(task)]
        triggerers = [task for task in ready if task.case.action == "kill triggerers"]
        if triggerers and len(triggerers) == sum(task.case.action == "kill triggerers" for task in self.tasks):
            for part in [part for part in self.airflow.parts if part.startswith("triggerer")]:
                self.airflow.kill(part)
                time.sleep(1)
                self.airflow.start(part)
            say(f"triggerers killed, with {len(triggerers)} tasks deferred")
            for task in triggerers:
                task.acted_at = time.time()
        for task in ready:
            if task.case.action != "kill triggerers":
                task.doomed = {job["job_id"] for job in task.jobs} if task.case.again > 1 else set()
                self.disturb(task)
                task.acted_at = time.time()

    def forget_uncounted_clears(self) -> None:
        """Have a task cleared again that Airflow took for a retry: it adopted its renders, which nothing ends."""
        for task in self.tasks:
            waits = task.state in ("running", "deferred") and len(task.jobs) <= len(task.doomed)
            if task.case.action == "clear" and waits and task.acted_at and time.time() > task.acted_at + UNCOUNTED:
                say(f"{task.mark} adopted its renders after a clear, and is cleared again")
                task.acted_at = None

    def is_ready(self, task: BulkTaskRun) -> bool:
        """Tell whether the task is where the case wants it."""
        if len(task.jobs) < WINDOW:
            return False
        if not task.case.deferrable:
            return task.state == "running"
        folder = self.airflow.home / "logs" / f"dag_id={task.case.dag_id}" / f"run_id={self.run_id}"
        logs = (folder / "task_id=render" / f"map_index={task.map_index}").glob("*.log.trigger.*")
        return task.state == "deferred" and any(logs)

    def disturb(self, task: BulkTaskRun) -> None:
        """Do what the case says."""
        where = f"dags/{task.case.dag_id}/dagRuns/{self.run_id}/taskInstances/render/{task.map_index}"
        if task.case.action == "clear":
            body = {"dry_run": False, "dag_run_id": self.run_id, "only_failed": False,
                    "task_ids": [["render", task.map_index]]}  # fmt: skip
            self.airflow.call("POST", f"dags/{task.case.dag_id}/clearTaskInstances", body)
            task.state = None
        elif task.case.action == "mark failed":
            self.airflow.call("PATCH", where, {"new_state": "failed"})
        elif task.case.action == "evict" and task.pid is not None:
            evict_pid(task.pid)

    def end_renders(self) -> None:
        """Let a render succeed once its task has been disturbed, except one that is to be cancelled."""
        for task in self.tasks:
            if task.to_do or task.case.ends == "failed":
                continue
            for job in task.jobs:
                runs = job["state"] in ("queued", "running") and job["job_id"] not in task.doomed
                if runs and time.time() - seconds(job["created_at"]) > RENDER_SECONDS:
                    self.simulator.move(job["job_id"], finish=True)


def folder_of(task: BulkTaskRun, home: Path) -> Path:
    """Return where the videos of a task are."""
    return home / "videos" / task.case.dag_id / task.vendor.name


def faults_of(task: BulkTaskRun, home: Path) -> list[str]:
    """Return what of the promises does not hold for one task."""
    case, vendor = task.case, task.vendor
    faults = []
    if task.to_do:
        faults.append("never disturbed")
    if case.strike and task.tries < 2 and case.strike[0] != "deferring":
        faults.append("never killed")
    if task.state != case.ends:
        faults.append(f"ended as {task.state}")
    for item, jobs in _by_item(task).items():
        alive = [job for job in jobs if job["state"] != "cancelled"]
        if len(jobs) > case.again:
            faults.append(f"{item} has {len(jobs)} renders")
        elif vendor.can_cancel and len(alive) > 1:
            faults.append(f"{item} has {len(alive)} renders that were not cancelled")
    if case.ends == "failed" and len(task.jobs) > WINDOW:
        faults.append(f"{len(task.jobs) - WINDOW} renders after the failure")
    if case.ends == "failed" and vendor.can_cancel:
        running = [job for job in task.jobs if job["state"] in ("queued", "running")]
        if running:
            faults.append(f"{len(running)} renders go on")
    return [*faults, *_wrong_items(task, home)]


def _by_item(task: BulkTaskRun) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for job in task.jobs:
        found.setdefault(job["item"], []).append(job)
    return found


def _wrong_items(task: BulkTaskRun, home: Path) -> list[str]:
    """Compare the manifest with the videos that are stored, and with the jobs of the simulator."""
    if [line["id"] for line in task.lines] != [f"item-{n}" for n in range(ITEMS)]:
        return [f"{len(task.lines)} lines in the manifest"]
    faults, jobs = [], {job["job_id"]: job for job in task.jobs}
    ambiguous = [line for line in task.lines if line["state"] == "ambiguous"]
    if len(ambiguous) > (1 if task.case.doubtful and not task.vendor.sure else 0):
        faults.append(f"{len(ambiguous)} items in doubt")
    named = 0
    for line in task.lines:
        named += len(line["files"])
        if line["state"] == "succeeded":
            job = jobs.get(line["job_id"])
            if job is None or job["state"] != "succeeded" or job["item"] != line["id"]:
                faults.append(f"{line['id']} is not the render of its job")
            for file in line["files"]:
                path = Path(file["uri"].removeprefix("file://"))
                data = path.read_bytes() if path.exists() else b""
                if len(data) != file["size"] or hashlib.sha256(data).hexdigest() != file["sha256"]:
                    faults.append(f"{line['id']} is not what the manifest says")
            if not line["files"]:
                faults.append(f"{line['id']} was not delivered")
        elif line["state"] in ("failed", "ambiguous") and not line["error"]:
            faults.append(f"{line['id']} has no error")
        elif task.case.ends == "success" and line["state"] != "ambiguous":
            faults.append(f"{line['id']} is {line['state']}")
    folder = folder_of(task, home)
    stored = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.jsonl"]
    if task.case.ends == "success" and len(stored) != named:
        faults.append(f"{len(stored)} files, not {named}")
    return faults


def bulk_rows_of(tasks: list[BulkTaskRun], home: Path) -> list[list[str]]:
    """Return one row a task."""
    rows = []
    for task in tasks:
        faults = faults_of(task, home)
        states = Counter(line["state"] for line in task.lines)
        rows.append(
            [
                task.case.name,
                task.vendor.name,
                str(task.tries),
                str(len(task.jobs)),
                str(sum(job["state"] == "cancelled" for job in task.jobs)),
                ", ".join(f"{count} {state}" for state, count in states.items()),
                str(task.state),
                "BROKEN: " + "; ".join(faults) if faults else "ok",
            ]
        )
    return rows
