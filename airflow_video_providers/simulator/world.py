# SPDX-License-Identifier: Apache-2.0
"""Everything the simulator knows: jobs, counts, settings, faults and small resources, kept across a restart.

All of it is changed on the event loop's thread alone, so there are no locks. What changed is written in one
transaction before an answer leaves (``flush``), so whatever a client has seen survives even SIGKILL.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import sqlite3
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from airflow_video_providers.simulator.faults import Fault
from airflow_video_providers.simulator.jobs import Job
from airflow_video_providers.simulator.settings_book import SettingsBook
from airflow_video_providers.simulator.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COUNTS = (
    "requests", "max_in_flight", "creates", "create_requests", "polls", "lists", "videos", "files", "links",
    "downloads", "max_downloads_in_flight", "bytes", "cancels", "finished_deletes", "delete_requests", "tokens",
    "token_requests", "uploads", "upload_bytes", "callbacks", "callback_attempts", "callback_failures",
    "callbacks_lost", "faults", "limited",
)  # fmt: skip
MOST_TOKENS = 1000


class World:
    """The simulator's memory; with ``directory``, also its disk.

    Raises ``sqlite3.OperationalError`` when another simulator keeps its state in that directory.
    """

    def __init__(self, settings: SettingsBook, directory: Path | None = None) -> None:
        self.settings = settings
        self.origin = self.media_origin = ""
        self._start()
        self._dirty: set[tuple[str, str]] = set()
        self._database: sqlite3.Connection | None = None
        if directory is not None:
            self._open(directory / "simulator.sqlite3")

    def _start(self) -> None:
        self.jobs: dict[str, dict[str, Job]] = {vendor: {} for vendor in VENDORS}
        self.watched: dict[str, Job] = {}
        self.counts: dict[str, Counter[str]] = {vendor: Counter() for vendor in VENDORS}
        self.faults: dict[str, Fault] = {}
        self.resources: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.tokens: dict[str, dict[str, Any]] = {}
        self._sequence = 0

    # -- jobs ---------------------------------------------------------------------------------------------------

    def add_job(self, job: Job) -> None:
        """Keep a new job, which costs money from here on, whether the answer arrives or not."""
        self._sequence += 1
        job.sequence = self._sequence
        self.jobs[job.vendor][job.job_id] = job
        self.count(job.vendor, "creates")
        self.save_job(job)

    def save_job(self, job: Job) -> None:
        """Remember to write this job."""
        self._dirty.add(("job", f"{job.vendor}/{job.job_id}"))

    def page_url(self, job: Job) -> str:
        """Return the simulator's own page of a job: what stands in for a vendor's player."""
        return f"{self.origin}/renders/{job.vendor}/{job.job_id}"

    def find_job(self, vendor: str, job_id: str) -> Job | None:
        """Return a job that the vendor would still show; a deleted one is gone."""
        job = self.jobs[vendor].get(job_id)
        return None if job is None or job.deleted_at is not None else job

    def listed_jobs(self, vendor: str, now: float) -> list[Job]:
        """The vendor's jobs in order of creation, without those that the list does not show yet."""
        seen_before = now - self.settings.of(vendor).list_lag_seconds
        return [job for job in self.jobs[vendor].values() if job.deleted_at is None and job.created_at <= seen_before]

    def delete_job(self, job: Job, now: float | None = None) -> None:
        """Cancel an active job; remove a finished one with its files."""
        now = time.time() if now is None else now
        if job.ended(now) or job.cancelled_at is not None:
            if job.cancelled_at is None:
                job.deleted_after_finish = True
                self.count(job.vendor, "finished_deletes")
            job.deleted_at = now
        else:
            job.cancelled_at = now
            self.count(job.vendor, "cancels")
        self.save_job(job)

    # -- counts, resources, tokens --------------------------------------------------------------------------------

    def count(self, vendor: str, name: str, amount: int = 1) -> None:
        """Add to a count."""
        self.counts[vendor][name] += amount
        self._dirty.add(("counts", vendor))

    def count_peak(self, vendor: str, name: str, value: int) -> None:
        """Keep the highest value of a count."""
        if value > self.counts[vendor][name]:
            self.counts[vendor][name] = value
            self._dirty.add(("counts", vendor))

    def all_counts(self) -> dict[str, dict[str, int]]:
        """Every count of every vendor; the well-known ones are there from the start."""
        return {vendor: {**dict.fromkeys(COUNTS, 0), **counts} for vendor, counts in self.counts.items()}

    def put(self, kind: str, resource_id: str, value: dict[str, Any]) -> None:
        """Keep a small resource of a kind, which begins with the vendor's name: ``{vendor}.webhooks``."""
        self.resources[kind][resource_id] = value
        self._dirty.add(("resource", f"{kind}/{resource_id}"))

    def drop(self, kind: str, resource_id: str) -> bool:
        """Forget a small resource; False when there is none."""
        self._dirty.add(("resource", f"{kind}/{resource_id}"))
        return self.resources[kind].pop(resource_id, None) is not None

    def issue_token(self, lifetime: float, **about: Any) -> str:
        """Return a new access token; ``about`` is kept with it. The oldest go when there are more than 1,000."""
        token, now = secrets.token_urlsafe(48), time.time()
        self.tokens[token] = {"until": now + lifetime, **about}
        self._dirty.add(("token", token))
        if len(self.tokens) > MOST_TOKENS:
            kept = [name for name, value in self.tokens.items() if value["until"] > now][-MOST_TOKENS:]
            for gone in self.tokens.keys() - set(kept):
                del self.tokens[gone]
                self._dirty.add(("token", gone))
        return token

    def find_token(self, token: str) -> dict[str, Any] | None:
        """Return what is kept with a token that is still good."""
        found = self.tokens.get(token)
        return found if found is not None and time.time() < found["until"] else None

    # -- callbacks and faults ---------------------------------------------------------------------------------------

    def watch(self, job: Job) -> None:
        """Send this job's callbacks when they are due."""
        job.watched = True
        self.watched[job.job_id] = job

    def unwatch(self, job: Job) -> None:
        """Send no more of them."""
        job.watched = False
        self.watched.pop(job.job_id, None)
        self.save_job(job)

    def watch_active(self, vendor: str) -> None:
        """Watch every job that has not ended: for a receiver that is registered while jobs run."""
        now = time.time()
        for job in self.jobs[vendor].values():
            if not job.ended(now) and job.cancelled_at is None and job.deleted_at is None:
                self.watch(job)
                self.save_job(job)

    def strike(self, vendor: str, operations: tuple[str, ...]) -> Mapping[str, Any] | None:
        """Return the effect of the first fault that hits this request or callback, and count it down."""
        for fault in list(self.faults.values()):
            if fault.strikes(vendor, operations):
                if fault.times is not None and fault.times <= 0:
                    del self.faults[fault.id]
                self.count(vendor, "faults")
                self.save_faults()
                return fault.effect
        if self.faults:
            self.save_faults()
        return None

    def save_faults(self) -> None:
        """Remember to write the faults."""
        self._dirty.add(("faults", ""))

    def save_settings(self) -> None:
        """Remember to write the settings."""
        self._dirty.add(("settings", ""))

    def reset(self) -> None:
        """Go back to the start: no jobs, faults or counts, and the settings of the start."""
        self._start()
        self.settings.reset()
        self._dirty.clear()
        if self._database is not None:
            with self._database:
                self._database.execute("DELETE FROM kept WHERE kind <> 'meta'")

    # -- disk -----------------------------------------------------------------------------------------------------

    def _open(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.chmod(0o600)  # tokens and users' requests are in it
        # Without synchronous writes a crash of the machine could lose the last answers; a crash of this process
        # cannot, and nothing more is promised.
        self._database = sqlite3.connect(path, timeout=1, isolation_level="DEFERRED", check_same_thread=False)
        self._database.executescript(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS kept (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key));"
        )
        rows: dict[str, dict[str, Any]] = defaultdict(dict)
        for kind, key, value in self._database.execute("SELECT kind, key, value FROM kept"):
            rows[kind][key] = json.loads(value)
        for job in sorted((Job(**row) for row in rows["job"].values()), key=lambda job: job.sequence):
            self.jobs[job.vendor][job.job_id] = job
            self._sequence = job.sequence
            if job.watched:
                self.watch(job)
        for vendor, counts in rows["counts"].items():
            self.counts[vendor] = Counter(counts)
        for key, value in rows["resource"].items():
            kind, _, resource_id = key.partition("/")
            self.resources[kind][resource_id] = value
        self.tokens = rows["token"]
        self.faults = {row["id"]: Fault(**row) for row in rows["faults"].get("", [])}
        if kept := rows["settings"].get(""):
            self.settings.replace(kept["common"], kept["vendors"])

    def meta(self, name: str, default: Any) -> Any:
        """A value that outlives even a reset; ``default`` is kept from now on when there is none."""
        if self._database is None:
            return default
        row = self._database.execute("SELECT value FROM kept WHERE kind = 'meta' AND key = ?", (name,)).fetchone()
        if row is not None:
            return json.loads(row[0])
        self.set_meta(name, default)
        return default

    def set_meta(self, name: str, value: Any) -> None:
        """Keep a value that outlives even a reset."""
        if self._database is not None:
            with self._database:
                self._database.execute("INSERT OR REPLACE INTO kept VALUES ('meta', ?, ?)", (name, json.dumps(value)))

    def flush(self) -> None:
        """Write all that changed since the last time."""
        if not self._dirty:
            return
        if self._database is not None:
            values = [(kind, key, self._value(kind, key)) for kind, key in self._dirty]
            kept = [(kind, key, json.dumps(value)) for kind, key, value in values if value is not None]
            gone = [(kind, key) for kind, key, value in values if value is None]
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", kept)
                self._database.executemany("DELETE FROM kept WHERE kind = ? AND key = ?", gone)
        self._dirty.clear()

    def _value(self, kind: str, key: str) -> Any:
        vendor, _, identifier = key.partition("/")
        if kind == "job":
            job = self.jobs[vendor].get(identifier)
            return dataclasses.asdict(job) if job else None
        if kind == "counts":
            return self.counts[key]
        if kind == "resource":
            return self.resources[vendor].get(identifier)
        if kind == "token":
            return self.tokens.get(key)
        if kind == "faults":
            return [dataclasses.asdict(fault) for fault in self.faults.values()]
        return {"common": self.settings.common, "vendors": self.settings.vendors}
