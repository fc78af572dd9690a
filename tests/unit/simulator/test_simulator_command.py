# SPDX-License-Identifier: Apache-2.0
"""The command itself: start, stop, kill and what it says when it cannot run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.simulator import Simulator

ROOT = Path(__file__).parents[3]


def test_everything_survives_sigkill(tmp_path):
    arguments = ("--port", "0", "--state", str(tmp_path / "state"))
    first = Simulator(*arguments)
    try:
        base, key = first.base_url("colossyan"), {"authorization": "Bearer simulator"}
        made = requests.post(
            f"{base}/video-generation-jobs", json={"videoCreative": {"scenes": []}}, headers=key, timeout=20
        ).json()
        first.move(made["id"], finish=True)
        first.settings(xvid={"file_bytes": 1_000_000})
        first.fault("hourone", "list", status=503, times=3)
        link = requests.get(f"{base}/generated-videos/{made['videoId']}", headers=key, timeout=20).json()["publicUrl"]
        film = requests.get(link, timeout=20).content
        jobs, counts = first.jobs(), first.counts("colossyan")
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
        assert second.counts("colossyan") == counts
        assert requests.get(f"{second.url}/_simulator/faults", timeout=20).json()[0]["times"] == 3
        assert requests.get(f"{second.url}/_simulator/settings", timeout=20).json()["xvid"]["file_bytes"] == 1_000_000
        assert requests.get(link, timeout=20).content == film
        second.reset()
        assert second.jobs() == []
    finally:
        assert second.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_the_middle_of_a_download_with_code_0(number):
    running = Simulator()
    try:
        base, key = running.base_url("hourone"), {"api-key": "simulator"}
        made = requests.post(f"{base}/videos", json={"name": "n"}, headers=key, timeout=20).json()
        running.move(made["id"], finish=True)
        running.fault("hourone", "download", bytes_per_second=10)
        url = requests.get(f"{base}/videos/{made['id']}", headers=key, timeout=20).json()["download_url"]
        with requests.get(url, stream=True, timeout=20) as answer:
            assert answer.status_code == 200
            running.process.send_signal(number)
            assert running.process.wait(10) == 0
    finally:
        running.process.kill()


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
