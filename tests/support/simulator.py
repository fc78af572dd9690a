# SPDX-License-Identifier: Apache-2.0
"""The simulator as a process of its own, one for a test session, put back to the start before each test."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_video_providers.simulator.vendors import load_vendors

if TYPE_CHECKING:
    from collections.abc import Iterator

VENDORS = load_vendors()
"""Every vendor of the simulator, by name."""
READY = "simulator ready on "


class Simulator:
    """A running simulator and its control API."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "airflow_video_providers.simulator", *(arguments or ("--port", "0"))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(READY):
            raise RuntimeError(f"The simulator did not start (exit code {self.process.wait(10)}): {line!r}")
        self.url = line.removeprefix(READY).strip()
        self._session = requests.Session()
        self._session.trust_env = False

    def base_url(self, vendor: str) -> str:
        """What a connection's ``host`` holds."""
        return str(self.connection(vendor)["host"])

    def connection(self, vendor: str) -> dict[str, Any]:
        """A connection to a vendor, in Airflow's JSON form."""
        return VENDORS[vendor].connection_to(self.url)

    def connection_env(self) -> dict[str, str]:
        """``AIRFLOW_CONN_*`` for the default connection of each vendor."""
        return {f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT": json.dumps(self.connection(vendor)) for vendor in VENDORS}

    def fault(self, vendor: str, operation: str, **fields: Any) -> str:
        """Order a fault; returns its id."""
        answer = self._call("POST", "faults", {"vendor": vendor, "operation": operation, **fields})
        return str(answer["id"])

    def clear_faults(self, vendor: str) -> None:
        """Take back the faults ordered for one vendor."""
        for fault in self._call("GET", "faults"):
            if fault["vendor"] == vendor:
                self._call("DELETE", f"faults/{fault['id']}")

    def counts(self, vendor: str) -> dict[str, int]:
        """The counts of a vendor."""
        counts: dict[str, int] = self._call("GET", "counts")[vendor]
        return counts

    def jobs(self, vendor: str | None = None) -> list[dict[str, Any]]:
        """Every job ever created since the last reset, in order of creation."""
        found: list[dict[str, Any]] = self._call("GET", f"jobs?vendor={vendor}" if vendor else "jobs")
        return found

    def uploads(self) -> dict[str, list[dict[str, Any]]]:
        """The media that was uploaded, by vendor."""
        found: dict[str, list[dict[str, Any]]] = self._call("GET", "uploads")
        return found

    def settings(self, **fields: Any) -> None:
        """Change settings, for all vendors or (``<vendor>={...}``) for one."""
        self._call("PATCH", "settings", fields)

    def move(self, job_id: str, **fields: Any) -> dict[str, Any]:
        """Move a job by hand, for example ``finish=True``."""
        moved: dict[str, Any] = self._call("POST", f"jobs/{job_id}", fields)
        return moved

    def register_webhook(self, vendor: str, url: str) -> str | None:
        """Register an address for the webhooks of the account; returns the secret that they are signed with."""
        secret: str | None = self._call("POST", "webhooks", {"vendor": vendor, "url": url})["secret"]
        return secret

    def reset(self) -> None:
        """Forget jobs, faults, counts and changed settings."""
        self._call("POST", "reset")

    def stop(self) -> int:
        """Stop the process; returns its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(method, f"{self.url}/_simulator/{path}", json=body, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[Simulator]:
    """The one process of a test session, with renders of a second."""
    running = Simulator("--port", "0", "--render-seconds", "1")
    yield running
    running.stop()


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    """The simulator, as fresh as if it had just been started."""
    simulator_process.reset()
    return simulator_process


@pytest.fixture
def video_connections(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """The default connections of all vendors, leading to the simulator."""
    for name, value in simulator.connection_env().items():
        monkeypatch.setenv(name, value)
    return simulator
