# SPDX-License-Identifier: Apache-2.0
"""
``make test-distributed``: bulk tasks and single renders on a distributed Airflow that is disturbed all the time.

PostgreSQL, Redis, CeleryExecutor with two workers, two schedulers, two triggerers, API server, DAG processor, an S3
server (weed), the simulator with all vendors. Meanwhile workers, triggerers and a scheduler are killed (SIGKILL), Redis
is restarted, the vendors and the store fall silent and come back, and both cores are burnt. At the end a table compares
what was bought with what is stored and with what the manifests say; the exit code is 0 if every promise held.
"""

from __future__ import annotations

import argparse
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
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="distributed-"))
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import psutil  # noqa: E402
from distributed_airflow import Redis, make_distributed, redis  # noqa: E402
from distributed_verdict import Run, rows_of  # noqa: E402
from known_vendors import find_vendors  # noqa: E402
from live_airflow import Airflow, postgres  # noqa: E402

from tests.support.s3 import S3Server, make_bucket, run_s3_server  # noqa: E402
from tests.support.simulator import VENDORS as SIMULATED  # noqa: E402
from tests.support.simulator import Simulator  # noqa: E402

DAGS = ("bulk_shards", "bulk_one_list", "singles")
SILENCE = 15.0
"""Seconds for which the vendors, the store or Redis are away."""
_SETTLE = 45.0


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make test-distributed ARGS=...", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--shards", type=int, default=20, help="mapped bulk tasks, of all vendors (default: 20)")
    parser.add_argument("--per-shard", type=int, default=100, help="renders of each (default: 100)")
    parser.add_argument("--singles", type=int, default=100, help="renders in three tasks each (default: 100)")
    parser.add_argument("--list", type=int, default=1000, help="renders of one list from S3 (default: 1000)")
    parser.add_argument("--render-seconds", type=float, default=8)
    parser.add_argument("--blows", type=int, default=1000, help="disturbances at most (default: until all is done)")
    parser.add_argument("--pause", type=float, default=20, help="seconds between two of them (default: 20)")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for all (default: 3600)")
    parser.add_argument("--keep", action="store_true", help="keep Airflow's home, with all logs")
    return parser.parse_args()


def write_orders(path: Path, options: argparse.Namespace, s3: S3Server) -> dict[str, Any]:
    """Write the lists to the store, and what the DAGs map over to a file; return the latter."""
    vendors, store = list(find_vendors()), f"s3://s3_bench@{s3.bucket}"

    def put(name: str, vendor: str, count: int) -> dict[str, str]:
        items = [{"id": f"item-{n}", "request": SIMULATED[vendor].request(f"{name}.item-{n}.")} for n in range(count)]
        body = "\n".join(map(json.dumps, items)).encode()
        s3.client.put_object(Bucket=s3.bucket, Key=f"lists/{name}.jsonl", Body=body)
        return {
            "conn_id": f"{vendor}_default",
            "requests": f"{store}/lists/{name}.jsonl",
            "destination": f"{store}/videos/{name}/{{id}}.{{ext}}",
            "manifest": f"{store}/manifests/{name}.jsonl",
        }

    shards: dict[str, list[dict[str, str]]] = {"deferrable": [], "worker": []}
    for number, vendor in zip(range(options.shards), cycle(vendors), strict=False):
        shards[("deferrable", "worker")[number % 2]].append(put(f"shard-{number}", vendor, options.per_shard))
    singles = [
        {"conn_id": f"{vendor}_default", "request": SIMULATED[vendor].request(f"single-{n}.item-0.")}
        for n, vendor in zip(range(options.singles), cycle(vendors), strict=False)
    ]
    sure = next(name for name, vendor in find_vendors().items() if vendor.sure and vendor.can_list)
    orders = {"store": store, "shards": shards, "singles": singles, "list": put("list", sure, options.list)}
    path.write_text(json.dumps(orders))
    return orders


