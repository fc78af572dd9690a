# SPDX-License-Identifier: Apache-2.0
"""How a project tests its DAGs on the simulator: copy the two fixtures, and write tests like the two below."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import requests


@pytest.fixture(scope="session")
def simulator():
    """Run the simulator on a free port; give the address of its control API."""
    command = [sys.executable, "-m", "airflow_video_providers.simulator", "--port", "0", "--render-seconds", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().split()[-1] + "/_simulator"
    process.terminate()
    process.wait(10)


@pytest.fixture
def vendors(simulator, tmp_path, monkeypatch):
    """Lead the connections of all vendors to the simulator, and put it back to its start; return the requests."""
    requests.post(f"{simulator}/reset", timeout=10).raise_for_status()
    for conn_id, connection in requests.get(f"{simulator}/connections", timeout=10).json().items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_DESTINATION", (tmp_path / "videos").as_uri())
    return requests.get(f"{simulator}/examples", timeout=10).json()


def run_dag(dag_id: str) -> int:
    """Run one DAG from start to end; return the exit code."""
    return subprocess.run([sys.executable, "-m", "airflow", "dags", "test", dag_id], check=False).returncode


def test_each_render_is_stored(vendors, simulator, tmp_path, monkeypatch):
    catalogue = [{"conn_id": f"{name}_default", "request": request} for name, request in vendors.items()][:2]
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_CATALOGUE", json.dumps(catalogue))
    assert run_dag("render_catalogue") == 0
    assert len(list((tmp_path / "videos").rglob("*.mp4"))) == 2


def test_a_lost_response_buys_no_second_render(vendors, simulator, monkeypatch):
    name = next(iter(vendors))
    monkeypatch.setenv(
        "AIRFLOW_VAR_VIDEO_CATALOGUE", json.dumps([{"conn_id": f"{name}_default", "request": vendors[name]}])
    )
    fault = {"vendor": name, "operation": "create", "lose_answer": True}
    requests.post(f"{simulator}/faults", json=fault, timeout=10).raise_for_status()
    run_dag("render_catalogue")
    assert requests.get(f"{simulator}/counts", timeout=10).json()[name]["creates"] == 1
