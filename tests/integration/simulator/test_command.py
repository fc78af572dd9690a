# SPDX-License-Identifier: Apache-2.0
"""The command itself: start, stop, kill and what it says when it cannot run."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.simulator import Simulator
from tests.unit.simulator.conftest import CLIENTS

ROOT = Path(__file__).parents[3]


def test_everything_survives_sigkill(tmp_path):
    arguments = ("--port", "0", "--state", str(tmp_path / "state"))
    first, vendor = Simulator(*arguments), next(iter(CLIENTS))
    try:
        client = CLIENTS[vendor](first)
        job_id = client.create()
        first.move(job_id, finish=True)
        first.settings(**{vendor: {"link_seconds": 1000}})
        first.fault("*", "list", status=503, times=3)
        link = client.video_url(job_id)
        film = requests.get(link, timeout=20).content
        jobs, counts = first.jobs(), first.counts(vendor)
    finally:
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait(10)
    second = Simulator(*arguments)
    try:
        third = run(*arguments)
        assert third.returncode == 2
        assert third.stderr.startswith("The simulator cannot keep its state in")
        assert third.stderr.count("\n") == 1
        assert second.jobs() == jobs
        assert second.counts(vendor) == counts
        assert requests.get(f"{second.url}/_simulator/faults", timeout=20).json()[0]["times"] == 3
        assert requests.get(f"{second.url}/_simulator/settings", timeout=20).json()[vendor]["link_seconds"] == 1000
        assert requests.get(link, timeout=20).content == film
        second.reset()
        assert second.jobs() == []
    finally:
        assert second.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_the_middle_of_a_download_with_code_0(number):
    running = Simulator()
    try:
        client = next(iter(CLIENTS.values()))(running)
        job_id = client.create()
        running.move(job_id, finish=True)
        running.fault(client.vendor, "download", bytes_per_second=10)
        url = client.video_url(job_id)
        with requests.get(url, stream=True, timeout=20) as answer:
            assert answer.status_code == 200
            running.process.send_signal(number)
            assert running.process.wait(10) == 0
    finally:
        running.process.kill()


def test_the_state_is_for_its_owner_alone(tmp_path):
    running = Simulator("--port", "0", "--state", str(tmp_path / "state"))
    running.settings(render_seconds=0)
    running.stop()
    found = [tmp_path / "state", *(tmp_path / "state").iterdir()]
    assert len(found) > 1
    assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def run(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "airflow_video_providers.simulator", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_a_port_in_use_is_one_clear_sentence(simulator):
    ended = run("--port", simulator.url.rsplit(":", 1)[1])
    assert ended.returncode == 2
    assert ended.stderr == f"The simulator cannot listen on {simulator.url[7:]}: Address already in use\n"


def test_without_the_extra_it_says_what_to_install():
    ended = run("--port", "0", python=("-S",))  # -S: no installed packages are found
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "pip install 'airflow-video-providers[simulator]'" in ended.stderr


def test_it_needs_nothing_of_the_provider():
    program = (
        "import sys, airflow_video_providers.simulator.app\n"
        "ours = {name for name in sys.modules if name.startswith('airflow_video_providers.')}\n"
        "print(sorted(name for name in ours if not name.startswith('airflow_video_providers.simulator')), "
        "'airflow' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "[] False\n"
