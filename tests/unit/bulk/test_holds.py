# SPDX-License-Identifier: Apache-2.0
"""A vendor that takes no more renders now: the pause of a bulk task, and when it gives up."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_video_providers.bulk import submissions
from airflow_video_providers.bulk.submissions import BATCH, hold_seconds
from airflow_video_providers.exceptions import VideoApiQuotaError
from airflow_video_providers.hooks.base import KeySupport
from tests.support.submission import FakeHook
from tests.unit.bulk.test_crashes import BulkWorld, new_hook, paid, requests_, run, task_of

LIMIT = (429, {"message": "too many renders"})


def hook_of(world: BulkWorld) -> FakeHook:
    """Return a hook whose client tries nothing again."""
    hook = new_hook(world, KeySupport.EXACT, False)
    hook.client.settings = hook.client.settings.model_copy(update={"retry_deadline": 0.001})
    return hook


@pytest.mark.parametrize(
    ("asked", "holds", "seconds"),
    [(0.0, 0, 1.0), (0.0, 3, 8.0), (0.0, 9, 30.0), (2.0, 0, 2.0), (45.0, 0, 45.0), (None, 0, 30.0), (1e6, 0, 600.0)],
)
def test_a_pause_is_the_longer_of_its_own_and_the_vendors(asked: float | None, holds: int, seconds: float) -> None:
    assert hold_seconds(asked, holds) == seconds


def test_a_whole_batch_that_is_held_is_one_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "_HOLD_SECONDS", 0.01)
    world = BulkWorld()
    world.refusals = [LIMIT] * 2 * BATCH
    task = task_of(world, hook_of(world), tmp_path, 1, requests=requests_(30), max_active=BATCH)
    assert run(task)["succeeded"] == 30
    assert set(paid(world).values()) == {1}


def test_a_vendor_that_takes_nothing_for_ten_pauses_ends_the_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "_HOLD_SECONDS", 0.01)
    world = BulkWorld()
    world.refusals = [LIMIT] * 1000
    task = task_of(world, hook_of(world), tmp_path, 1, requests=requests_(1))
    with pytest.raises(VideoApiQuotaError):
        run(task)
    assert not world.jobs
    left = len(world.refusals)
    world.refusals = []
    assert run(task_of(world, hook_of(world), tmp_path, 2, requests=requests_(1)))
    assert paid(world) == {"i0": 1}
    assert 1000 - left == 11
