# SPDX-License-Identifier: Apache-2.0
"""
How soon a callback ends a wait, what a burst of them does, and that bad ones do nothing.

``python benchmarks/bench_callbacks.py [live] [assets] [fuzz]``; all without an argument. ``live`` and ``assets`` need
the programs of PostgreSQL. About 25 minutes on two cores; most of it is the fuzz.

- ``live``: a whole Airflow on PostgreSQL. Renders wait deferred; the simulator ends one after another, and calls back.
  Then 1,000 callbacks in a burst while the health page is asked, and 1,000 renders that end at once.
- ``assets``: finished videos start DAGs, by callbacks and by a watcher, over the death of a triggerer.
- ``fuzz``: 100,000 forged, replayed, oversized, malformed and unknown requests to the app in process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-callbacks-"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import requests
from airflow.sdk.module_loading import import_string

from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.hooks.base import VideoHook, get_video_hook
from benchmarks.callback_assets import bench_assets
from benchmarks.health_probe import describe, probe
from benchmarks.live_airflow import SETTINGS, Airflow, make_airflow, postgres
from tests.support.simulator import VENDORS, Simulator

SECRET = "the-secret-of-this-benchmark"
WAITS, BURST, ATTEMPTS = 20, 1000, 100_000
HEALTH = "/api/v2/monitor/health"
_SEED = 2026


def vendor_that_calls_back() -> str:
    """Return a vendor whose requests name a callback that names the job, and that does not sign."""
    plain, silent = VideoHook.verify_callback, VideoHook.callback_job_id
    return _vendor_that(
        lambda hook: hook.takes_callback and hook.verify_callback is plain and hook.callback_job_id is not silent
    )


def vendor_to_watch() -> str:
    """Return a vendor that lists the jobs of an account, and documents no rate of requests."""
    return _vendor_that(lambda hook: hook.can_watch and hook.requests_per_second is None)


def _vendor_that(can: Callable[[type[VideoHook]], bool]) -> str:
    kinds = get_provider_info()["connection-types"]
    return next(str(kind["connection-type"]) for kind in kinds if can(import_string(kind["hook-class-name"])))


@contextlib.contextmanager
def live(simulator: Simulator, vendor: str, *, dags: str = "callback_dags", watched: str = "") -> Iterator[Airflow]:
    """
    Run a whole Airflow whose connection takes callbacks.

    :param dags: the folder of its DAGs.
    :param watched: a vendor whose account is watched.
    """
    home = Path(tempfile.mkdtemp(prefix="bench-airflow-"))
    fields = simulator.connection(vendor)
    fields["extra"] = {**fields.get("extra", {}), "callback_secret": SECRET}
    connections = {**simulator.connection_env(), f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT": json.dumps(fields)}
    os.environ.update(connections)
    with postgres() as database:
        settings = {
            **connections,
            "BENCH_CALLER": json.dumps({"conn_type": vendor, "conn_id": f"{vendor}_default"}),
            "BENCH_WATCHED": json.dumps({"conn_type": watched, "conn_id": f"{watched}_default"}),
            "BENCH_VIDEOS": (home / "videos").as_uri(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            **SETTINGS,
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "60",
        }
        airflow = make_airflow(home, Path(__file__).parent / dags, settings)
        try:
            yield airflow
        finally:
            airflow.stop()
            if os.environ.get("KEEP_HOME") is None:
                shutil.rmtree(home, ignore_errors=True)
            else:
                print(f"kept {home}")


def bench_live() -> None:
    """Print how soon waits end, what they cost the vendor, and how a burst goes."""
    vendor = vendor_that_calls_back()
    simulator = Simulator("--port", "0", "--render-seconds", "100000")
    try:
        with live(simulator, vendor) as airflow:
            bench_waits(airflow, simulator, vendor)
            bench_burst(airflow, vendor)
            bench_burst_of_renders(airflow, simulator, vendor)
    finally:
        simulator.stop()


def bench_what_starts() -> None:
    """Print what finished videos start."""
    vendor, watched = vendor_that_calls_back(), vendor_to_watch()
    simulator = Simulator("--port", "0", "--render-seconds", "100000")
    try:
        with live(simulator, vendor, dags="asset_dags", watched=watched) as airflow:
            bench_assets(airflow, simulator, vendor, watched, airflow.home / "videos")
    finally:
        simulator.stop()


def bench_waits(airflow: Airflow, simulator: Simulator, vendor: str) -> None:
    """End renders one after another; print the time from each callback to the success of its task."""
    texts = [f"render {number}" for number in range(WAITS)]
    conf = {"requests": [VENDORS[vendor].request(text) for text in texts]}
    run = airflow.trigger("renders", conf=conf)
    path = f"dags/renders/dagRuns/{run}/taskInstances"
    _wait_for(lambda: _states(airflow, path)["deferred"] == WAITS, 600)
    time.sleep(15)
    before = simulator.counts(vendor)
    ended: dict[str, float] = {}
    pauses = random.Random(_SEED)
    for job in simulator.jobs(vendor):
        ended[job["job_id"]] = time.time()
        simulator.move(job["job_id"], finish=True)
        time.sleep(pauses.uniform(3, 6))
    _wait_for(lambda: _states(airflow, path)["success"] == WAITS, 300)
    after = simulator.counts(vendor)
    taken = []
    for ti in airflow.call("GET", f"{path}?limit=1000")["task_instances"]:
        if ti["task_id"] == "render":
            job_id = _xcom(airflow, path, ti)
            taken.append(datetime.fromisoformat(ti["end_date"]).timestamp() - ended[job_id])
    taken.sort()
    print(f"callback to success of the task, {WAITS} waits: median {statistics.median(taken):.1f} s, ", end="")
    print(f"p95 {taken[int(0.95 * len(taken))]:.1f} s, longest {taken[-1]:.1f} s")
    calls = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    print(f"what the simulator counted meanwhile: {calls}; in all: {after}")
    _wait_for(lambda: len(_told(airflow)) >= WAITS, 60)
    told = _told(airflow)
    print(f"asset events: {len(told)} of {WAITS} renders, {len({each['job_id'] for each in told})} different")
    print(f"the extra of one: {told[0]}")


def _told(airflow: Airflow, *, among: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return the extras of the asset events, of these jobs or of all."""
    extras: list[dict[str, Any]] = []
    while True:
        page = airflow.call("GET", f"assets/events?limit=1000&offset={len(extras)}")["asset_events"]
        extras += [event["extra"] for event in page]
        if len(page) < 1000:
            return [extra for extra in extras if among is None or extra["job_id"] in among]


