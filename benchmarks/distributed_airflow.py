# SPDX-License-Identifier: Apache-2.0
"""A distributed Airflow for one run: Redis, CeleryExecutor, two workers, two schedulers, two triggerers."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from live_airflow import Airflow, free_port, make_airflow, wait_for_port

CONCURRENCY = 4
"""Tasks that a worker runs at a time."""


@dataclass
class Redis:
    """The broker; it keeps its queue on disk, as a broker that may be restarted does."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where Celery finds it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server."""
        options = ("--bind", "127.0.0.1", "--dir", self.folder, "--appendonly", "yes", "--appendfsync", "always")
        command = ["redis-server", "--port", str(self.port), *options, "--save", ""]
        with (self.folder / "redis.log").open("ab") as output:
            user = "redis" if os.geteuid() == 0 else None
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, user=user, cwd=self.folder, start_new_session=True
            )
        wait_for_port(self.port, self.process, "Redis")

    def stop(self) -> None:
        """Stop the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def restart(self, seconds: float) -> None:
        """Kill the server, and start it again after a while."""
        self.stop()
        time.sleep(seconds)
        self.start()


@contextlib.contextmanager
def redis() -> Iterator[Redis]:
    """Run a Redis server for the time of the block; it needs the program ``redis-server``."""
    if shutil.which("redis-server") is None:
        raise RuntimeError("Redis is not installed (Debian: apt-get install redis-server)")
    folder = Path(tempfile.mkdtemp(prefix="video-redis-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "redis")
    server = Redis(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class DistributedAirflow(Airflow):
    """An Airflow whose parts are there twice; ``worker:1`` is a Celery worker."""

    def start(self, part: str, settings: Mapping[str, str] | None = None) -> None:
        """Start one part, as :meth:`Airflow.start` does."""
        name, _, number = part.partition(":")
        if name != "worker":
            super().start(part, settings)
            return
        command = [sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs"]
        command += ["--concurrency", str(CONCURRENCY), "--celery-hostname", f"worker{number}@localhost"]
        command += ["--pid", str(self.home / f"worker-{number}-{time.time_ns()}.pid"), "--without-gossip"]
        with (self.home / f"worker-{number}.log").open("ab") as output:
            self.parts[part] = subprocess.Popen(
                command, env={**self.env, **(settings or {})}, stdout=output, stderr=output, start_new_session=True
            )


def make_distributed(home: Path, dags: Path, settings: Mapping[str, str], database: str, broker: str) -> Airflow:
    """Make a metadata database and start all parts."""
    celery = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__PARALLELISM": "64",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": "db+" + database,
        "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL": "True",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "15",
        "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "20",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    }
    airflow = make_airflow(home, dags, {**celery, **settings}, triggerers=2, kind=DistributedAirflow)
    try:
        for part in ("scheduler:2", "worker:1", "worker:2"):
            airflow.start(part)
    except BaseException:
        airflow.stop()
        raise
    return airflow
