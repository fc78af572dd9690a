# SPDX-License-Identifier: Apache-2.0
"""
``make chaos``: disturb a real Airflow at every point of a task's life, and count the renders.

A scheduler with the LocalExecutor, an API server, a DAG processor and two triggerers run on the simulator. Each case of
``chaos_cases`` is a DAG with one mapped task a vendor and repetition. At the end there is one line a case and vendor:
tries, renders created, cancelled, paid and not delivered, outcome; and the exit code is 0 if every promise held.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chaos_bulk import HEAD as BULK_HEAD  # noqa: E402
from chaos_bulk import BulkPhase, BulkTaskRun, bulk_rows_of, write_bulk_orders  # noqa: E402
from chaos_bulk_cases import BULK_PHASES  # noqa: E402
from chaos_cases import CASES, PHASES, Case, orders_of  # noqa: E402
from chaos_run import ORPHANING, SCHEDULERS, Phase, say, taking_part  # noqa: E402
from chaos_verdict import Task, faults_of, print_table, rows_of  # noqa: E402
from known_vendors import Vendor, find_vendors  # noqa: E402
from live_airflow import Airflow, make_airflow, postgres  # noqa: E402

from tests.support.simulator import VENDORS as SIMULATED  # noqa: E402
from tests.support.simulator import Simulator  # noqa: E402

TIMES = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
}
"""When a worker, a triggerer or the API server counts as dead, in seconds: soon, but not on a busy machine."""
PATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "5",
    # With Airflow's default of 3, a supervisor kills its task when connections are refused for about 40 seconds.
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
}
"""Airflow's own values but for the last, for the cases in which the API server is away and no worker is dead."""


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make chaos ARGS=...", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--times", type=int, default=2, help="repetitions of each case with each vendor (default: 2)")
    parser.add_argument("--cases", nargs="+", default=[""], help="parts of the names of the cases to run")
    parser.add_argument("--vendors", nargs="+", default=[], help="the vendors to run with (default: all)")
    parser.add_argument("--postgres", action="store_true", help="run on PostgreSQL, not on SQLite")
    parser.add_argument("--keep", action="store_true", help="keep Airflow's home, with the logs of every task")
    parser.add_argument("--list", action="store_true", help="list cases and vendors, and end")
    return parser.parse_args()


def main() -> int:
    """Run every phase, print the table, and stop all that was started."""
    options = read_options()
    vendors = find_vendors(options.vendors)
    phases = [[case for case in cases if any(part in case.name for part in options.cases)] for cases in PHASES]
    phases = [[case for case in cases if taking_part(case, vendors)] for cases in phases]
    bulk = [[case for case in cases if any(part in case.name for part in options.cases)] for cases in BULK_PHASES]
    if any(phases):
        phases[0] = PHASES[0]
    if options.list:
        names = [case.name for case in CASES] + [case.name for cases in BULK_PHASES for case in cases]
        print("cases:", *names, "vendors:", *vendors, sep="\n  ")
        return 0
    if not any(phases + bulk) or len(vendors) < len(options.vendors):
        sys.exit("No such case or vendor; --list shows their names.")
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, stop)
    home = Path(tempfile.mkdtemp(prefix="video-chaos-"))
    tasks: list[Task] = []
    in_bulk: list[BulkTaskRun] = []
    well = False
    try:
        with contextlib.ExitStack() as started:
            simulator = Simulator("--port", "0")
            started.callback(simulator.stop)
            database = started.enter_context(postgres()) if options.postgres else None
            say(f"starting Airflow in {home}, on {'PostgreSQL' if database else 'SQLite'}")
            write_orders(home, [case for cases in phases for case in cases], vendors, options.times)
            write_bulk_orders(home, [case for cases in bulk for case in cases], vendors)
            airflow = start_airflow(home, simulator, database)
            started.callback(airflow.stop)
            well = True
            for cases in filter(None, phases):
                began = time.monotonic()
                say(", ".join(case.name for case in cases))
                found = run_phase(airflow, simulator, cases, vendors, options.times)
                deleted = sum(simulator.counts(vendor).get("finished_deletes", 0) for vendor in vendors)
                if deleted:
                    say(f"BROKEN: {deleted} finished jobs were deleted")
                well = well and not deleted
                tasks += found
                print_table(rows_of(found, vendors))
                say(f"{len(found)} tasks in {time.monotonic() - began:.0f} s")
            for bulk_cases in filter(None, bulk):
                say(", ".join(case.name for case in bulk_cases))
                in_bulk += BulkPhase(airflow, simulator, bulk_cases, vendors).run()
                bulk_rows = bulk_rows_of(in_bulk, home)
                print_table(bulk_rows, BULK_HEAD)
                well = well and all(row[-1] == "ok" for row in bulk_rows)
    finally:
        broken = [task for task in tasks if faults_of(task, vendors[task.order.vendor])]
        if well and not broken and not options.keep:
            shutil.rmtree(home, ignore_errors=True)
        else:
            say(f"the logs are in {home}")
    print()
    if tasks:
        print_table(rows_of(tasks, vendors))
    if in_bulk:
        print_table(bulk_rows, BULK_HEAD)
    return 0 if well and not broken else 1


