# SPDX-License-Identifier: Apache-2.0
"""A task is killed in the middle of a transfer, softly and hard; then its retry."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from airflow_video_providers.delivery.delivery import Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.stores.base import ObjectAttributes, ObjectWriter
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.hooks.base import get_video_hook
from airflow_video_providers.jobs import VideoOutput
from airflow_video_providers.transfers.video_to_object_storage import TransferKilled, VideoToObjectStorageOperator
from tests.support.cloud_emulators import CloudBucket
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4
from tests.support.s3 import S3Server
from tests.support.simulator import VENDORS, Simulator
from tests.support.vendors import ONE

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
        written = self.path.with_suffix(".new")  # a kill leaves the old state or the new one, as a database does
        written.write_text(json.dumps(self.values))
        written.replace(self.path)

conn_id, job_id, destination, state = sys.argv[1:]
operator = VideoToObjectStorageOperator(
    task_id="store", conn_id=conn_id, job_id=job_id, destination=destination
)
signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
print(json.dumps(operator.execute({"task_state_store": Store(state)})))
"""


KILLS = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])


@dataclass
class Place:
    """A destination, what is visible there, and what unfinished uploads are (None: the store shows none)."""

    uri: str
    environment: dict[str, str]
    delivered: Callable[[], bytes | None]
    unfinished: Callable[[], list[str]] | None = None


@pytest.mark.s3
@KILLS
def test_on_s3(how: signal.Signals, video_connections: Simulator, s3: S3Server, tmp_path: Path) -> None:
    def delivered() -> bytes | None:
        return s3.body("v.mp4") if "v.mp4" in s3.list_keys() else None

    place = Place(f"s3://s3_test@{s3.bucket}/v.mp4", s3.connection_env(), delivered, s3.uploads)
    kill_and_retry(how, place, video_connections, tmp_path)


@KILLS
def test_on_a_local_file(how: signal.Signals, video_connections: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "videos" / "v.mp4"

    def unfinished() -> list[str]:
        return [path.name for path in file.parent.iterdir() if path != file] if file.parent.exists() else []

    place = Place(file.as_uri(), {}, lambda: file.read_bytes() if file.exists() else None, unfinished)
    kill_and_retry(how, place, video_connections, tmp_path)


@KILLS
def test_on_a_cloud(how: signal.Signals, video_connections: Simulator, cloud: CloudBucket, tmp_path: Path) -> None:
    place = Place(cloud.uri("v.mp4"), cloud.environment, lambda: cloud.read("v.mp4"))
    kill_and_retry(how, place, video_connections, tmp_path)


def kill_and_retry(how: signal.Signals, place: Place, simulator: Simulator, folder: Path) -> None:
    """Kill a transfer in the middle; nothing is visible. Run it again: it is delivered, and nothing is left over."""
    simulator.settings(file_bytes=60_000_000)
    job_id = get_video_hook(f"{ONE}_default").submit_job(VENDORS[ONE].request("Hi")).job_id
    simulator.move(job_id, finish=True)
    simulator.fault(ONE, "download", bytes_per_second=20_000_000)
    environment = {**os.environ, **place.environment}
    state = folder / "state.json"
    command = [sys.executable, "-c", TASK, f"{ONE}_default", job_id, place.uri, str(state)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if state.exists():  # written once the upload has begun
            break
        time.sleep(0.05)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert place.delivered() is None
    if how is signal.SIGTERM:
        assert "the task was killed" in errors
    if place.unfinished is not None:
        assert len(place.unfinished()) == (0 if how is signal.SIGTERM else 1)
    retry = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert retry.returncode == 0, retry.stderr
    (item,) = json.loads(retry.stdout.splitlines()[-1])
    data = place.delivered()
    assert data is not None
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (item["sha256"], item["size"])
    assert place.unfinished is None or place.unfinished() == []


@pytest.mark.s3
def test_an_execution_timeout_leaves_nothing(
    video_connections: Simulator, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.connection_env().items():
        monkeypatch.setenv(name, value)
    video_connections.settings(file_bytes=200_000_000)
    job_id = get_video_hook(f"{ONE}_default").submit_job(VENDORS[ONE].request("Hi")).job_id
    video_connections.move(job_id, finish=True)
    video_connections.fault(ONE, "download", bytes_per_second=20_000_000, times=None)
    for destination in (f"s3://s3_test@{s3.bucket}/v.mp4", f"file://{tmp_path}/videos/v.mp4"):
        operator = VideoToObjectStorageOperator(
            task_id="store", conn_id=f"{ONE}_default", job_id=job_id, destination=destination
        )
        with pytest.raises(AirflowTaskTimeout), timeout(2):
            operator.execute({})  # type: ignore[typeddict-item]
        operator.on_kill()  # as Airflow calls it after a timeout: there is nothing left to unwind
    assert s3.list_keys() == s3.uploads() == []
    assert list((tmp_path / "videos").iterdir()) == []


def test_a_kill_while_the_upload_begins(faulty_server: FaultyServer, tmp_path: Path) -> None:
    killed = threading.Event()

    class Store(LocalStore):
        def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
            os.kill(os.getpid(), signal.SIGTERM)
            assert killed.wait(10)
            return super().begin(key, attributes, replace=replace)

    def kill(*_: object) -> None:
        killed.set()
        operator.on_kill()

    faulty_server.add("/video", Resource(mp4(20_000_000)))
    output = VideoOutput(kind="video", url=f"{faulty_server.url}/video", name="a.mp4")
    operator = VideoToObjectStorageOperator(
        task_id="t", conn_id="c", job_id="j", destination=f"file://{tmp_path}/v.mp4"
    )
    operator._running = True
    delivery = Delivery(
        output,
        vendor="acme",
        job_id="j",
        location=parse_location(operator.destination),
        store=Store(),
        refresh=lambda: output,
        rules=DeliveryRules(),
        journal=MemoryJournal(),
    )
    before = signal.signal(signal.SIGTERM, kill)
    try:
        with pytest.raises(TransferKilled) as caught:
            delivery.deliver()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not isinstance(caught.value, Exception), "clients of stores would try again instead"
    assert list(tmp_path.iterdir()) == []
