# SPDX-License-Identifier: Apache-2.0
"""
A task's tries without Airflow: a state store, a task instance, a vendor, and a crash between any two steps.

Every effect on the world (a write to the store, a POST, a look, a push to XCom, a deferral) announces itself to
:class:`Steps` before and after it happens; the crash strikes at the n-th announcement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from airflow_video_providers.exceptions import VideoApiNotFoundError, VideoApiUnavailableError
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.jobs import JobError, JobState, VideoJob, VideoOutput


class Crash(BaseException):
    """The worker dies here: nothing below catches it but what a dead process would not run."""


@dataclass
class Steps:
    """Counts the steps of a try; strikes at one of them."""

    strike_at: int | None = None
    seen: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.seen.append(name)
        if self.strike_at is not None and len(self.seen) == self.strike_at:
            raise Crash(name)


class World:
    """What outlives a try: the state store, the vendor's jobs, what Airflow thinks of the task."""

    def __init__(self) -> None:
        self.steps = Steps()
        self.stored: dict[str, Any] = {}
        self.jobs: dict[str, VideoJob] = {}
        self.hidden: set[str] = set()
        self.slept = 0.0
        self.list_lag = 0.0
        self.created_at: dict[str, float] = {}
        self.cancelled: list[str] = []
        self.lose_answer = False
        self.never_arrives = False
        self.xcoms: dict[str, Any] = {}
        self.task_state: str | None = "running"
        self.run_started_at = datetime.now(timezone.utc)

    # the state store
    def get(self, key: str, default: Any = None) -> Any:
        return self.stored.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.steps(f"before writing {value['state']}")
        self.stored[key] = value
        self.steps(f"after writing {value['state']}")

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def set_state(self, job_id: str, state: JobState, reason: str | None = None) -> None:
        error = JobError(message=reason) if reason else None
        self.jobs[job_id] = self.jobs[job_id].model_copy(update={"state": state, "error": error})


class FakeHook(VideoHook):
    """A vendor in memory; its jobs live in a :class:`World`."""

    conn_type = "fake"
    hook_name = "Fake"
    default_conn_name = "fake_default"
    vendor = "fake"
    default_base_url = "http://127.0.0.1"

    def __init__(
        self, world: World, support: KeySupport, conn_id: str = "fake_default", can_cancel: bool = True
    ) -> None:
        super().__init__(conn_id)
        self.world = world
        self.key_support = support  # type: ignore[misc]  # a vendor of each kind in one class
        self.can_cancel = can_cancel  # type: ignore[misc]

    def make_auth(self) -> Any:
        raise AssertionError("no call leaves the process")

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        world = self.world
        world.steps("before the POST")
        if world.never_arrives:
            world.never_arrives = False
            raise self._lost("read timeout")
        job = VideoJob(
            vendor="fake",
            job_id=f"job-{len(world.jobs) + 1}",
            state=JobState.RUNNING,
            vendor_status="running",
            key=key,
            page_url=f"https://app.example/{len(world.jobs) + 1}",
            created_at=datetime.now(timezone.utc),
        )
        world.jobs[job.job_id] = job
        world.created_at[job.job_id] = world.slept
        world.steps("after the vendor accepted")
        if world.lose_answer:
            world.lose_answer = False
            raise self._lost("connection reset")
        return job

    def get_job(self, job_id: str) -> VideoJob:
        self.world.steps("before a look")
        if job_id not in self.world.jobs or job_id in self.world.hidden:
            raise VideoApiNotFoundError("no such job", vendor="fake", endpoint="GET /jobs/{id}", status=404)
        return self.world.jobs[job_id]

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        world = self.world
        world.steps("before a search")
        assert self.key_support is not KeySupport.NONE
        for job in world.jobs.values():
            shown = world.slept - world.created_at[job.job_id] >= world.list_lag and job.job_id not in world.hidden
            if shown and job.key == key and job.state not in (JobState.FAILED, JobState.CANCELLED):
                return job
        return None

    def cancel_job(self, job_id: str) -> VideoJob | None:
        self.world.steps("before a cancel")
        seen = self.world.jobs.get(job_id)
        if seen is not None and not seen.state.is_terminal:
            self.world.set_state(job_id, JobState.CANCELLED)
            self.world.cancelled.append(job_id)
        return seen

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        return []

    def check_connection(self) -> str:
        return "in memory"

    def test_connection(self) -> tuple[bool, str]:
        return True, "in memory"

    def _lost(self, text: str) -> VideoApiUnavailableError:
        return VideoApiUnavailableError(text, vendor="fake", endpoint="POST /jobs", outcome_unknown=True)


class FakeTaskInstance:
    """A try, as far as an operator sees it."""

    dag_id, run_id, task_id, map_index = "d", "r", "t", -1

    def __init__(self, world: World, try_number: int = 1, max_tries: int = 5) -> None:
        self.world = world
        self.try_number = try_number
        self.max_tries = max_tries

    def xcom_push(self, key: str, value: Any) -> None:
        self.world.steps(f"before pushing {key}")
        self.world.xcoms[key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        if self.world.task_state is None:
            raise ConnectionError("no answer")
        return {"r": {"t": self.world.task_state}}


def context_of(world: World, operator: Any, try_number: int = 1, max_tries: int = 5) -> Any:
    """Return the context of one try."""
    ti = FakeTaskInstance(world, try_number, max_tries)
    dag_run = SimpleNamespace(start_date=world.run_started_at)
    return {"ti": ti, "task": operator, "task_state_store": world, "dag_run": dag_run}
