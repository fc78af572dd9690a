# SPDX-License-Identifier: Apache-2.0
"""
A real Airflow for one run: API server, DAG processor, LocalExecutor scheduler, triggerers; on SQLite or PostgreSQL.

Every part runs in a process group of its own and is stopped by its process id.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

SETTINGS = {
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "1000",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
}
"""What every measurement of many tasks sets."""
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

    def start(self, part: str, settings: Mapping[str, str] | None = None) -> None:
        """
        Start one part; its output goes to ``<part>.log`` in the home.

        :param part: the subcommand of ``airflow``; ``triggerer:2`` starts a second triggerer, with a job of its own.
        :param settings: environment variables for this part alone.
        """
        command = part.partition(":")[0]
        with (self.home / f"{part.replace(':', '-')}.log").open("ab") as output:
            self.parts[part] = subprocess.Popen(
                [sys.executable, "-m", "airflow", command, *PARTS.get(command, ())],
                env={**self.env, **(settings or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, part: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal that ends a part to all of its processes, tasks included, and wait for the part."""
        process = self.parts.pop(part)
        _signal_groups(process.pid, sig)
        process.wait(60)

    def suspend(self, part: str) -> None:
        """Stop all processes of a part (SIGSTOP), as a paused container or a moved virtual machine does."""
        _signal_groups(self.parts[part].pid, signal.SIGSTOP)

    def resume(self, part: str) -> None:
        """Let a suspended part go on (SIGCONT)."""
        _signal_groups(self.parts[part].pid, signal.SIGCONT)

    def start_dead(self) -> list[str]:
        """Start the parts again that have ended by themselves, as a service manager does; return their names."""
        dead = [part for part, process in self.parts.items() if process.poll() is not None]
        for part in dead:
            self.start(part)
        return dead

    def stop(self) -> None:
        """Kill every part."""
        for part in list(self.parts):
            self.kill(part)

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
        """Call Airflow's REST API; one that only reads is tried again where a busy machine does not answer in time."""
        only_reads = method == "GET" or path.endswith("/list")
        for attempt in range(5):
            try:
                response = self.session.request(method, f"{self.url}/api/v2/{path}", json=body, timeout=60)
            except requests.RequestException:
                if not only_reads or attempt == 4:
                    raise
            else:
                if response.status_code < 500:
                    break
            time.sleep(1 + attempt)  # SQLite is busy
        if not response.ok:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text[:300]}")
        return response.json() if response.content else None

    def trigger(self, dag_id: str, *, run_id: str | None = None, conf: Any = None, seconds: float = 300) -> str:
        """
        Start a run of a DAG as soon as Airflow knows the DAG; return the run's id.

        :param run_id: its id, by which a request whose response was lost is not sent for another run.
        :param seconds: how long Airflow may take to find the DAG.
        """
        run_id, end = run_id or f"run-{time.time_ns()}", time.monotonic() + seconds
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        while True:
            try:
                self.call("PATCH", f"dags/{dag_id}", {"is_paused": False})
                self.call("POST", f"dags/{dag_id}/dagRuns", body)
                return run_id
            except (RuntimeError, requests.RequestException) as error:
                if " 409 " in str(error):
                    return run_id
                if time.monotonic() > end:
                    raise
                time.sleep(3)


def cpu_seconds(airflow: Airflow) -> Counter[str]:
    """Return the CPU time of each part so far, with all its children, ended ones included."""
    used: Counter[str] = Counter()
    for name, part in airflow.parts.items():
        process = psutil.Process(part.pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                used[name] += times.user + times.system + times.children_user + times.children_system
    return used


def _signal_groups(pid: int, sig: signal.Signals) -> None:
    """Send a signal to the process groups of a process and its descendants: a task has a group of its own."""
    groups = {pid}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(ProcessLookupError):
                groups.add(os.getpgid(child.pid))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, sig)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """
    Run a PostgreSQL server for the time of the block; yield its SQLAlchemy URL.

    It needs the programs ``initdb`` and ``postgres``. Both refuse to run as root, so root runs them as ``postgres``.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, reversed(debian)), os.environ.get("PATH", "")]))
    if found is None:
        raise RuntimeError("PostgreSQL is not installed: initdb is missing (Debian: apt-get install postgresql)")
    programs = Path(found).parent
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="video-postgres-"))
    if user:
        shutil.chown(folder, user)
    port, data = free_port(), folder / "data"
    initdb = [programs / "initdb", "-D", data, "-U", "airflow", "-A", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    options = ("-c", "fsync=off", "-c", "max_connections=300", "-c", "listen_addresses=127.0.0.1")
    command = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, *options]
    with (folder / "postgres.log").open("ab") as output:
        server = subprocess.Popen(command, user=user, cwd=folder, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_for_port(port, server, "PostgreSQL")
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown: connections are closed
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_port(port: int, server: subprocess.Popen[bytes], name: str) -> None:
    """Wait until a server listens."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} did not start") from None
            time.sleep(0.2)


def make_airflow(
    home: Path, dags_folder: Path, settings: Mapping[str, str], *, triggerers: int = 1, kind: type[Airflow] = Airflow
) -> Airflow:
    """
    Make a metadata database and start all parts.

    :param home: a new folder for the logs and, unless ``settings`` name another database, for SQLite's file.
    :param settings: further environment variables, which win over the ones here.
    :param triggerers: how many triggerers share the triggers.
    :param kind: a subclass that knows further parts.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "6",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "180",  # on a busy machine, many tasks may start at once
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "10000",
        "AIRFLOW__API__SECRET_KEY": "chaos-of-this-run-only-chaos-of-this-run-only",
        "AIRFLOW__API_AUTH__JWT_SECRET": "chaos-of-this-run-only-chaos-of-this-run-only-chaos-of-this-run",
        # A part that waits too short for SQLite's one writer dies of it.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
        **settings,
    }
    airflow = kind(home, env, url)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    if (file := home / "airflow.db").exists():
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")  # its readers do not wait for its one writer
    try:
        airflow.start("api-server")
        airflow.wait_until_up()
        for part in PARTS:
            airflow.start(part)
        for number in range(2, triggerers + 1):
            airflow.start(f"triggerer:{number}")
    except BaseException:
        airflow.stop()
        raise
    return airflow
