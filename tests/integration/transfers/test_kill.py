# SPDX-License-Identifier: Apache-2.0
"""A task is killed in the middle of a transfer, softly and hard; then its retry."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_video_providers.hooks.base import get_video_hook
from tests.support.s3 import S3Server
from tests.support.simulator import Simulator

pytestmark = pytest.mark.s3

# What Airflow's task runner does with an operator and SIGTERM, and a state store that outlives the process.
TASK = """
import json, pathlib, signal, sys
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

class Store:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.values = json.loads(self.path.read_text()) if self.path.exists() else {}
    def get(self, key):
        return self.values.get(key)
    def set(self, key, value):
        self.values[key] = value
        self.path.write_text(json.dumps(self.values))

job_id, destination, state = sys.argv[1:]
operator = VideoToObjectStorageOperator(
    task_id="store", conn_id="hourone_default", job_id=job_id, destination=destination
)
signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
print(json.dumps(operator.execute({"task_state_store": Store(state)})))
"""


@pytest.mark.parametrize("scheme", ["s3", "file"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_killed_transfer_leaves_nothing_after_the_retry(
    how: signal.Signals, scheme: str, video_connections: Simulator, s3: S3Server, tmp_path: Path
) -> None:
    simulator = video_connections
    simulator.settings(file_bytes=60_000_000)
    job_id = get_video_hook("hourone_default").submit_job({"title": "Hi", "draft": False, "transcript": "Hi."}).job_id
    simulator.move(job_id, finish=True)
    simulator.fault("hourone", "download", bytes_per_second=20_000_000)
    folder = tmp_path / "videos"
    destination = f"s3://s3_test@{s3.bucket}/v.mp4" if scheme == "s3" else f"file://{folder}/v.mp4"
    environment = {**os.environ, **s3.connection_env()}
    command = [sys.executable, "-c", TASK, job_id, destination, str(tmp_path / "state.json")]

    def unfinished() -> list[str]:
        if scheme == "s3":
            return s3.uploads()
        return [path.name for path in folder.iterdir() if path.name.endswith(".part")] if folder.exists() else []

    def landed() -> bytes | None:
        if scheme == "s3":
            return s3.body("v.mp4") if "v.mp4" in s3.keys() else None
        return (folder / "v.mp4").read_bytes() if (folder / "v.mp4").exists() else None

    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    await_true(unfinished)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert landed() is None
    if how is signal.SIGTERM:
        assert "the task was killed" in errors
        assert unfinished() == []
    else:
        assert len(unfinished()) == 1
    retry = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert retry.returncode == 0, retry.stderr
    (item,) = json.loads(retry.stdout.splitlines()[-1])
    data = landed()
    assert data is not None
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (item["sha256"], item["size"])
    assert unfinished() == []


def await_true(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("the transfer did not begin")
