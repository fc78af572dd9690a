# SPDX-License-Identifier: Apache-2.0
"""A render job and its life: by time on its own, or moved by hand.

What a job is at some moment is a function of its record and the time, so ten thousand jobs cost no timer at all.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Job:
    """The record of one job, as it is kept on disk; times are epoch seconds."""

    vendor: str
    job_id: str
    name: str
    request: dict[str, Any]
    created_at: float
    render_seconds: float
    video_id: str | None = None
    client_id: str | None = None
    """The id by which clients know the job, where that is more than ``job_id``."""
    keys: dict[str, Any] = field(default_factory=dict)
    """The fields of the request in which a client can leave a mark, for example ``user_data``."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What only the vendor's own module understands."""
    outcome: str = "succeeded"
    ends_at: float | None = None
    """When the job ends as ``outcome`` says; None while it is held by hand."""
    error: dict[str, Any] | None = None
    status: str | None = None
    """A status set by hand; shown as it is."""
    progress: Any = None
    """A progress set by hand; shown as it is."""
    updated_at: float = 0.0
    cancelled_at: float | None = None
    deleted_at: float | None = None
    deleted_after_finish: bool = False
    watched: bool = False
    look_at: float = 0.0
    """When to look next whether the user's receivers are to be called."""
    notified: list[str] = field(default_factory=list)
    sequence: int = 0

    def ended(self, now: float) -> bool:
        """Whether the render is over, well or not (a cancelled one was never over)."""
        return self.cancelled_at is None and self.ends_at is not None and now >= self.ends_at

    def succeeded(self, now: float) -> bool:
        """Whether the video is there."""
        return self.outcome == "succeeded" and self.ended(now)

    def fraction(self, now: float) -> float:
        """How much of the render is done, 0 to 1; below 1 until it has ended."""
        if self.succeeded(now):
            return 1.0
        until = min(time_ for time_ in (now, self.ends_at, self.cancelled_at) if time_ is not None)
        return min(max((until - self.created_at) / max(self.render_seconds, 1e-9), 0.0), 0.99)

    def finished_at(self, now: float) -> float | None:
        """When the job ended, well or not; None while it has not."""
        return self.ends_at if self.ended(now) else None


@dataclass(frozen=True)
class Lifecycle:
    """The statuses of one vendor, and when each begins as a part of the render's length."""

    active: tuple[tuple[float, str], ...]
    succeeded: tuple[tuple[float, str], ...]
    failed: str
    cancelled: tuple[str, ...] = ()
    queued: frozenset[str] = frozenset()

    def status(self, job: Job, now: float) -> str:
        """The vendor's word for what the job is now."""
        if job.status is not None:
            return job.status
        if job.cancelled_at is not None:
            return self.cancelled[0] if self.cancelled else "cancelled"
        if not job.ended(now):
            return _last_begun(self.active, job.fraction(now))
        if job.outcome == "failed":
            return self.failed
        age = (now - job.created_at) / max(job.render_seconds, 1e-9)
        return _last_begun(self.succeeded, age)

    def state(self, job: Job, now: float) -> str:
        """One of ``queued running succeeded failed cancelled deleted``."""
        if job.cancelled_at is not None:
            return "cancelled"
        if job.deleted_at is not None:
            return "deleted"
        if job.ended(now):
            return job.outcome
        return "queued" if self.status(job, now) in self.queued else "running"

    def move(self, job: Job, now: float, changes: dict[str, Any]) -> None:
        """Change a job by hand; a status that is not an end holds the job there until the next move."""
        job.updated_at, job.look_at = now, 0.0
        if changes.get("delete"):
            job.deleted_at = now
        if changes.get("finish"):
            self._end(job, now, "succeeded")
        if "fail" in changes:
            self._end(job, now, "failed")
            job.error = {"code": "simulated", "message": str(changes["fail"])}
        if (status := changes.get("status")) is not None:
            self._set_status(job, now, str(status))
        if "error" in changes:
            error = changes["error"]
            job.error = error if isinstance(error, dict) else {"code": "simulated", "message": str(error)}
        if "progress" in changes:
            job.progress = changes["progress"]

    def _set_status(self, job: Job, now: float, status: str) -> None:
        words = {
            "queued": self.active[0][1],
            "running": self.active[-1][1],
            "succeeded": self.succeeded[0][1],
            "failed": self.failed,
            "cancelled": (*self.cancelled, "cancelled")[0],
        }
        known = {self.failed, *self.cancelled, *(word for _, word in self.active + self.succeeded)}
        status = status if status in known else words.get(status, status)
        if status in {word for _, word in self.succeeded}:
            self._end(job, now, "succeeded")
        elif status == self.failed:
            self._end(job, now, "failed")
        elif status == words["cancelled"] or status in self.cancelled:
            job.cancelled_at = now
        else:
            job.ends_at = job.cancelled_at = None
        job.status = status

    @staticmethod
    def _end(job: Job, now: float, outcome: str) -> None:
        job.outcome, job.ends_at, job.status, job.progress, job.cancelled_at = outcome, now, None, None, None
        if outcome == "succeeded":
            job.error = None


def _last_begun(statuses: tuple[tuple[float, str], ...], moment: float) -> str:
    word = statuses[0][1]
    for begins, name in statuses:
        if moment >= begins:
            word = name
    return word


def job_as_json(job: Job, lifecycle: Lifecycle, now: float | None = None) -> dict[str, Any]:
    """A job as the control API shows it."""
    now = time.time() if now is None else now
    record = dataclasses.asdict(job)
    for internal in ("watched", "look_at", "notified", "sequence", "extra", "keys", "outcome", "ends_at", "client_id"):
        del record[internal]
    return {
        **record,
        **job.keys,
        "job_id": job.client_id or job.job_id,
        "status": lifecycle.status(job, now),
        "state": lifecycle.state(job, now),
        "finished_at": job.finished_at(now),
    }
