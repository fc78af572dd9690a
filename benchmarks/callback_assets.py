# SPDX-License-Identifier: Apache-2.0
"""
What finished videos start: a part of ``benchmarks/bench_callbacks.py``, on a live Airflow.

- A callback of a render that no task waits for becomes an asset event; a DAG that is scheduled on it stores the video.
- A bulk task whose renders are called back.
- An asset watcher tells of videos that were made in the vendor's own app, also while the triggerer was away, and after
  it was killed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from airflow_video_providers.hooks.base import VideoHook, get_video_hook
from benchmarks.live_airflow import Airflow
from tests.support.simulator import VENDORS, Simulator

VIDEOS = 3
FURTHER = 9


def bench_assets(airflow: Airflow, simulator: Simulator, caller: str, watched: str, videos: Path) -> None:
    """
    Print what became of finished videos.

    :param caller: the vendor that calls back.
    :param watched: the vendor whose list is watched.
    :param videos: where the DAGs store them.
    """
    _wait_for(lambda: len(airflow.call("GET", "dags")["dags"]) == 3, "the DAGs")
    _called_back(airflow, simulator, caller, videos)
    _bulk(airflow, simulator, caller, videos)
    _watched(airflow, simulator, watched, videos)


def _called_back(airflow: Airflow, simulator: Simulator, vendor: str, videos: Path) -> None:
    hook = get_video_hook(f"{vendor}_default")
    made = [_submit(hook, vendor, airflow.url) for _ in range(VIDEOS)]
    for job_id in made:
        simulator.move(job_id, finish=True)
    _wait_for(lambda: _stored(videos / "store_called_back") >= set(made), "the DAG of callbacks")
    events = _events(airflow, vendor)
    print(f"callbacks of {VIDEOS} renders that no task waits for: {_told(events, made)}")
    print(f"  the extra of one: {events[0]}")
    runs = _runs(airflow, "store_called_back")
    print(f"  stored by the DAG: {len(_stored(videos / 'store_called_back'))} files, {runs}")


def _bulk(airflow: Airflow, simulator: Simulator, vendor: str, videos: Path) -> None:
    before, jobs = simulator.counts(vendor), len(simulator.jobs(vendor))
    items = [{"id": f"item {n}", "request": VENDORS[vendor].request(f"item {n}")} for n in range(VIDEOS)]
    batch = airflow.home / "batch.jsonl"
    batch.write_text("".join(json.dumps(item) + "\n" for item in items))
    run = airflow.trigger("bulk_called_back", conf={"requests": batch.as_uri()})
    where = f"dags/bulk_called_back/dagRuns/{run}"
    _wait_for(lambda: _states(airflow, where) == {"deferred": 1}, "the bulk task to defer")
    time.sleep(10)
    made, began = [job["job_id"] for job in simulator.jobs(vendor)[jobs:]], time.monotonic()
    for job_id in made:
        simulator.move(job_id, finish=True)
    _wait_for(lambda: _states(airflow, where) == {"success": 1}, "the bulk task")
    after = simulator.counts(vendor)
    polls, creates = after["polls"] - before["polls"], after["creates"] - before["creates"]
    stored = len(_stored(videos / "bulk") & set(made))
    print(f"bulk task of {VIDEOS} renders with callbacks: {creates} renders, {stored} stored, {polls} polls, ", end="")
    print(f"{time.monotonic() - began:.0f} s from the first callback to success")


def _watched(airflow: Airflow, simulator: Simulator, vendor: str, videos: Path) -> None:
    hook = get_video_hook(f"{vendor}_default")
    folder = videos / "store_watched"
    lists = simulator.counts(vendor)["lists"]
    _wait_for(lambda: simulator.counts(vendor)["lists"] >= lists + 2, "the watcher")
    further: list[str] = []

    def wait_until_stored(wanted: list[str]) -> None:
        """Wait; Airflow may keep events until the next one of their asset, so that another video is made then."""
        while True:
            with suppress(RuntimeError):
                return _wait_for(lambda: _stored(folder) >= set(wanted), "the DAG of the watcher", most=60)
            if len(further) == FURTHER:
                raise RuntimeError(f"not stored: {sorted(set(wanted) - _stored(folder))}")
            further.extend(_make_in_the_app(hook, simulator, vendor, 1))

    made = _make_in_the_app(hook, simulator, vendor, VIDEOS)
    wait_until_stored(made)
    print(f"watcher, {VIDEOS} videos made in the vendor's app: {_told(_events(airflow, vendor), made)}")
    airflow.kill("triggerer")
    away = _make_in_the_app(hook, simulator, vendor, VIDEOS)
    time.sleep(20)
    airflow.start("triggerer")
    wait_until_stored(away)
    print(f"  {VIDEOS} more while the triggerer is away: {_told(_events(airflow, vendor), away)}")
    crashed = _make_in_the_app(hook, simulator, vendor, VIDEOS)
    _wait_for(lambda: {each["job_id"] for each in _events(airflow, vendor)} >= set(crashed), "their events", pause=0.1)
    airflow.kill("triggerer")  # before the next poll, with which they would be noted
    airflow.start("triggerer")
    lists = simulator.counts(vendor)["lists"]
    _wait_for(lambda: simulator.counts(vendor)["lists"] >= lists + 3, "the watcher after the crash")
    wait_until_stored(crashed)
    _wait_for(lambda: not _busy(airflow, "store_watched"), "the runs")
    print(f"  {VIDEOS} more, the triggerer killed at their events: {_told(_events(airflow, vendor), crashed)}")
    every = [*made, *away, *crashed]
    stored = len(_stored(folder) & set(every))
    print(f"  in all: {_told(_events(airflow, vendor), every)}; stored {stored} of {len(every)}, ", end="")
    print(f"for which {len(further)} further videos were made; {_runs(airflow, 'store_watched')}")


def _submit(hook: VideoHook, vendor: str, url: str) -> str:
    """Submit a render with a callback, as a program of somebody else's might."""
    key = f"avp-{uuid4().hex}00000000"
    request = hook.callback_request(VENDORS[vendor].request("called"), url=hook.callback_url(url, key), key=key)
    return hook.submit_job(request, key=key).job_id


