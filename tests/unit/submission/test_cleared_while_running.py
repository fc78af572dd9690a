# SPDX-License-Identifier: Apache-2.0
"""A task that is cleared while it runs fails only after Airflow has begun to stop it: only then it counts the clear."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_video_providers.bulk.task import BulkTask
from airflow_video_providers.exceptions import SubmissionSupersededError
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.operators.render_videos import RenderVideosOperator
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.submission import task_state
from tests.support.submission import FakeHook, FakeTaskInstance, World, context_of


class Stopped(BaseException):
    """The supervisor stops the process here."""


class Cleared(FakeTaskInstance):
    """A task instance whose supervisor acts on the clear after some time."""

    polls = 0
    then: Any = Stopped

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        self.polls += 1
        if self.world.task_state != "restarting" or self.polls <= 4:
            return super().get_task_states()
        if isinstance(self.then, str):
            return {"r": {"t": self.then}}
        raise self.then


class Clearing(World):
    """Airflow takes note of a clear while the vendor responds."""

    def _create(self, body: Any, key: str | None) -> tuple[int, Any]:
        response = super()._create(body, key)
        self.superseded, self.task_state = True, "restarting"
        return response


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_state, "_PAUSE", 0.001)


def submit(then: Any, **arguments: Any) -> tuple[Clearing, SubmitVideoJobOperator, Any]:
    world = Clearing()
    operator = SubmitVideoJobOperator(
        task_id="t", conn_id="fake_default", request={"title": "A"}, retries=1, poll_interval=0.001, **arguments
    )
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    ti = Cleared(world)
    ti.then = then
    return world, operator, {**context_of(world, operator), "ti": ti}


@pytest.mark.parametrize("waits", [False, True])
def test_a_cleared_try_does_not_fail_before_it_is_stopped(waits: bool) -> None:
    world, operator, context = submit(Stopped, wait_for_completion=waits, deferrable=False)
    with pytest.raises(Stopped):
        operator.execute(context)
    assert world.cancelled == ["job-1"]


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed", "removed"])
def test_it_fails_at_once_when_the_next_try_has_begun(state: str) -> None:
    _, operator, context = submit(state, wait_for_completion=False)
    with pytest.raises(SubmissionSupersededError):
        operator.execute(context)
    assert context["ti"].polls == 5


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_state, "STOP_SECONDS", 0.01)
    world, operator, context = submit("restarting", wait_for_completion=False)
    with pytest.raises(SubmissionSupersededError):
        operator.execute(context)
    assert world.cancelled == ["job-1"]


def test_what_ended_the_try_is_told_where_airflow_does_not_respond() -> None:
    _, operator, context = submit(ConnectionError("no response"), wait_for_completion=False)
    with pytest.raises(SubmissionSupersededError):
        operator.execute(context)


def test_a_try_that_cancelled_its_job_since_it_was_cleared_waits_too() -> None:
    world = World()
    operator = SubmitVideoJobOperator(
        task_id="t", conn_id="fake_default", request={"title": "A"}, wait_for_completion=True, deferrable=True
    )
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    ti = Cleared(world)
    push = ti.xcom_push

    def clear(key: str, value: Any) -> None:
        push(key, value)
        world.task_state = "restarting"

    ti.xcom_push = clear  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        operator.execute({**context_of(world, operator), "ti": ti})
    assert world.cancelled == ["job-1"]


def test_a_bulk_task_waits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> bool:
        raise SubmissionSupersededError("Airflow has replaced this try of the task.")

    monkeypatch.setattr(BulkTask, "run", run)
    world = World()
    operator = RenderVideosOperator(
        task_id="t", conn_id="fake_default", requests=[{"title": "A"}], manifest="file:///nowhere/m.jsonl"
    )
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    world.task_state = "restarting"
    ti = Cleared(world)
    with pytest.raises(Stopped):
        operator.execute({**context_of(world, operator), "ti": ti, "run_id": "r", "dag": SimpleNamespace(dag_id="d")})
    assert ti.polls == 5