class Blows:
    """The disturbances, one after the other."""

    def __init__(self, airflow: Airflow, broker: Redis, simulator: Simulator, most: int, pause: float) -> None:
        self.airflow, self.broker, self.simulator = airflow, broker, simulator
        self.left, self.pause = most, pause
        self.struck: Counter[str] = Counter()
        self._next = time.monotonic() + pause
        self.store = next(child.pid for child in psutil.Process().children() if child.name() == "weed")
        self._kinds = cycle(
            [
                ("worker killed", lambda: self._kill("worker:1")),
                ("triggerer killed", lambda: self._kill("triggerer")),
                ("vendors silent", lambda: self._silence(self.simulator.process.pid)),
                ("scheduler killed", lambda: self._kill("scheduler")),
                ("worker killed", lambda: self._kill("worker:2")),
                ("store silent", lambda: self._silence(self.store)),
                ("Redis restarted", lambda: self.broker.restart(SILENCE / 3)),
                ("triggerer killed", lambda: self._kill("triggerer:2")),
                ("CPU burnt", self._burn),
            ]
        )

    def strike(self) -> None:
        """Strike if it is time to."""
        if self.left <= 0 or time.monotonic() < self._next:
            return
        name, blow = next(self._kinds)
        say(name)
        blow()
        self.struck[name] += 1
        self.left -= 1
        self._next = time.monotonic() + self.pause

    def _kill(self, part: str) -> None:
        if part in self.airflow.parts:
            self.airflow.kill(part)
        time.sleep(2)
        self.airflow.start(part)

    def _silence(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(SILENCE)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _burn(self) -> None:
        burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        time.sleep(SILENCE)
        for burner in burners:
            burner.kill()
            burner.wait()


def main() -> int:
    """Run all, print the table, and stop all that was started."""
    options = read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = Path(tempfile.mkdtemp(prefix="video-distributed-"))
    well = False
    try:
        with contextlib.ExitStack() as started:
            simulator = Simulator("--port", "0")
            started.callback(simulator.stop)
            simulator.settings(render_seconds=options.render_seconds, file_bytes=200_000)
            s3 = make_bucket(started.enter_context(run_s3_server()))
            broker = started.enter_context(redis())
            database = started.enter_context(postgres())
            orders = write_orders(home / "orders.json", options, s3)
            settings = {
                **simulator.connection_env(),
                **s3.connection_env("s3_bench"),
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")]),
                "DISTRIBUTED_ORDERS": str(home / "orders.json"),
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",
                "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
                "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
            }
            say(f"starting Airflow in {home}")
            dags = ROOT / "benchmarks" / "distributed_dags"
            airflow = make_distributed(home, dags, settings, database, broker.url)
            started.callback(airflow.stop)
            run = Run(airflow, simulator, s3, orders)
            run.trigger(DAGS)
            blows = Blows(airflow, broker, simulator, options.blows, options.pause)
            began = time.monotonic()
            told = 0.0
            while (unfinished := run.unfinished()) and time.monotonic() - began < options.limit:
                if dead := airflow.start_dead():
                    say(f"{', '.join(dead)} had ended, and was started again")
                if time.monotonic() - told > 30:
                    told = time.monotonic()
                    say(f"unfinished: {dict(Counter(unfinished))}; renders: {run.count_jobs()}")
                blows.strike()
                time.sleep(3)
            say(f"{'not ' if unfinished else ''}all ended after {time.monotonic() - began:.0f} s")
            time.sleep(_SETTLE)
            rows = rows_of(run)
            print(f"\nDisturbances: {', '.join(f'{count} x {name}' for name, count in blows.struck.items())}\n")
            for name, value, verdict in [("what", "count", "verdict"), ("---", "---", "---"), *rows]:
                print(f"| {name} | {value} | {verdict} |")
            well = all(verdict in ("ok", "") for _, _, verdict in rows)
    finally:
        if options.keep or not well:
            say(f"the logs are in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    return 0 if well else 1


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"[distributed {time.strftime('%H:%M:%S')}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
