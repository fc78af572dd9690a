# SPDX-License-Identifier: Apache-2.0
"""
``make bench-bulk``: what a render costs in a bulk task of a live Airflow, and as mapped tasks beside it.

PostgreSQL, LocalExecutor, one triggerer, the simulator, an S3 server (weed). Each measurement is a line of JSON. CPU is
that of all processes of Airflow, above the same Airflow idle. The full size takes an hour on two cores:

    python benchmarks/bench_bulk.py [--renders 1000] [--mapped 40] [--many 10000] [--only cpu mapped many]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-bulk-"))
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import psutil  # noqa: E402
import psycopg2  # noqa: E402
from known_vendors import vendor_with_list  # noqa: E402
from live_airflow import SETTINGS, Airflow, cpu_seconds, make_airflow, postgres  # noqa: E402

from tests.support.s3 import S3Server, make_bucket, run_s3_server  # noqa: E402
from tests.support.simulator import VENDORS, Simulator  # noqa: E402

ENDED = {"success", "failed"}
IDLE_SECONDS = 60.0
FILE_BYTES = 500_000
"""Size of each video: the simulator takes longer to draw one than the task to deliver it, so it pads a drawn one."""
_POLL_SECONDS = 5.0


@dataclass
class Bench:
    """A live Airflow with all that a render needs."""

    airflow: Airflow
    simulator: Simulator
    s3: S3Server
    database: str
    vendor: str
    idle: float = 0.0

    def count_rows(self) -> int:
        """Return how many rows all tables of the metadata database have."""
        connection = psycopg2.connect(self.database.replace("+psycopg2", ""))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("select tablename from pg_tables where schemaname = 'public'")
                names = [name for (name,) in cursor.fetchall()]
                total = 0
                for name in names:
                    cursor.execute(f'select count(*) from "{name}"')
                    total += cursor.fetchone()[0]
                return total
        finally:
            connection.close()

    def count_requests(self) -> dict[str, int]:
        """Return how many requests the vendor has had."""
        return self.simulator.counts(self.vendor)

    def wait(self, dag_id: str, run_id: str, seconds: float) -> str:
        """Wait until a run has ended, and return its state."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = str(self.airflow.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])
            if state in ENDED:
                return state
            time.sleep(_POLL_SECONDS)
        return "unfinished"

    def measure_idle(self) -> None:
        """Measure what the Airflow uses that does nothing, after a first run has warmed it up."""
        self.render("bulk_1_worker", 1, seconds=1)
        time.sleep(20)
        before, began = sum(cpu_seconds(self.airflow).values()), time.monotonic()
        while time.monotonic() - began < IDLE_SECONDS:
            self.airflow.call("GET", "dags/lag/dagRuns?limit=1")  # as a wait for a run does
            time.sleep(_POLL_SECONDS)
        self.idle = (sum(cpu_seconds(self.airflow).values()) - before) / (time.monotonic() - began)

    def put_requests(self, count: int) -> str:
        """Write a list of requests to the store, and return its URI."""
        key = f"batches/{time.time_ns()}.jsonl"
        lines = [
            json.dumps({"id": f"item-{n}", "request": VENDORS[self.vendor].request(f"n{n}")}) for n in range(count)
        ]
        self.s3.client.put_object(Bucket=self.s3.bucket, Key=key, Body="\n".join(lines).encode())
        return f"s3://s3_bench@{self.s3.bucket}/{key}"

    def render(self, dag_id: str, count: int, *, seconds: float, mapped: bool = False) -> dict[str, Any]:
        """Run renders to their end, and return what they cost."""
        self.simulator.reset()
        self.simulator.settings(render_seconds=seconds, file_bytes=FILE_BYTES)
        if mapped:
            conf: dict[str, Any] = {"requests": [VENDORS[self.vendor].request(f"n{n}") for n in range(count)]}
        else:
            conf = {"requests": self.put_requests(count)}
        rows, before, began = self.count_rows(), sum(cpu_seconds(self.airflow).values()), time.monotonic()
        with watch_memory(self.airflow) as memory:
            run_id = self.airflow.trigger(dag_id, conf=conf)
            state = self.wait(dag_id, run_id, seconds=7200)
        elapsed = time.monotonic() - began
        used = sum(cpu_seconds(self.airflow).values()) - before - self.idle * elapsed
        jobs = [job for job in self.simulator.jobs(self.vendor) if job["finished_at"]]
        ended = max(job["finished_at"] for job in jobs)
        instances = self.airflow.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000")
        end = max(datetime.fromisoformat(one["end_date"]).timestamp() for one in instances["task_instances"])
        counts = {name: value for name, value in self.count_requests().items() if value}
        return {
            "dag": dag_id,
            "run": state,
            "renders": count,
            "render_seconds": seconds,
            "finished_jobs": len(jobs),
            "seconds": round(elapsed, 1),
            "cpu_per_render": round(used / count, 4),
            "rows_per_render": round((self.count_rows() - rows) / count, 3),
            "requests": counts,
            "seconds_after_last_render": round(end - ended, 1),
            "worker_peak_mb": memory,
        }