def _make_in_the_app(hook: VideoHook, simulator: Simulator, vendor: str, count: int) -> list[str]:
    made = [hook.submit_job(VENDORS[vendor].request(f"by hand {n}")).job_id for n in range(count)]
    for job_id in made:
        simulator.move(job_id, finish=True)
    return made


def _events(airflow: Airflow, vendor: str) -> list[dict[str, Any]]:
    """Return the extras of a vendor's asset events, those of a watcher as their payload."""
    found = [event["extra"] for event in airflow.call("GET", "assets/events?limit=1000")["asset_events"]]
    extras = [extra.get("payload", extra) for extra in found]
    return [extra for extra in extras if extra.get("vendor") == vendor]


def _told(events: list[dict[str, Any]], made: list[str]) -> str:
    times = Counter(each["job_id"] for each in events if each["job_id"] in set(made))
    return f"events of {len(times)}, {sum(times.values()) - len(times)} repeated"


def _stored(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.mp4")}


def _states(airflow: Airflow, where: str) -> Counter[str]:
    return Counter(str(ti["state"]) for ti in airflow.call("GET", f"{where}/taskInstances")["task_instances"])


def _busy(airflow: Airflow, dag_id: str) -> bool:
    runs = airflow.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
    return any(run["state"] in ("queued", "running") for run in runs)


def _runs(airflow: Airflow, dag_id: str) -> str:
    _wait_for(lambda: not _busy(airflow, dag_id), f"the runs of {dag_id}")
    states = Counter(run["state"] for run in airflow.call("GET", f"dags/{dag_id}/dagRuns?limit=1000")["dag_runs"])
    return f"runs of {dag_id}: {dict(states)}"


def _wait_for(condition: Callable[[], bool], what: str, *, most: float = 300.0, pause: float = 1.0) -> None:
    end = time.monotonic() + most
    while True:
        try:
            if condition():
                return
        except requests.Timeout:  # a machine that is busy with other things
            pass
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: it takes too long")
        time.sleep(pause)