def _count_events(airflow: Airflow) -> int:
    return int(airflow.call("GET", "assets/events?limit=1")["total_entries"])


def _xcom(airflow: Airflow, path: str, ti: dict[str, Any]) -> str:
    entry = airflow.call("GET", f"{path}/render/xcomEntries/return_value?map_index={ti['map_index']}")
    return str(entry["value"])


def _states(airflow: Airflow, path: str) -> Counter[str]:
    found = airflow.call("GET", f"{path}?limit=1000")["task_instances"]
    return Counter(str(ti["state"]) for ti in found if ti["task_id"] == "render")


def bench_burst(airflow: Airflow, vendor: str) -> None:
    """Post genuine callbacks as fast as they are taken; print what is stored, and how the health page answers."""
    hook = get_video_hook(f"{vendor}_default")
    keys = [f"avp-{number:040x}" for number in range(BURST)]
    urls = [hook.callback_url(airflow.url, key) for key in keys]
    tried: list[int] = []

    def post(url: str) -> int:
        """Post as vendors do: again, where the answer is no success."""
        for pause in (1, 5, 15, 30, 0):
            tried.append(session.post(url, json={}, timeout=60).status_code)
            if tried[-1] == 200:
                break
            time.sleep(pause)
        return tried[-1]

    session = requests.Session()
    session.trust_env = False
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
    with probe(f"{airflow.url}{HEALTH}") as health:
        began = time.monotonic()
        with ThreadPoolExecutor(64) as threads:
            statuses = list(threads.map(post, urls))
            again = list(threads.map(post, urls[:200]))  # the vendor repeats some
        took = time.monotonic() - began
    names = [each["key"] for each in _variables(airflow)]
    stored = {name.rpartition("/")[2] for name in names}
    print(f"burst of {BURST} callbacks and 200 repeats: {took:.1f} s, statuses {dict(Counter(tried))}, ", end="")
    print(f"in the end {dict(Counter(statuses + again))}")
    print(f"stored {len(stored)} of {BURST}; entries {len(names)} (a repeat has its own, of the next quarter minute)")
    print(f"health page meanwhile: {describe(health)}")