@contextlib.contextmanager
def watch_memory(airflow: Airflow) -> Iterator[dict[str, Any]]:
    """Note the memory of the largest process below the scheduler: a task. ``rss``, and ``own``: what is not shared."""
    found: dict[str, Any] = {"rss": 0, "own": 0, "after_each_minute": []}
    over = threading.Event()

    def watch() -> None:
        noted = time.monotonic()
        while not over.wait(2):
            largest = 0
            for process in psutil.Process(airflow.parts["scheduler"].pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    memory = process.memory_full_info()
                    largest = max(largest, memory.uss)
                    found["own"] = max(found["own"], round(memory.uss / 1e6))
                    found["rss"] = max(found["rss"], round(memory.rss / 1e6))
            if time.monotonic() - noted > 60:
                noted = time.monotonic()
                found["after_each_minute"].append(round(largest / 1e6))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def live(vendor: str, windows: list[int]) -> Iterator[Bench]:
    """Run all parts."""
    home = Path(tempfile.mkdtemp(prefix="bench-airflow-"))
    with contextlib.ExitStack() as started:
        simulator = Simulator("--port", "0")
        started.callback(simulator.stop)
        s3 = make_bucket(started.enter_context(run_s3_server()))
        database = started.enter_context(postgres())
        settings = {
            **simulator.connection_env(),
            **s3.connection_env("s3_bench"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]),
            "BENCH_CONN_ID": f"{vendor}_default",
            "BENCH_STORE": f"s3://s3_bench@{s3.bucket}",
            "BENCH_WINDOWS": ",".join(map(str, {1, *windows})),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CORE__PARALLELISM": "8",
            **SETTINGS,
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        }
        airflow = make_airflow(home, ROOT / "benchmarks" / "bulk_dags", settings)
        try:
            airflow.call("PATCH", "pools/default_pool?update_mask=slots", {"name": "default_pool", "slots": 1000})
            yield Bench(airflow, simulator, s3, database, vendor)
        finally:
            airflow.stop()
            if os.environ.get("KEEP_HOME") is None:
                shutil.rmtree(home, ignore_errors=True)
            else:
                say({"kept": str(home)})


def lag_while(bench: Bench, path: Path) -> str:
    """Begin to measure the loop of the triggerer."""
    run_id = bench.airflow.trigger("lag", conf={"path": str(path), "seconds": 7200})
    end = time.monotonic() + 120
    while not path.exists() and time.monotonic() < end:
        time.sleep(1)
    return run_id


def lag_of(path: Path) -> dict[str, float]:
    """End the measurement, and return what was measured, in milliseconds."""
    Path(f"{path}.stop").touch()
    time.sleep(7)
    late = sorted(1000 * value for value in json.loads(path.read_text()))
    if not late:
        return {}
    return {
        "samples": len(late),
        "p50_ms": round(statistics.median(late), 1),
        "p99_ms": round(late[int(0.99 * (len(late) - 1))], 1),
        "max_ms": round(late[-1], 1),
    }


def bench_many(bench: Bench, count: int, window: int, seconds: float, *, delivers: bool) -> None:
    """Render very many in one deferrable task, and measure the loop of the triggerer meanwhile and before."""
    dag_id = f"bulk_{window}_deferrable{'' if delivers else '_render_only'}"
    folder = Path(tempfile.mkdtemp(prefix="bench-lag-"))
    lag_while(bench, folder / "idle")
    time.sleep(60)
    idle = lag_of(folder / "idle")
    lag_while(bench, folder / "busy")
    row = bench.render(dag_id, count, seconds=seconds)
    ideal = count / window * seconds
    say({**row, "ideal_seconds": ideal, "of_ideal": round(row["seconds"] / ideal, 2),
         "loop_lag": lag_of(folder / "busy"), "loop_lag_idle": idle})  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)


def say(row: dict[str, Any]) -> None:
    """Print a line."""
    print(json.dumps({"at": time.strftime("%H:%M:%S"), "load": round(os.getloadavg()[0], 1), **row}), flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench-bulk ARGS=...")
    parser.add_argument("--vendor", default=vendor_with_list(), help="default: one that tells of many jobs at once")
    parser.add_argument("--renders", type=int, default=1000, help="of 30 s, with a window of 50 (default: 1000)")
    parser.add_argument("--seconds", type=float, default=30, help="that each of them takes (default: 30)")
    parser.add_argument("--window", type=int, default=50)
    parser.add_argument("--mapped", type=int, default=40, help="the same renders as mapped tasks (default: 40)")
    parser.add_argument("--many", type=int, default=10_000, help="of 20 s, in one deferrable task (default: 10000)")
    parser.add_argument("--many-window", type=int, default=500)
    parser.add_argument("--only", nargs="+", default=["worker", "deferrable", "mapped", "many"])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with live(options.vendor, [options.window, options.many_window]) as bench:
        bench.measure_idle()
        say({"vendor": options.vendor, "idle_cpu_per_second": round(bench.idle, 3)})
        for way in ("worker", "deferrable"):
            if way in options.only:
                say(bench.render(f"bulk_{options.window}_{way}", options.renders, seconds=options.seconds))
        if "mapped" in options.only:
            for tasks in (2, 3):
                say(bench.render(f"mapped_{tasks}", options.mapped, seconds=options.seconds, mapped=True))
        if "many" in options.only:
            bench_many(bench, options.many, options.many_window, 20, delivers="delivered" in options.only)


if __name__ == "__main__":
    main()
