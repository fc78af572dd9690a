# SPDX-License-Identifier: Apache-2.0
"""How a try of a bulk task ends: killed by a user, stopped with its worker, cleared, after a poll that fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_video_providers.bulk.ledger import CHUNK_ITEMS, ItemState, Ledger
from airflow_video_providers.bulk.report import Report
from airflow_video_providers.bulk.task import BulkTask
from airflow_video_providers.exceptions import SubmissionSupersededError, VideoPollingError
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState
from tests.unit.bulk.test_crashes import WINDOW, BulkWorld, manifest, new_hook, paid, requests_, task_of


class SlowWorld(BulkWorld):
    """A world whose renders run until they are ended by hand."""

    def respond(self, method: str, path: str, query: dict[str, str], body: Any, key: str | None) -> tuple[int, Any]:
        return super(BulkWorld, self).respond(method, path, query, body, key)


def deferred(world: BulkWorld, folder: Path, *, window: int = WINDOW, **changes: Any) -> BulkTask:
    """Return a task that has filled its window and may leave."""
    task = task_of(world, new_hook(world, KeySupport.EXACT, False), folder, 1, **changes)
    assert not task.run(None, may_leave=True)
    assert sum(paid(world).values()) == window
    return task


def say_state(task: BulkTask, state: str | None) -> None:
    task.ti = SimpleNamespace(
        map_index=-1, dag_id="d", task_id="t", run_id="r", get_task_states=lambda **_: {"r": {"t": state}}
    )


def test_a_failure_that_a_trigger_saw_is_counted_before_anything_is_submitted(tmp_path: Path) -> None:
    world = SlowWorld()
    deferred(world, tmp_path).close()
    (failed, *rest) = world.jobs
    world.set_state(failed, JobState.FAILED, "lost")
    number = int(str(world.jobs[failed].name).removeprefix("i"))  # threads submit in any order
    event = {"ended": [{"number": number, "job": world.jobs[failed].to_xcom()}], "error": None}
    task = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1)
    assert task.run(event, may_leave=True)
    assert task.report.failed_too_many()
    assert sum(paid(world).values()) == WINDOW
    assert {world.jobs[job_id].state for job_id in rest} == {JobState.CANCELLED}
    task.close()


def test_a_user_who_ends_the_task_ends_all_that_runs(tmp_path: Path) -> None:
    world = SlowWorld()
    task = deferred(world, tmp_path)
    say_state(task, "failed")
    task.kill()
    assert {job.state for job in world.jobs.values()} == {JobState.CANCELLED}
    assert [line["state"] for line in manifest(tmp_path)].count("cancelled") == WINDOW
    task.close()


def test_a_worker_that_is_stopped_cancels_nothing_and_submits_nothing_more(tmp_path: Path) -> None:
    world = SlowWorld()
    task = deferred(world, tmp_path)
    say_state(task, "running")
    task.kill()
    assert {job.state for job in world.jobs.values()} <= {JobState.QUEUED, JobState.RUNNING}
    assert task._window is not None
    task._window.take_events(
        {"number": number, "job": job.model_copy(update={"state": JobState.SUCCEEDED}).to_xcom()}
        for number, job in enumerate(world.jobs.values())
    )
    task._window._fill()
    assert sum(paid(world).values()) == WINDOW
    task.close()


def test_a_deferral_is_not_asked_for_after_the_user_has_ended_the_task(tmp_path: Path) -> None:
    world = SlowWorld()
    task = deferred(world, tmp_path)
    say_state(task, "success")
    with pytest.raises(SubmissionSupersededError):
        task.check_wanted()
    assert {job.state for job in world.jobs.values()} == {JobState.CANCELLED}
    task.close()


def test_a_clear_cancels_what_runs_before_it_renders_again(tmp_path: Path) -> None:
    world = SlowWorld()
    deferred(world, tmp_path).close()
    first = set(world.jobs)
    again = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 2, max_tries=7)
    assert not again.run(None, may_leave=True)
    assert {world.jobs[job_id].state for job_id in first} == {JobState.CANCELLED}
    assert len(world.jobs) == 2 * WINDOW
    again.close()


def test_a_trigger_that_gave_up_ends_the_try_unless_the_vendor_answers(tmp_path: Path) -> None:
    world = SlowWorld()
    deferred(world, tmp_path).close()
    event = {"ended": [], "error": "polling was given up"}
    again = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1)
    assert not again.run(event, may_leave=True)
    again.close()
    plain = world.respond

    def refuse(method: str, path: str, *rest: Any) -> tuple[int, Any]:
        return (403, {}) if method == "GET" else plain(method, path, *rest)

    world.respond = refuse  # type: ignore[method-assign]
    last = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1)
    with pytest.raises(VideoPollingError, match="polling was given up"):
        last.run(event, may_leave=True)
    last.close()


def test_the_event_of_an_earlier_trys_trigger_submits_nothing_twice(tmp_path: Path) -> None:
    """A clear that keeps what runs, and a request whose response nobody read: both are looked for first."""
    world = SlowWorld()
    first = deferred(world, tmp_path)
    first.close()
    entry = first.ledger.entries[0]
    assert entry.record is not None
    entry.state, entry.record = ItemState.PENDING, entry.record.updated(state="intended", job_id=None)
    first.ledger.touch(0)
    first.ledger.flush()
    again = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 2, max_tries=7, on_clear="failed")
    assert not again.run({"ended": [], "error": None}, may_leave=True)
    assert len(world.jobs) == WINDOW
    again.close()


def test_a_resumed_task_writes_the_head_of_the_ledger_alone(tmp_path: Path) -> None:
    world = BulkWorld()
    from airflow_video_providers.bulk.items import read_items

    items = read_items(requests_(3 * CHUNK_ITEMS), conn_id="fake_default")
    ledger = Ledger(world, items)
    ledger.begin(try_number=1, max_tries=1)
    writes: list[str] = []
    world.set = lambda key, value, **_: writes.append(key)  # type: ignore[method-assign]
    Ledger(world, items).begin(try_number=1, max_tries=1)
    assert writes == ["video_bulk"]
    moved = [items[1], items[0], *items[2:]]
    Ledger(world, moved).begin(try_number=1, max_tries=1)
    assert writes[1:] == ["video_bulk", "video_bulk_0"]


def test_a_share_of_failures_is_not_cut_by_the_arithmetic_of_floats(tmp_path: Path) -> None:
    from airflow_video_providers.bulk.items import read_items

    ledger = Ledger(BulkWorld(), read_items(requests_(100), conn_id="fake_default"))
    for number in range(29):
        ledger.entries[number].state = ItemState.FAILED
    assert not Report(ledger, manifest="", max_failures=0.29).failed_too_many()
    assert Report(ledger, manifest="", max_failures=28).failed_too_many()
