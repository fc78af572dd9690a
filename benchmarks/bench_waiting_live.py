# SPDX-License-Identifier: Apache-2.0
"""
What waiting costs a whole Airflow, and that it holds: Postgres, LocalExecutor, a triggerer, and the simulator.

``python benchmarks/bench_waiting_live.py [cpu] [storm] [timeouts]``; all without an argument. Needs the programs
of PostgreSQL (``initdb``, ``postgres``). Takes about 25 minutes on two cores.

- ``cpu``: 50 renders of 120 s, deferrable and in reschedule mode, above the cost of the same Airflow idle; once with
  the default ``poll_interval``, once with one of 10 s.
- ``storm``: 200 deferrable and 50 rescheduled waits at once while another process burns both cores; the triggerer is
  killed (SIGKILL) in the middle.
- ``timeouts``: the same exception and state in all three ways to wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-waiting-"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow_video_providers.hooks.base import get_video_hook
from benchmarks.known_vendors import vendor_with_list
from benchmarks.live_airflow import SETTINGS, Airflow, cpu_seconds, make_airflow, postgres
from tests.support.simulator import VENDORS, Simulator

DAGS = Path(__file__).parent / "waiting_dags"
VENDOR = vendor_with_list()
ENDED = {"success", "failed"}


@contextlib.contextmanager
def live(simulator: Simulator) -> Iterator[Airflow]:
    """Run a whole Airflow."""
    home = Path(tempfile.mkdtemp(prefix="bench-airflow-"))
    with postgres() as database:
        settings = {
            **simulator.connection_env(),
            "BENCH_CONN_ID": f"{VENDOR}_default",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CORE__PARALLELISM": "8",
            **SETTINGS,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        }
        airflow = make_airflow(home, DAGS, settings)
        try:
            airflow.call("PATCH", "pools/default_pool?update_mask=slots", {"name": "default_pool", "slots": 1000})
            yield airflow
        finally:
            airflow.stop()
            if os.environ.get("KEEP_HOME") is None:
                shutil.rmtree(home, ignore_errors=True)
            else:
                print(f"kept {home}")


def submit(simulator: Simulator, count: int) -> list[str]:
    """Submit jobs and return their ids."""
    os.environ.update(simulator.connection_env())
    hook = get_video_hook(f"{VENDOR}_default")
    with ThreadPoolExecutor(4) as threads:
        return [
            job.job_id for job in threads.map(lambda _: hook.submit_job(VENDORS[VENDOR].request("bench")), range(count))
        ]


def instances(airflow: Airflow, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return the mapped task instances of the sensor."""
    found: list[dict[str, Any]] = []
    while True:
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?task_id=wait&limit=100&offset={len(found)}"
        page = airflow.call("GET", path)
        found += page["task_instances"]
        if len(found) >= page["total_entries"] or not page["task_instances"]:
            return found


