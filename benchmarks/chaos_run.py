# SPDX-License-Identifier: Apache-2.0
"""Run some cases of ``make chaos`` at the same time: trigger their DAGs, disturb each task, wait for all to end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
from chaos_cases import MARK, Case, orders_of
from chaos_verdict import DONE, Task, faults_of, seconds
from known_vendors import Vendor
from live_airflow import Airflow

from tests.support.simulator import Simulator

TRIGGERERS = ("kill triggerers", "suspend triggerers")
API = ("suspend API", "restart API")
SCHEDULERS = ("kill scheduler",)
ORPHANING = {
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
}
"""A scheduler that soon finds the tasks of one that is gone, in seconds; their workers live, and send heartbeats."""
STUCK = 600
"""Seconds without any change after which a phase is given up."""
SLOTS = 8
"""How many tasks run at the same time: more only makes each of them slower."""
RENDER_SECONDS = 20
"""How long a render takes; the harness ends it, at the soonest when its task has been disturbed."""
LATE_HEARTBEAT = 35
"""Seconds for which a triggerer is suspended: more than twice its threshold."""
API_AWAY = 40
"""Seconds for which the API server is suspended, or until it is started again."""
UNCOUNTED = 120
"""Seconds after which a cleared task that has bought nothing is cleared again: Airflow does not count every clear."""
_SETTLE = 120
"""Seconds that a cancelled or superseded render may take to show, after all tasks have ended."""


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"[chaos {time.strftime('%H:%M:%S')}] {text}", flush=True)


def taking_part(case: Case, vendors: dict[str, Vendor]) -> list[str]:
    """Return the names of the vendors that a case is tried with."""
    return [name for name, vendor in vendors.items() if vendor.calls_back or not case.callback]


class Phase:
    """Some cases, run at the same time until each of their tasks has come to its end."""

    def __init__(
        self, airflow: Airflow, simulator: Simulator, cases: list[Case], vendors: dict[str, Vendor], times: int
    ) -> None:
        self.airflow, self.simulator, self.cases, self.vendors = airflow, simulator, cases, vendors
        self.run_id = f"chaos-{time.time_ns()}"
        self.standing = airflow.home / "standing"
        self.tasks: list[Task] = []
        for case in cases:
            found = orders_of(case, taking_part(case, vendors), times)
            for way in case.ways:
                mapped = [order for order in found if order.way == way]
                self.tasks += [Task(order, at) for at, order in enumerate(mapped)]
        self.storing = {(task.case.dag_id, f"{task.order.task_id}_store_{task.map_index}"): task for task in self.tasks}
        self.orphans: list[psutil.Process] = []
        self.by_key = {(task.case.dag_id, task.order.task_id, task.map_index): task for task in self.tasks}

    # ------------------------------------------------------------------ the run

    def run(self) -> list[Task]:
        """Trigger, disturb, wait."""
        self.prepare()
        for case in self.cases:
            self.airflow.trigger(case.dag_id, run_id=self.run_id)
        seen, changed = None, time.monotonic()
        while True:
            if dead := self.airflow.start_dead():
                say(f"{', '.join(dead)} had died, and was started again")
            self.read()
            self.forget_uncounted_clears()
            if self.act():
                continue  # that took a while
            self.end_renders()
            left = [task for task in self.tasks if task.to_come or task.to_do]
            if not left:
                break
            now = [(task.state, task.stored, task.tries, len(task.jobs), task.acted_at) for task in self.tasks]
            if now != seen:
                seen, changed = now, time.monotonic()
            elif time.monotonic() > changed + STUCK:
                say(f"{len(left)} tasks did not end: {[(task.order.mark, task.state) for task in left][:9]}")
                break
            time.sleep(2)
        self.settle()
        return self.tasks

    def end_orphans(self) -> None:
        """Kill the workers of a scheduler that was killed without them."""
        for process in self.orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def prepare(self) -> None:
        """Empty the folder of the tasks that stand still, set the create's fault, make connections that will break."""
        self.standing.mkdir(exist_ok=True)
        for left in self.standing.iterdir():
            left.unlink()
        self.simulator.reset()
        self.simulator.settings(render_seconds=100_000)
        self.simulator.settings(requests_per_second=self.cases[0].limit)
        if fault := self.cases[0].fault:
            self.simulator.settings(list_lag_seconds=6 if "lags" in self.cases[0].name else 0)
            for vendor in self.vendors:
                # A response is lost once a task, so that a vendor which replays keys can tell; a refusal stands.
                if not (tasks := self.tasks_with(vendor)):
                    continue
                times = None if self.cases[0].blow == "suspend" else tasks
                self.simulator.fault(vendor, self.cases[0].operation, times=times, **fault)
        # A worker that stands still keeps its slot until the next try has taken its place.
        blow, action = self.cases[0].blow, self.cases[0].action
        slots = len(self.tasks) if blow in ("suspend", "hold") or action in SCHEDULERS else SLOTS
        self.airflow.call("PATCH", "pools/default_pool?update_mask=slots", {"name": "default_pool", "slots": slots})
        for task in self.tasks:
            if task.case.action == "break connection":
                fields = self.simulator.connection(task.order.vendor)
                if "extra" in fields:
                    fields["extra"] = json.dumps(fields["extra"])
                self.airflow.call("POST", "connections", {"connection_id": task.order.conn_id, **fields})

    def tasks_with(self, vendor: str) -> int:
        """Return how many tasks of this phase render with a vendor."""
        return sum(task.order.vendor == vendor for task in self.tasks)

    def read(self) -> None:
        """Read the states of all task instances and all jobs."""
        which = {"dag_run_ids": [self.run_id], "page_limit": 10_000}
        found = self.airflow.call("POST", "dags/~/dagRuns/~/taskInstances/list", which)
        for instance in found["task_instances"]:
            key = (instance["dag_id"], instance["task_id"], instance["map_index"])
            if (task := self.storing.get(key[:2])) is not None:
                task.stored = instance["state"]
            if (task := self.by_key.get(key)) is not None:
                task.state, task.tries, task.pid = instance["state"], instance["try_number"], instance["pid"]
        jobs: dict[str, list[dict[str, Any]]] = {}
        for job in self.simulator.jobs():
            mark = MARK.search(json.dumps(job["request"]))
            jobs.setdefault(mark.group() if mark else "", []).append(job)
        for task in self.tasks:
            task.jobs = jobs.get(task.order.mark, [])
            if task.case.changes and task.tries < 2:
                task.doomed = [job["job_id"] for job in task.jobs]

    def end_renders(self) -> None:
        """Let a render succeed once its task has been disturbed, except one that is to be cancelled."""
        for task in self.tasks:
            if task.to_do or task.case.ends == "failed" or task.case.action == "mark success":
                continue
            waits_for_retry = (task.case.strike or task.case.action in SCHEDULERS) and task.tries < 2
            for job in task.jobs:
                runs = job["state"] in ("queued", "running") and job["job_id"] not in task.doomed
                age = time.time() - seconds(job["created_at"])
                if runs and age > (90 if waits_for_retry else RENDER_SECONDS):
                    self.simulator.move(job["job_id"], finish=True)

    def settle(self) -> None:
        """Wait for what happens shortly after the end of a task: superseded tries, cancelled renders."""
        counts = {vendor: self.simulator.counts(vendor) for vendor in self.vendors}
        for task in self.tasks:
            if task.case.proof:
                name, least = task.case.proof
                vendor = task.order.vendor
                task.struck = counts[vendor][name] >= least * self.tasks_with(vendor)
        end = time.monotonic() + _SETTLE
        while True:
            self.read()
            for task in self.tasks:
                task.result, task.logs = self.result_of(task), self.logs_of(task)
            resumed = [json.loads(path.read_text())[0] for path in self.standing.iterdir()]
            faults = [fault for task in self.tasks for fault in faults_of(task, self.vendors[task.order.vendor])]
            if time.monotonic() > end or not (faults or any(map(psutil.pid_exists, resumed))):
                return
            time.sleep(3)

    # ------------------------------------------------------------------ disturbing

    def act(self) -> bool:
        """Disturb each task whose moment has come; return whether there was one."""
        before = [task for task in self.tasks if task.to_do]
        for task in before:
            if self.is_ready(task):
                if task.case.cancelled:
                    task.doomed = [job["job_id"] for job in task.jobs]
                self.disturb(task)
                task.acted_at = time.time()
        for case in self.cases if before else ():
            if case.action in TRIGGERERS:
                self.disturb_triggerers(case)
            elif case.action in API:
                self.take_api_away(case)
            elif case.action in SCHEDULERS:
                self.kill_scheduler(case)
        return any(not task.to_do for task in before)

    def forget_uncounted_clears(self) -> None:
        """Have a task cleared again that Airflow took for a retry: it adopted the render, which nothing ends."""
        for task in self.tasks:
            waits = task.state in ("running", "deferred") and len(task.jobs) <= len(task.doomed)
            if task.case.action == "clear" and waits and task.acted_at and time.time() > task.acted_at + UNCOUNTED:
                say(f"{task.order.mark} adopted its render after a clear, and is cleared again")
                task.acted_at = None

    def is_ready(self, task: Task) -> bool:
        """Tell whether the task is where the case wants it: mostly, it waits for a job that runs."""
        case = task.case
        if case.blow == "suspend":
            self.stop_refusing(task.order.vendor)
            over = task.tries > 1 and (bool(task.jobs) or task.state in DONE)
            return over and (self.standing / task.order.mark).exists()
        if not task.jobs or case.action in (*TRIGGERERS, *API, *SCHEDULERS):
            return False
        if case.action == "clear when done":
            return task.state == "success"
        if case.action == "change retries":
            return True
        if task.order.way == "deferred":
            # Airflow tells nobody of the end of a task whose trigger no triggerer has taken up yet.
            return task.state == "deferred" and self.is_in_triggerer(task)
        return task.state == "running"

    def disturb(self, task: Task) -> None:
        """Do what the case says."""
        case, action = task.case, task.case.action
        where = f"dags/{case.dag_id}/dagRuns/{self.run_id}/taskInstances/{task.order.task_id}/{task.map_index}"
        if case.blow == "suspend":
            for pid in json.loads((self.standing / task.order.mark).read_text()):
                os.kill(pid, signal.SIGCONT)
        elif action == "fail render":
            # An error of the vendor's own, which no request is to blame for: a retry renders again.
            error = {"code": "internal_error", "message": "the encoder stopped"}
            self.simulator.move(task.jobs[0]["job_id"], fail=error["message"], error=error)
        elif action in ("clear", "clear when done"):
            body = {"dry_run": False, "dag_run_id": self.run_id, "only_failed": False,
                    "task_ids": [[task.order.task_id, task.map_index]]}  # fmt: skip
            self.airflow.call("POST", f"dags/{case.dag_id}/clearTaskInstances", body)
            task.state = None
        elif action == "mark failed":
            self.airflow.call("PATCH", where, {"new_state": "failed"})
        elif action == "mark success":
            self.airflow.call("PATCH", where, {"new_state": "success"})
        elif action == "evict":
            evict(task)
        elif action == "change retries":
            (self.airflow.home / "retries").touch()
        elif action == "break connection":
            self.airflow.call("DELETE", f"connections/{task.order.conn_id}")
            self.airflow.call("PATCH", where, {"new_state": "failed"})

    def stop_refusing(self, vendor: str) -> None:
        """Let the creates of a vendor through once all of its tasks stand still in the pause after a refusal."""
        mine = [task for task in self.tasks if task.order.vendor == vendor]
        if all((self.standing / task.order.mark).exists() for task in mine):
            self.simulator.clear_faults(vendor)

    def disturb_triggerers(self, case: Case) -> None:
        """Kill both triggerers, or suspend one after the other, once all tasks are deferred."""
        tasks = [task for task in self.tasks if task.case is case]
        if not all(task.state == "deferred" and self.is_in_triggerer(task) for task in tasks):
            return
        parts = [part for part in self.airflow.parts if part.startswith("triggerer")]
        if case.action == "kill triggerers":
            for part in parts:
                self.airflow.kill(part)
            say(f"{len(parts)} triggerers killed, with {len(tasks)} tasks deferred")
            time.sleep(3)
            for part in parts:
                self.airflow.start(part)
        else:
            for part in parts:
                self.airflow.suspend(part)
                time.sleep(LATE_HEARTBEAT)
                self.airflow.resume(part)
                say(f"{part} was suspended for {LATE_HEARTBEAT} s")
                time.sleep(LATE_HEARTBEAT)
        for task in tasks:
            task.acted_at = time.time()

    def take_api_away(self, case: Case) -> None:
        """Suspend the API server, or kill it and start it again, when each task has the response to its create."""
        tasks = [task for task in self.tasks if task.case is case]
        files = [self.standing / task.order.mark for task in tasks]
        if not all(path.exists() for path in files):
            return
        began = time.monotonic()
        if case.action == "suspend API":
            self.airflow.suspend("api-server")
        else:
            self.airflow.kill("api-server")
        for path in files:
            path.unlink()
        time.sleep(API_AWAY)
        if case.action == "suspend API":
            self.airflow.resume("api-server")
        else:
            self.airflow.start("api-server")
        self.airflow.wait_until_up()
        say(f"API server away for {time.monotonic() - began:.0f} s, with {len(tasks)} responses in hand")
        for task in tasks:
            task.acted_at = time.time()

    def kill_scheduler(self, case: Case) -> None:
        """Kill the scheduler but none of its workers, once all tasks wait for their jobs, and start another one."""
        tasks = [task for task in self.tasks if task.case is case]
        if not all(task.state == "running" and task.jobs for task in tasks):
            return
        scheduler = self.airflow.parts.pop("scheduler")
        self.orphans = psutil.Process(scheduler.pid).children(recursive=True)
        scheduler.kill()
        scheduler.wait(60)
        self.airflow.start("scheduler", ORPHANING)
        say(f"scheduler killed, with {len(tasks)} tasks running")
        for task in tasks:
            task.acted_at = time.time()

    # ------------------------------------------------------------------ what is left

    def result_of(self, task: Task) -> str | None:
        """Return the job id that a task that succeeded hands to the tasks after it."""
        if task.state != "success" or not task.case.delivers:
            return None
        where = f"dags/{task.case.dag_id}/dagRuns/{self.run_id}/taskInstances/{task.order.task_id}"
        try:
            found = self.airflow.call("GET", f"{where}/xcomEntries/return_value?map_index={task.map_index}")
        except RuntimeError:
            return None
        return str(found["value"]).strip('"')

    def is_in_triggerer(self, task: Task) -> bool:
        """Tell whether a triggerer runs the wait of the task's last try: it writes a log."""
        return any(self.folder_of(task).glob(f"attempt={task.tries}.log.trigger.*"))

    def logs_of(self, task: Task) -> dict[str, str]:
        """Return the logs of all tries by the names of their files."""
        return {path.name: path.read_text() for path in sorted(self.folder_of(task).glob("*.log"))}

    def folder_of(self, task: Task) -> Path:
        """Return where the logs of a task are."""
        run = self.airflow.home / "logs" / f"dag_id={task.case.dag_id}" / f"run_id={self.run_id}"
        return run / f"task_id={task.order.task_id}" / f"map_index={task.map_index}"


def evict(task: Task) -> None:
    """Stop a worker as a cluster does: SIGTERM to the supervisor, which hands it on; soon after, SIGKILL to both."""
    assert task.pid is not None
    evict_pid(task.pid)


def evict_pid(pid: int) -> None:
    """Stop the worker of a task, given the process of the task."""
    child = psutil.Process(pid)
    supervisor = child.parent()
    assert supervisor is not None
    supervisor.terminate()
    time.sleep(3)
    for process in (supervisor, child):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