def stop(*_: object) -> None:
    """End the run; a further signal must not keep it from stopping what it has started."""
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, signal.SIG_IGN)
    sys.exit(143)


def write_orders(home: Path, cases: list[Case], vendors: dict[str, Vendor], times: int) -> None:
    """Write what the DAG file maps each task of each case over: the connection and the request of each order."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for case in cases:
        for order in orders_of(case, taking_part(case, vendors), times):
            request = SIMULATED[order.vendor].request(order.content)
            ways = found.setdefault(case.dag_id, {})
            ways.setdefault(order.way, []).append({"conn_id": order.conn_id, "request": request})
    (home / "orders.json").write_text(json.dumps(found))


def start_airflow(home: Path, simulator: Simulator, database: str | None) -> Airflow:
    """Start Airflow with two triggerers and connections that lead to the simulator."""
    settings = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]),
        "CHAOS_HOME": str(home),
        # Many workers, few slots: a LocalExecutor whose workers all die with tasks queued blocks its scheduler.
        "AIRFLOW__CORE__PARALLELISM": "64",
        **TIMES,
        **({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database} if database else {}),
    }
    dags = ROOT / "benchmarks" / "chaos_dags"
    return make_airflow(home, dags, settings | connections(simulator), triggerers=2)


def connections(simulator: Simulator) -> dict[str, str]:
    """Return connections to the simulator; those whose outcomes only a callback tells take callbacks."""
    found = simulator.connection_env()
    for name, vendor in find_vendors().items():
        if vendor.calls_back:
            fields = simulator.connection(name)
            fields["extra"] = {**fields.get("extra", {}), "callback_secret": "the-secret-of-this-run-only"}
            found[f"AIRFLOW_CONN_{name.upper()}_DEFAULT"] = json.dumps(fields)
    return found


def run_phase(
    airflow: Airflow, simulator: Simulator, cases: list[Case], vendors: dict[str, Vendor], times: int
) -> list[Task]:
    """Run the cases of one phase, with a scheduler of other settings where the case needs that."""
    phase = Phase(airflow, simulator, cases, vendors, times)
    settings = PATIENT if cases[0].blow == "hold" else ORPHANING if cases[0].action in SCHEDULERS else None
    if settings is None:
        return phase.run()
    restart_scheduler(airflow, settings)
    try:
        return phase.run()
    finally:
        phase.end_orphans()
        restart_scheduler(airflow, {})


def restart_scheduler(airflow: Airflow, settings: dict[str, str]) -> None:
    """Kill the scheduler, with its idle workers, and start it with other settings."""
    airflow.kill("scheduler")
    airflow.start("scheduler", settings)


if __name__ == "__main__":
    sys.exit(main())