def bench_burst_of_renders(airflow: Airflow, simulator: Simulator, vendor: str) -> None:
    """Let the renders of an account end all at once; print what the asset events say, and the health page."""
    hook = get_video_hook(f"{vendor}_default")
    keys = [f"avp-{BURST + number:040x}" for number in range(BURST)]
    before = _count_events(airflow)

    def submit(key: str) -> str:
        request = hook.callback_request(VENDORS[vendor].request(key), url=hook.callback_url(airflow.url, key), key=key)
        return hook.submit_job(request, key=key).job_id

    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(submit, keys))
        with probe(f"{airflow.url}{HEALTH}") as health:
            began = time.monotonic()
            list(threads.map(lambda job_id: simulator.move(job_id, finish=True), made))
            _wait_for(lambda: _count_events(airflow) >= before + BURST, 900)
            took = time.monotonic() - began
    time.sleep(20)  # one that is told twice would show
    told = [each["job_id"] for each in _told(airflow, among=made)]
    counts = simulator.counts(vendor)
    print(f"{BURST} renders end at once, {counts['callback_failures']} callbacks given up: asset events of ", end="")
    print(f"{len(set(told))}, {len(told) - len(set(told))} doubled, in {took:.1f} s")
    print(f"health page meanwhile: {describe(health)}")


def _variables(airflow: Airflow) -> list[dict[str, Any]]:
    from airflow_video_providers.callbacks.inbox import NEWS_PREFIX, digest_of

    ours = {digest_of(f"{vendor_that_calls_back()}_default", key=f"avp-{number:040x}") for number in range(BURST)}
    found = airflow.call("GET", "variables?limit=10000")["variables"]
    return [each for each in found if each["key"].startswith(NEWS_PREFIX) and each["key"].rpartition("/")[2] in ours]


def _wait_for(condition: Any, most: float = 180.0) -> None:
    end = time.monotonic() + most
    while not _holds(condition):
        if time.monotonic() > end:
            raise RuntimeError("it takes too long")
        time.sleep(1)


def _holds(condition: Any) -> bool:
    try:
        return bool(condition())
    except requests.Timeout:  # a machine that is busy with other things
        return False


def bench_fuzz() -> None:
    """Print what bad requests got, and what they changed."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from tests.support.callback_server import run_fuzz

    began = time.monotonic()
    seen, effects, wrong = asyncio.run(run_fuzz(os.environ.__setitem__, count=ATTEMPTS, seed=_SEED))
    print(f"{ATTEMPTS} bad requests in {time.monotonic() - began:.0f} s: {len(effects)} effects, ", end="")
    print(f"{len(wrong)} wrong statuses {wrong[:5]}")
    for kind in sorted({kind for kind, _ in seen}):
        print(f"  {kind}: " + ", ".join(f"{n} x {status}" for (k, status), n in sorted(seen.items()) if k == kind))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started is stopped
    chosen = sys.argv[1:] or ["live", "assets", "fuzz"]
    if "live" in chosen:
        bench_live()
    if "assets" in chosen:
        bench_what_starts()
    if "fuzz" in chosen:
        bench_fuzz()
