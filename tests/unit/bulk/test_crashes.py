# SPDX-License-Identifier: Apache-2.0
"""
A bulk task crashes between any two steps, and the next try goes on: no item is paid twice, each is done or named.

The steps are every write to the state store and every request to the vendor, in all threads.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_video_providers.bulk.task import BulkTask, Settings
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from airflow_video_providers.submission.cancel import CancelPolicy
from tests.support.submission import Crash, FakeHook, FakeTaskInstance, World

COUNT, WINDOW = 5, 3


class BulkWorld(World):
    """A world whose steps may come from several threads; a process that has died takes no more steps."""

    def __init__(self) -> None:
        super().__init__()
        self.strike_at: int | None = None
        self.taken = 0
        self.lock = threading.Lock()
        self.steps = self.step  # type: ignore[assignment]
        self.fails: set[str] = set()

    def step(self, name: str) -> None:
        with self.lock:
            self.taken += 1
            if self.strike_at is not None and self.taken >= self.strike_at:
                raise Crash(name)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.step(f"before writing {key}")
        self._access()
        with self.lock:
            self.stored[key] = json.loads(json.dumps(value))
        self.step(f"after writing {key}")

    def respond(self, method: str, path: str, query: dict[str, str], body: Any, key: str | None) -> tuple[int, Any]:
        if method == "GET" and path != "/jobs":
            job = self.jobs.get(path.rpartition("/")[2])
            if job is not None and not job.state.is_terminal:
                failed = job.name in self.fails
                self.set_state(
                    job.job_id, JobState.FAILED if failed else JobState.SUCCEEDED, "lost" if failed else None
                )
        return super().respond(method, path, query, body, key)

    def _make(self, body: Any) -> tuple[int, Any]:
        with self.lock:
            return super()._make(body)

    def renew(self) -> None:
        """Begin another process."""
        self.strike_at, self.taken = None, 0


def requests_(count: int = COUNT) -> list[dict[str, Any]]:
    return [{"id": f"i{n}", "request": {"title": f"i{n}"}} for n in range(count)]


def task_of(
    world: BulkWorld, hook: FakeHook, folder: Path, try_number: int, *, max_tries: int = 5, **changes: Any
) -> BulkTask:
    ti = FakeTaskInstance(world, try_number, max_tries)
    context: Any = {
        "ti": ti,
        "task": SimpleNamespace(retries=5, retry_policy=None),
        "dag_run": SimpleNamespace(start_date=world.run_started_at),
        "task_state_store": world,
    }
    settings: dict[str, Any] = {
        "conn_id": "fake_default",
        "requests": requests_(),
        "destination": None,
        "manifest": (folder / "manifest.jsonl").as_uri(),
        "max_active": WINDOW,
        "max_failures": 0,
        "on_clear": "all",
        "outputs": ("video",),
        "if_exists": "skip",
        "streams": 1,
        "poll_interval": 0.01,
        "timeout": 600.0,
        "policy": CancelPolicy(),
        "resubmit_ambiguous": False,
    }
    return BulkTask(hook, context, Settings(**{**settings, **changes}), render=None)


def run(task: BulkTask) -> dict[str, Any]:
    try:
        assert task.run(None, may_leave=False)
        return task.report.summary()
    finally:
        task.close()


def new_hook(world: BulkWorld, support: KeySupport, replay: bool) -> FakeHook:
    hook = FakeHook(world, support, replay_seconds=86400.0 if replay else None)
    hook.find_wait = 0.0  # type: ignore[misc]
    return hook


def paid(world: BulkWorld) -> Counter[str]:
    return Counter(job.name or "" for job in world.jobs.values())


def manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


WAYS = {
    "exact": (KeySupport.EXACT, False),
    "replay": (KeySupport.NONE, True),
    "likely": (KeySupport.BEST_EFFORT, False),
    "none": (KeySupport.NONE, False),
}


def test_without_a_crash_each_is_paid_once_and_named(tmp_path: Path) -> None:
    world = BulkWorld()
    summary = run(task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1))
    assert (summary["requested"], summary["succeeded"], summary["failed"]) == (COUNT, COUNT, 0)
    assert paid(world) == {f"i{n}": 1 for n in range(COUNT)}
    lines = manifest(tmp_path)
    assert [line["id"] for line in lines] == [f"i{n}" for n in range(COUNT)]
    assert {line["state"] for line in lines} == {"succeeded"}
    assert {line["job_id"] for line in lines} == set(world.jobs)


@pytest.mark.parametrize("way", WAYS)
def test_a_crash_at_any_step_buys_nothing_twice(way: str, tmp_path: Path) -> None:
    support, replay = WAYS[way]
    probe = BulkWorld()
    run(task_of(probe, new_hook(probe, support, replay), tmp_path, 1))
    steps = probe.taken
    assert steps > 3 * COUNT
    for strike in range(1, steps + 1):
        world = BulkWorld()
        world.strike_at = strike
        task = task_of(world, new_hook(world, support, replay), tmp_path, 1)
        with contextlib.suppress(Crash):
            run(task)
        world.renew()
        summary = run(task_of(world, new_hook(world, support, replay), tmp_path, 2, max_failures=COUNT))
        bought = paid(world)
        assert max(bought.values()) == 1, (way, strike, bought)
        ambiguous = summary["ambiguous"]
        assert summary["succeeded"] + ambiguous == COUNT, (way, strike, summary)
        assert ambiguous <= (1 if way in ("likely", "none") else 0), (way, strike, summary)


@pytest.mark.parametrize("way", WAYS)
def test_a_lost_response_is_one_render(way: str, tmp_path: Path) -> None:
    support, replay = WAYS[way]
    world = BulkWorld()
    world.lose_answer = True
    summary = run(task_of(world, new_hook(world, support, replay), tmp_path, 1, max_failures=1))
    assert max(paid(world).values()) == 1
    assert summary["ambiguous"] == (1 if way == "none" else 0)
    assert summary["succeeded"] == COUNT - summary["ambiguous"]


def test_a_retry_submits_again_what_failed_and_nothing_else(tmp_path: Path) -> None:
    world = BulkWorld()
    world.fails = {"i2", "i4"}
    first = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1)
    run(first)
    assert first.report.failed_too_many()
    assert first.report.could_retry()
    # What still ran when the first one failed was cancelled; a retry submits that again, too.
    again = {line["id"] for line in manifest(tmp_path) if line["job_id"] and line["state"] in ("failed", "cancelled")}
    assert again & world.fails
    world.fails = set()
    world.renew()
    summary = run(task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 2))
    assert summary["succeeded"] == COUNT
    assert {name for name, count in paid(world).items() if count == 2} == again
    assert max(paid(world).values()) <= 2


def test_above_max_failures_nothing_new_is_submitted(tmp_path: Path) -> None:
    world = BulkWorld()
    world.fails = {f"i{n}" for n in range(40)}
    task = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1, requests=requests_(40), max_failures=2)
    summary = run(task)
    assert task.report.failed_too_many()
    assert sum(paid(world).values()) <= 3 + WINDOW
    assert summary["failed"] + summary["cancelled"] >= 3
    assert [line["state"] for line in manifest(tmp_path)].count("pending") == 40 - sum(paid(world).values())


def test_a_share_of_failures_is_a_share_of_all(tmp_path: Path) -> None:
    world = BulkWorld()
    world.fails = {"i0"}
    task = task_of(
        world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1, requests=requests_(20), max_failures=0.05
    )
    assert run(task)["succeeded"] == 19
    assert not task.report.failed_too_many()


@pytest.mark.parametrize(("on_clear", "again"), [("all", COUNT), ("failed", 1)])
def test_a_clear_renders_again_what_it_is_asked_to(tmp_path: Path, on_clear: str, again: int) -> None:
    world = BulkWorld()
    world.fails = {"i3"}
    run(task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1, max_failures=1, max_tries=1))
    world.fails = set()
    world.renew()
    summary = run(task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 2, max_tries=7, on_clear=on_clear))
    assert summary["succeeded"] == COUNT
    assert sum(paid(world).values()) == COUNT + again


def test_a_try_that_the_scheduler_adds_renders_nothing_again(tmp_path: Path) -> None:
    """A scheduler that was restarted resets tasks that no scheduler owns, also where no retry is left."""
    world = BulkWorld()
    for try_number in (1, 2, 3):
        task = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, try_number, max_tries=0)
        assert run(task)["succeeded"] == COUNT
        world.renew()
    assert set(paid(world).values()) == {1}


def test_a_changed_request_renders_that_one_again(tmp_path: Path) -> None:
    world = BulkWorld()
    run(task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1))
    world.renew()
    changed = [*requests_()[:-1], {"id": f"i{COUNT - 1}", "request": {"title": "changed"}}]
    run(task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 2, requests=changed))
    assert sum(paid(world).values()) == COUNT + 1
    assert paid(world)["changed"] == 1


def test_a_wrong_key_ends_the_task_after_one_window(tmp_path: Path) -> None:
    from airflow_video_providers.exceptions import VideoApiAuthenticationError

    world = BulkWorld()
    world.refusals = [(401, {"message": "wrong key"})] * 100
    task = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1, requests=requests_(40))
    with pytest.raises(VideoApiAuthenticationError):
        run(task)
    assert len(world.posts) <= WINDOW
    assert not world.jobs


def test_a_superseded_try_sends_nothing_more(tmp_path: Path) -> None:
    from airflow_video_providers.exceptions import SubmissionSupersededError

    world = BulkWorld()
    task = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1)
    world.superseded = True
    with pytest.raises(SubmissionSupersededError):
        run(task)
    assert not world.posts


def test_a_window_of_intents_is_one_write(tmp_path: Path) -> None:
    world = BulkWorld()
    writes: list[str] = []
    plain = world.set

    def counted(key: str, value: Any, *, retention: Any = None) -> None:
        writes.append(key)
        plain(key, value, retention=retention)

    world.set = counted  # type: ignore[method-assign]
    run(
        task_of(
            world,
            new_hook(world, KeySupport.EXACT, False),
            tmp_path,
            1,
            requests=requests_(90),
            max_active=90,
            poll_interval=0.5,
        )
    )
    assert sum(paid(world).values()) == 90
    assert len(writes) < 60, "a single submission writes twice: these would be 180"


class LateWorld(BulkWorld):
    """A worker dies before its request leaves, and the vendor does not show a new job at the first polls."""

    dies, unseen = True, 2

    def step(self, name: str) -> None:
        if name == "before the POST" and self.dies:
            raise Crash(name)
        super().step(name)

    def respond(self, method: str, path: str, query: dict[str, str], body: Any, key: str | None) -> tuple[int, Any]:
        if method == "GET" and path != "/jobs" and self.unseen > 0:
            self.unseen -= 1
            return 404, {"message": "no such job"}
        return super().respond(method, path, query, body, key)


def test_a_job_that_a_late_replay_made_is_not_gone_before_it_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LateWorld()
    monkeypatch.setattr("airflow_video_providers.submission.resolve.time.sleep", world.sleep)
    with contextlib.suppress(Crash):
        run(task_of(world, new_hook(world, KeySupport.NONE, True), tmp_path, 1, requests=requests_(1)))
    assert not world.jobs
    world.dies = False
    (record,) = (entry["record"] for value in world.stored.values() for entry in value.get("entries", ()))
    at = datetime.fromisoformat(record["intended_at"].replace("Z", "+00:00"))
    record["intended_at"] = (at - timedelta(minutes=10)).isoformat()
    hook = new_hook(world, KeySupport.NONE, True)
    hook.find_wait = 60.0  # type: ignore[misc]
    summary = run(task_of(world, hook, tmp_path, 2, requests=requests_(1)))
    assert (summary["succeeded"], paid(world)) == (1, {"i0": 1})
