# SPDX-License-Identifier: Apache-2.0
"""
What the scripts that run Airflow beside the simulator share: processes that are all stopped at the end.

Each process is started in a group of its own, and its id is noted in the script's folder: whatever was started is found
again at the end, and by the next run if this one is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import requests

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "airflow.db"


class RunError(Exception):
    """Something did not go as it must; the text says what, and where to look."""


class LocalRun:
    """
    Processes of one script, one run at a time in a checkout.

    :param name: of the script, before each line that it prints.
    :param work: a folder for logs, Airflow's files and the ids of the processes.
    """

    def __init__(self, name: str, work: Path) -> None:
        self.name, self.work = name, work
        self._noted = work / "processes"

    def say(self, text: str) -> None:
        """Print one line of progress at once."""
        print(f"[{self.name}] {text}", flush=True)

    def carry_out(self, work: Callable[[], None], *, interrupted: int) -> int:
        """
        Do the work of the script, and stop whatever it has started, however it ends; return the exit code.

        :param interrupted: the exit code after Ctrl-C.
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            self.stop_started()
            work()
            return 0
        except RunError as error:
            print(f"\n{self.name} failed: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nstopping ...", file=sys.stderr)
            return interrupted
        finally:
            # A second Ctrl-C must not leave anything running.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self.stop_started()

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        """
        Start a process in a group of its own and note its id.

        Signals wait until the id is on disk.
        """
        signals = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            process = subprocess.Popen(
                command,
                text=True,
                start_new_session=True,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, signals),
                **options,
            )
            with self._noted.open("a") as noted:
                noted.write(f"{process.pid} {psutil.Process(process.pid).create_time()}\n")
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        return process

    def stop_started(self) -> None:
        """Stop the process groups that this run, or an earlier one that was killed, has started, with all in them."""
        for line in self._noted.read_text().splitlines() if self._noted.exists() else []:
            pid, created = line.split()
            try:
                process = psutil.Process(int(pid))
                if process.create_time() != float(created):  # another process may have the id by now
                    continue
                groups = _groups_of(process)
            except psutil.NoSuchProcess:
                continue
            _signal(groups, signal.SIGTERM)
            end = time.monotonic() + 10
            psutil.wait_procs([process], 10)
            while _alive(groups) and time.monotonic() < end:
                time.sleep(0.1)
            _signal(groups, signal.SIGKILL)
        self._noted.unlink(missing_ok=True)

    def start_simulator(self, *, render_seconds: float) -> str:
        """Start the simulator on a free port and return its address."""
        command = [sys.executable, "-m", "airflow_video_providers.simulator", "--port", "0"]
        command += ["--render-seconds", str(render_seconds)]
        with (self.work / "simulator.log").open("w") as log:
            process = self.start(command, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        for line in process.stdout:
            if "ready on" in line:
                url = line.split()[-1]
                self.say(f"simulator of the vendors' APIs on {url}")
                return url
        raise RunError(f"the simulator did not start; see {self.work / 'simulator.log'}")

    def airflow(self, arguments: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[str]:
        """Start an Airflow command."""
        with log.open("w") as out:
            return self.start(
                [sys.executable, "-m", "airflow", *arguments], env=env, stdout=out, stderr=subprocess.STDOUT
            )

    def run_airflow(self, arguments: list[str], env: dict[str, str], name: str) -> None:
        """Run an Airflow command to its end."""
        log = self.work / f"{name}.log"
        if self.airflow(arguments, env, log).wait():
            raise RunError(f"airflow {' '.join(arguments)} failed; see {log}")

    def make_database(self, env: dict[str, str]) -> None:
        """Make the database of :func:`standalone_environment`; its readers do not wait for its one writer (WAL)."""
        self.run_airflow(["db", "migrate"], env, "db-migrate")
        with closing(sqlite3.connect(Path(env["AIRFLOW_HOME"]) / DATABASE)) as database:
            database.execute("PRAGMA journal_mode=WAL")


def control(url: str, path: str) -> Any:
    """Ask the simulator's control API."""
    response = requests.get(f"{url}/_simulator/{path}", timeout=30)
    response.raise_for_status()
    return response.json()


def clean_environment() -> dict[str, str]:
    """Return the environment without the settings of another Airflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}


def standalone_environment(work: Path, port: int, dags: Path) -> dict[str, str]:
    """
    Return the settings of an ``airflow standalone`` that listens on this machine alone: no login, every DAG unpaused.

    :param work: a folder for its files.
    """
    address = f"http://127.0.0.1:{port}"
    return {
        **clean_environment(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),  # finds `airflow`
        "AIRFLOW_HOME": str(work / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__PARALLELISM": "4",  # SQLite has one writer
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{work / 'airflow' / DATABASE}?timeout=60",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        # The machine may do much else: a scheduler whose heartbeat is late would have running tasks tried anew.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }


def wait_for_url(url: str, server: subprocess.Popen[str], *, seconds: float, **request: Any) -> Any:
    """
    Ask until the answer is good, and return its JSON; with ``json=``, by POST.

    :raises RunError: the server ended, or the time is over.
    """
    session = requests.Session()
    session.trust_env = False
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RunError("Airflow did not start; see airflow.log")
        try:
            response = session.request("POST" if "json" in request else "GET", url, timeout=30, **request)
            if response.ok:
                return response.json()
        except (requests.RequestException, ValueError):
            pass
        time.sleep(1)
    raise RunError(f"{url} did not answer within {seconds:g} s; see airflow.log")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _groups_of(process: psutil.Process) -> set[int]:
    """Return the groups of a process and of all that it has started: a task of Airflow has one of its own."""
    groups = {process.pid}
    for child in process.children(recursive=True):
        try:
            groups.add(os.getpgid(child.pid))
        except ProcessLookupError:
            continue
    return groups - {os.getpgrp()}


def _signal(groups: set[int], sig: signal.Signals) -> None:
    for group in groups:
        try:
            os.killpg(group, sig)
        except ProcessLookupError:
            continue


def _alive(groups: set[int]) -> bool:
    found = False
    for group in groups:
        try:
            os.killpg(group, 0)
            found = True
        except ProcessLookupError:
            continue
    return found