def wait_for_run(airflow: Airflow, dag_id: str, run_id: str, seconds: float = 1200) -> str:
    """Wait until a run has ended, and return its state."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        state = str(airflow.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])
        if state in ENDED:
            return state
        time.sleep(3)
    return "unfinished"


def bench_cpu(simulator: Simulator, jobs: int = 50, render: float = 120) -> list[dict[str, Any]]:
    """Measure the CPU of 50 waits of 120 s in two ways, above the same Airflow idle for the same time."""
    rows = []
    with live(simulator) as airflow:
        begin_idle = airflow.trigger("waits_deferrable", conf={"jobs": []})  # the first run warms all parts up
        wait_for_run(airflow, "waits_deferrable", begin_idle)
        time.sleep(20)
        before, began = cpu_seconds(airflow), time.monotonic()
        time.sleep(90)
        idle = {part: used / (time.monotonic() - began) for part, used in (cpu_seconds(airflow) - before).items()}
        for name in ("waits", "polls_often"):
            above = {}
            for way in ("deferrable", "reschedule"):
                simulator.reset()
                simulator.settings(render_seconds=render)
                ids = submit(simulator, jobs)
                counts = simulator.counts(VENDOR)
                before, began = cpu_seconds(airflow), time.monotonic()
                run_id = airflow.trigger(f"{name}_{way}", conf={"jobs": ids})
                state = wait_for_run(airflow, f"{name}_{way}", run_id)
                seconds = time.monotonic() - began
                used = cpu_seconds(airflow) - before
                after = simulator.counts(VENDOR)
                parts = {part: round(used[part] - idle.get(part, 0.0) * seconds, 1) for part in airflow.parts}
                above[way] = sum(parts.values())
                rows.append(
                    {
                        "benchmark": "cpu",
                        "dag": f"{name}_{way}",
                        "jobs": jobs,
                        "render_seconds": render,
                        "run": state,
                        "seconds": round(seconds, 1),
                        "cpu_above_idle": round(above[way], 1),
                        "of_which": parts,
                        "requests": after["lists"] + after["polls"] - counts["lists"] - counts["polls"],
                    }
                )
            ratio = round(above["deferrable"] / above["reschedule"], 3)
            rows.append({"benchmark": "cpu", "dag": name, "deferrable_to_reschedule": ratio})
    return rows


def bench_storm(simulator: Simulator) -> list[dict[str, Any]]:
    """Run 200 deferrable and 50 rescheduled waits under load, and kill the triggerer in the middle."""
    rows = []
    with live(simulator) as airflow:
        simulator.reset()
        simulator.settings(render_seconds=420)
        ids = {"deferrable": submit(simulator, 200), "reschedule": submit(simulator, 50)}
        burner = "while True: pass"
        burners = [subprocess.Popen([sys.executable, "-c", burner]) for _ in range(2)]
        try:
            runs = {way: airflow.trigger(f"waits_{way}", conf={"jobs": jobs}) for way, jobs in ids.items()}
            end = time.monotonic() + 600
            while time.monotonic() < end:
                states = Counter(one["state"] for one in instances(airflow, "waits_deferrable", runs["deferrable"]))
                if states["deferred"] >= 60:
                    break
                time.sleep(5)
            print(f"killing the triggerer while {dict(states)}", flush=True)
            airflow.kill("triggerer")
            time.sleep(5)
            airflow.start("triggerer")
            for way, run_id in runs.items():
                state = wait_for_run(airflow, f"waits_{way}", run_id)
                found = instances(airflow, f"waits_{way}", run_id)
                rows.append(
                    {
                        "benchmark": "storm",
                        "way": way,
                        "run": state,
                        "states": dict(Counter(str(one["state"]) for one in found)),
                        "second_tries": sum(one["try_number"] > 1 for one in found),
                    }
                )
        finally:
            for burner_process in burners:
                burner_process.kill()
                burner_process.wait()
        counts = simulator.counts(VENDOR)
        rows.append({"benchmark": "storm", "lists": counts["lists"], "single_requests": counts["polls"]})
    return rows


def bench_timeouts(simulator: Simulator) -> list[dict[str, Any]]:
    """Let a wait time out in each way."""
    rows = []
    with live(simulator) as airflow:
        simulator.reset()
        simulator.settings(render_seconds=3600)
        (job_id,) = submit(simulator, 1)
        for way in ("reschedule", "poke", "deferrable"):
            dag_id = f"times_out_{way}"
            run_id = airflow.trigger(dag_id, conf={"jobs": [job_id]})
            wait_for_run(airflow, dag_id, run_id)
            (one,) = instances(airflow, dag_id, run_id)
            path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/wait/logs/{one['try_number']}?map_index=0"
            text = json.dumps(airflow.call("GET", path))
            rows.append(
                {
                    "benchmark": "timeouts",
                    "way": way,
                    "state": one["state"],
                    "tries": one["try_number"],
                    "exception": "AirflowSensorTimeout" if "AirflowSensorTimeout" in text else text[-500:],
                }
            )
        job = simulator.jobs(VENDOR)[0]
        rows.append({"benchmark": "timeouts", "job_is_left": job["state"]})
    return rows


BENCHMARKS = {"cpu": bench_cpu, "storm": bench_storm, "timeouts": bench_timeouts}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    running = Simulator("--port", "0")
    try:
        for name in sys.argv[1:] or BENCHMARKS:
            for row in BENCHMARKS[name](running):
                print(json.dumps(row), flush=True)
    finally:
        running.stop()
