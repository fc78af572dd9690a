# SPDX-License-Identifier: Apache-2.0
"""A real Airflow of one's own: API server, DAG processor, scheduler with the LocalExecutor, triggerer; on SQLite."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

# Task logs are read from the disk: no server for them, whose port another Airflow may hold.
PARTS = {"dag-processor": (), "scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)}


@dataclass
class Airflow:
    """The parts of Airflow, each in a process group of its own."""

    home: Path
    env: dict[str, str]
    url: str
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def start(self, part: str) -> None:
        """Start one part; its output goes to a file in the home."""
        output = (self.home / f"{part}.log").open("ab")
        self.parts[part] = subprocess.Popen(
            [sys.executable, "-m", "airflow", part, *PARTS.get(part, ())],
            env=self.env,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self, part: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process group of a part, and wait for it."""
        process = self.parts.pop(part)
        groups = {process.pid}
        for child in psutil.Process(process.pid).children(recursive=True):
            # A task has a process group of its own.
            with contextlib.suppress(ProcessLookupError):
                groups.add(os.getpgid(child.pid))
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, sig)
        process.wait(60)

    def wait_until_up(self) -> None:
        """Wait for the API server, and log in."""
        self.session.trust_env = False
        end = time.monotonic() + 180
        while True:
            try:
                token = self.session.get(f"{self.url}/auth/token", timeout=10).json()["access_token"]
                self.session.headers["Authorization"] = f"Bearer {token}"
                return
            except (requests.RequestException, ValueError, KeyError):
                if time.monotonic() > end:
                    raise
                time.sleep(2)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call Airflow's REST API."""
        for attempt in range(5):
            answer = self.session.request(method, f"{self.url}/api/v2/{path}", json=body, timeout=60)
            if answer.status_code < 500:
                break
            time.sleep(1 + attempt)  # SQLite is busy
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def make_airflow(home: Path, dags_folder: Path, settings: dict[str, str]) -> Airflow:
    """
    Make a metadata database and start all parts.

    :param home: a new folder for the database and the logs.
    :param settings: further environment variables, which win over the ones here.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "6",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": "chaos-of-this-run-only-chaos-of-this-run-only",
        "AIRFLOW__API_AUTH__JWT_SECRET": "chaos-of-this-run-only-chaos-of-this-run-only-chaos-of-this-run",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
        **settings,
    }
    airflow = Airflow(home, env, url)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    airflow.start("api-server")
    airflow.wait_until_up()
    for part in PARTS:
        airflow.start(part)
    return airflow
