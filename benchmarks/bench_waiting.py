# SPDX-License-Identifier: Apache-2.0
"""
What waiting costs: the vendor's requests, the event loop, the memory, and the schedule, on the simulator.

``python benchmarks/bench_waiting.py [schedule] [requests] [loop] [memory]``; all of them without an argument. Prints a
table for each, and each row as a JSON line. The peer is a trigger of the common pattern: each job has a loop of its own
that polls it every interval. One vendor tells of many jobs in one request, one is polled for each job by itself.
``bench_waiting_live.py`` measures a whole Airflow.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-waiting-"))
os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_video_providers.hooks.base import aget_video_hook, get_video_hook
from airflow_video_providers.triggers.video_job import VideoJobTrigger
from benchmarks.known_vendors import vendor_with_list, vendor_without_list
from benchmarks.waiting_schedule import simulate
from tests.support.simulator import VENDORS, Simulator

LISTING, SINGLE = vendor_with_list(), vendor_without_list()
JOBS, MANY = 1000, 10_000
INTERVAL, RENDER = 10.0, 60.0


class PeerTrigger(BaseTrigger):
    """Poll one job every interval, as the triggers of the dbt Cloud and the Anthropic provider do."""

    def __init__(self, *, conn_id: str, job: dict[str, Any], **_: Any) -> None:
        super().__init__()
        self.conn_id, self.job = conn_id, job

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {"conn_id": self.conn_id, "job": self.job}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        hook = await aget_video_hook(self.conn_id)
        while True:
            job = await asyncio.to_thread(hook.get_job, self.job["job_id"])
            if job.state.is_terminal:
                yield TriggerEvent({"status": "success"})
                return
            await asyncio.sleep(INTERVAL)


class IdleTrigger(BaseTrigger):
    """Wait for nothing: the least that a waiting trigger costs Airflow."""

    def __init__(self, *, conn_id: str, **_: Any) -> None:
        super().__init__()
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {"conn_id": self.conn_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.Event().wait()
        yield TriggerEvent(None)


TRIGGERS = {"ours": VideoJobTrigger, "peer": PeerTrigger, "idle": IdleTrigger}


def submit(simulator: Simulator, vendor: str, count: int, at_once: int = 4) -> list[dict[str, Any]]:
    """Submit ``count`` jobs and return them as they were when they were submitted."""
    os.environ.update(simulator.connection_env())
    hook = get_video_hook(f"{vendor}_default")
    hook.get_conn()
    with ThreadPoolExecutor(at_once) as threads:
        return [
            job.to_xcom()
            for job in threads.map(lambda _: hook.submit_job(VENDORS[vendor].request("bench")), range(count))
        ]


def make(kind: str, vendor: str, jobs: Iterable[dict[str, Any]], poll_interval: float) -> list[BaseTrigger]:
    return [
        TRIGGERS[kind](conn_id=f"{vendor}_default", job=job, poll_interval=poll_interval, seed=str(number))
        for number, job in enumerate(jobs)
    ]


async def first_event(trigger: BaseTrigger) -> Any:
    events = trigger.run()
    try:
        return (await anext(events)).payload
    finally:
        await events.aclose()  # type: ignore[attr-defined]  # a generator


# ---------------------------------------------------------------- requests


def requests_of(kind: str, vendor: str, simulator: Simulator) -> dict[str, Any]:
    """Let 1,000 triggers wait for 1,000 jobs in one loop."""
    simulator.reset()
    simulator.settings(render_seconds=RENDER)
    triggers = make(kind, vendor, submit(simulator, vendor, JOBS, at_once=1), INTERVAL)
    before = simulator.counts(vendor)

    async def wait() -> list[Any]:
        return await asyncio.gather(*(first_event(trigger) for trigger in triggers))

    began, cpu = time.monotonic(), time.process_time()
    payloads = asyncio.run(wait())
    counts = simulator.counts(vendor)
    return {
        "benchmark": "requests",
        "vendor": vendor,
        "trigger": kind,
        "jobs": JOBS,
        "succeeded": sum(payload["status"] == "success" for payload in payloads),
        "seconds": round(time.monotonic() - began, 1),
        "list_requests": counts["lists"] - before["lists"],
        "single_requests": counts["polls"] - before["polls"],
        "max_in_flight": counts["max_in_flight"],
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def bench_requests() -> None:
    simulator = Simulator("--port", "0", "--render-seconds", str(RENDER))
    try:
        rows = [requests_of(kind, vendor, simulator) for vendor in (LISTING, SINGLE) for kind in ("ours", "peer")]
    finally:
        simulator.stop()
    show(f"Requests to the vendor: {JOBS} jobs of {RENDER:.0f} s, poll_interval {INTERVAL:.0f} s", rows)


# ---------------------------------------------------------------- the event loop


async def lags(seconds: float, found: list[float]) -> None:
    """Measure how late the loop comes back from a sleep of 10 ms."""
    end = time.monotonic() + seconds
    while (before := time.perf_counter()) and time.monotonic() < end:
        await asyncio.sleep(0.01)
        found.append((time.perf_counter() - before - 0.01) * 1000)


def bench_loop() -> None:
    """Let 10,000 triggers wait in one loop, and measure its lag while they are polled."""
    rows = []
    for kind, vendor in (("idle", LISTING), ("ours", LISTING), ("ours", SINGLE)):
        simulator = Simulator("--port", "0", "--render-seconds", "3600")
        try:
            jobs = submit(simulator, vendor, MANY)
            before = simulator.counts(vendor)
            found: list[float] = []

            async def wait(kind: str = kind, vendor: str = vendor, found: list[float] = found) -> None:
                waiting = []
                for trigger in make(kind, vendor, jobs, 120.0):  # noqa: B023  # run at once
                    waiting.append(asyncio.create_task(first_event(trigger)))
                    await asyncio.sleep(0)  # as the triggerer does between two triggers
                await asyncio.sleep(2)
                cpu = time.process_time()
                await lags(90, found)
                found.append(time.process_time() - cpu)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)

            asyncio.run(wait())
            cpu = found.pop()
            found.sort()
            counts = simulator.counts(vendor)
            rows.append(
                {
                    "benchmark": "loop",
                    "vendor": vendor,
                    "trigger": kind,
                    "jobs": MANY,
                    "lag_p50_ms": round(found[len(found) // 2], 2),
                    "lag_p99_ms": round(found[int(len(found) * 0.99)], 2),
                    "lag_max_ms": round(found[-1], 1),
                    "list_requests": counts["lists"] - before["lists"],
                    "single_requests": counts["polls"] - before["polls"],
                    "cpu_percent": round(cpu / 90 * 100, 1),
                }
            )
        finally:
            simulator.stop()
    show(f"Lag of the event loop with {MANY} waiting triggers, over 90 s", rows)


# ---------------------------------------------------------------- memory


def memory_of(kind: str, path: str) -> None:
    """Print the resident bytes that 10,000 waiting triggers take; in a process of its own."""
    jobs = json.loads(Path(path).read_text())
    process = psutil.Process()

    async def wait() -> int:
        warm = [asyncio.create_task(first_event(trigger)) for trigger in make(kind, LISTING, jobs[:1], 5.0)]
        await asyncio.sleep(15)
        gc.collect()
        before = process.memory_info().rss
        waiting = [
            asyncio.create_task(first_event(trigger)) for trigger in make(kind, LISTING, _copies(jobs[1:]), 60.0)
        ]
        await asyncio.sleep(75)
        gc.collect()
        after = process.memory_info().rss
        for task in warm + waiting:
            task.cancel()
        await asyncio.gather(*warm, *waiting, return_exceptions=True)
        return after - before

    print(asyncio.run(wait()))


def _copies(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(job)) for job in jobs]


def bench_memory() -> None:
    simulator = Simulator("--port", "0", "--render-seconds", "3600")
    rows: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "jobs.json"
            path.write_text(json.dumps(submit(simulator, LISTING, MANY)))
            for kind in ("idle", "ours"):
                command = [sys.executable, __file__, "--memory-of", kind, str(path)]
                grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
                rows.append(
                    {
                        "benchmark": "memory",
                        "trigger": kind,
                        "jobs": MANY,
                        "kb_per_trigger": round(grown / MANY / 1024, 2),
                    }
                )
    finally:
        simulator.stop()
    rows.append({**rows[1], "trigger": "ours above idle"})
    rows[-1]["kb_per_trigger"] = round(rows[1]["kb_per_trigger"] - rows[0]["kb_per_trigger"], 2)
    show("Resident memory per waiting trigger, polls included", rows)


# ---------------------------------------------------------------- the schedule


def bench_schedule() -> None:
    rows = [{"benchmark": "schedule", **row} for row in simulate(20_000)]
    show("The schedule (poll_interval 120 s) against a poll every 60 s, by simulation", rows)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table, then its rows as JSON lines."""
    names = [name for name in rows[0] if name != "benchmark"]
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    print(f"\n{title}")
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    for row in rows:
        print(json.dumps(row))
    sys.stdout.flush()


BENCHMARKS = {"schedule": bench_schedule, "requests": bench_requests, "loop": bench_loop, "memory": bench_memory}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory-of"]:
        memory_of(*sys.argv[2:4])
    else:
        for name in sys.argv[1:] or BENCHMARKS:
            BENCHMARKS[name]()
