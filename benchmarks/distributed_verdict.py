# SPDX-License-Identifier: Apache-2.0
"""Compare what the vendors sold in a run of ``make test-distributed`` with what is stored and what was reported."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from live_airflow import Airflow

from tests.support.s3 import S3Server
from tests.support.simulator import Simulator

MARK = re.compile(r"((?:shard|single)-\d+|list)\.item-(\d+)\.")
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")


@dataclass
class Run:
    """One run of all DAGs."""

    airflow: Airflow
    simulator: Simulator
    s3: S3Server
    orders: dict[str, Any]
    run_id: str = field(default_factory=lambda: f"distributed-{time.time_ns()}")
    dags: tuple[str, ...] = ()

    def trigger(self, dags: tuple[str, ...]) -> None:
        """Start a run of each DAG as soon as it is known."""
        self.dags = dags
        for dag_id in dags:
            self.airflow.trigger(dag_id, run_id=self.run_id)

    def instances(self) -> list[dict[str, Any]]:
        """Return all task instances."""
        which = {"dag_run_ids": [self.run_id], "page_limit": 10_000}
        found: dict[str, Any] = self.airflow.call("POST", "dags/~/dagRuns/~/taskInstances/list", which)
        return list(found["task_instances"])

    def unfinished(self) -> list[str]:
        """Return the states of the task instances that have not ended, and of the runs."""
        states = [str(one["state"]) for one in self.instances() if one["state"] not in ENDED]
        for dag_id in self.dags:
            state = self.airflow.call("GET", f"dags/{dag_id}/dagRuns/{self.run_id}")["state"]
            states += [f"run {state}"] if state not in ENDED else []
        return states

    def count_jobs(self) -> dict[str, int]:
        """Return how many renders are in which state."""
        return dict(Counter(job["state"] for job in self.simulator.jobs()))


def rows_of(run: Run) -> list[tuple[str, str, str]]:
    """Return what, how many, and whether it is as it must be."""
    jobs: dict[str, list[dict[str, Any]]] = {}
    for job in run.simulator.jobs():
        mark = MARK.search(json.dumps(job["request"]))
        jobs.setdefault("" if mark is None else f"{mark[1]}/item-{mark[2]}", []).append(job)
    items = _items_of_manifests(run) | _items_of_singles(run)
    objects = _objects(run)
    by_state = Counter(item["state"] for item in items.values())
    twice = [name for name, made in jobs.items() if sum(job["state"] != "cancelled" for job in made) > 1]
    delivered = {name: item for name, item in items.items() if item["state"] == "succeeded"}
    wrong, named = [], set()
    for name, item in delivered.items():
        own = {job["job_id"] for job in jobs.get(name, ()) if job["state"] == "succeeded"}
        if item["job_id"] not in own or not item["files"]:
            wrong.append(name)
        for file in item["files"]:
            key = file["uri"].partition(f"://{run.s3.bucket}/")[2]
            named.add(key)
            if objects.get(key) != (file["size"], file["sha256"]):
                wrong.append(name)
    silent = [name for name, item in items.items() if item["state"] != "succeeded" and not item["error"]]
    expected = _expected(run)
    left = [job for made in jobs.values() for job in made if job["state"] in ("queued", "running")]
    stuck = run.unfinished()
    tries = [one["try_number"] for one in run.instances()]
    states = ", ".join(f"{count} {state}" for state, count in by_state.items())
    return [
        ("renders asked for", str(len(expected)), _verdict(expected - items.keys(), "without a line")),
        ("states", states, ""),
        ("renders at the vendors", str(sum(map(len, jobs.values()))), _verdict(twice, "bought twice")),
        ("delivered, each by its own job, size and sha256 right", str(len(delivered)), _verdict(wrong, "wrong")),
        ("objects stored", str(len(objects)), _verdict(objects.keys() ^ named, "not in a manifest, or not stored")),
        ("not delivered, with a named error", str(len(items) - len(delivered)), _verdict(silent, "without an error")),
        ("unfinished uploads", str(len(run.s3.uploads())), _verdict(run.s3.uploads(), "left")),
        ("jobs left running at the vendors", str(len(left)), _verdict([job["job_id"] for job in left], "left")),
        ("task instances, and runs, that did not end", str(len(stuck)), _verdict(stuck, "stuck")),
        ("tries of a task, at most", str(max(tries, default=0)), ""),
    ]


def _verdict(faults: Any, what: str) -> str:
    found = sorted(map(str, faults))
    return f"BROKEN: {len(found)} {what}: {', '.join(found[:5])}" if found else "ok"


def _expected(run: Run) -> set[str]:
    names = {f"single-{n}/item-0" for n in range(len(run.orders["singles"]))}
    for order in _bulk_orders(run):
        name = order["manifest"].rpartition("/")[2].removesuffix(".jsonl")
        lines = run.s3.body(f"lists/{name}.jsonl").decode().splitlines()
        names |= {f"{name}/{json.loads(line)['id']}" for line in lines}
    return names


def _bulk_orders(run: Run) -> list[dict[str, str]]:
    shards = run.orders["shards"]
    return [*shards["deferrable"], *shards["worker"], run.orders["list"]]


def _items_of_manifests(run: Run) -> dict[str, dict[str, Any]]:
    found, keys = {}, set(run.s3.list_keys_all())
    for order in _bulk_orders(run):
        key = order["manifest"].partition(f"{run.s3.bucket}/")[2]
        name = key.rpartition("/")[2].removesuffix(".jsonl")
        for line in run.s3.body(key).decode().splitlines() if key in keys else ():
            item = json.loads(line)
            found[f"{name}/{item['id']}"] = item
    return found


def _items_of_singles(run: Run) -> dict[str, dict[str, Any]]:
    """Read what became of each single render: the files of the last task, or the state of the one that failed."""
    found: dict[str, dict[str, Any]] = {}
    for one in run.instances():
        if one["dag_id"] != "singles" or one["map_index"] < 0:
            continue
        name = f"single-{one['map_index']}/item-0"
        item = found.setdefault(name, {"state": "pending", "job_id": None, "files": [], "error": None})
        if one["task_id"] == "render.store" and one["state"] == "success":
            where = f"dags/singles/dagRuns/{run.run_id}/taskInstances/render.store/xcomEntries/return_value"
            value = run.airflow.call("GET", f"{where}?map_index={one['map_index']}")["value"]
            files = json.loads(value) if isinstance(value, str) else value
            item.update(state="succeeded", files=files, job_id=files[0]["job_id"] if files else None)
        elif one["state"] == "failed":
            item.update(state="failed", error=f"task {one['task_id']} failed")
    return found


def _objects(run: Run) -> dict[str, tuple[int, str]]:
    found = {}
    for key in run.s3.list_keys_all():
        if key.startswith("videos/"):
            data = run.s3.body(key)
            found[key] = (len(data), hashlib.sha256(data).hexdigest())
    return found
