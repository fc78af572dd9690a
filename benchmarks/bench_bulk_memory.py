# SPDX-License-Identifier: Apache-2.0
"""
The memory and CPU of a bulk task by itself, without Airflow: ``python benchmarks/bench_bulk_memory.py 10000``.

The vendor is the in-process world of the crash tests, whose jobs take memory of the same process, too. Prints a line of
JSON every 20 seconds and one at the end.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-bulk-"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from airflow_video_providers.hooks.base import KeySupport
from tests.unit.bulk.test_crashes import BulkWorld, new_hook, run, task_of

SCRIPT = "word " * 100
"""Half a kilobyte: what a request of an avatar vendor holds."""


def main(count: int) -> None:
    """Render ``count`` items, at most 100 at a time."""
    folder = Path(tempfile.mkdtemp(prefix="bench-bulk-"))
    batch = folder / "batch.jsonl"
    with batch.open("w", encoding="utf-8") as file:
        for number in range(count):
            print(json.dumps({"id": f"i{number}", "request": {"title": f"i{number}", "script": SCRIPT}}), file=file)
    world = BulkWorld()
    hook = new_hook(world, KeySupport.EXACT, False)
    task = task_of(world, hook, folder, 1, requests=batch.as_uri(), max_active=100, poll_interval=0.2)
    before, began, cpu = psutil.Process().memory_info().rss, time.monotonic(), time.process_time()

    def watch() -> None:
        while True:
            time.sleep(20)
            say(seconds=round(time.monotonic() - began), rss_mb=round(psutil.Process().memory_info().rss / 1e6))

    threading.Thread(target=watch, daemon=True).start()
    summary = run(task)
    say(
        succeeded=summary["succeeded"],
        seconds=round(time.monotonic() - began, 1),
        cpu_ms_per_render=round(1000 * (time.process_time() - cpu) / count, 2),
        before_mb=round(before / 1e6),
        peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        state_mb=round(sum(len(json.dumps(value)) for value in world.stored.values()) / 1e6, 2),
    )


def say(**row: object) -> None:
    """Print a line."""
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
