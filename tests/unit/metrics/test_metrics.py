# SPDX-License-Identifier: Apache-2.0
"""The metrics, received by a real StatsD receiver: a UDP socket that reads what Airflow's own client sends."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers import metrics
from airflow_video_providers.delivery.delivery import DeliveryRules
from airflow_video_providers.delivery.job_files import JobFiles
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput
from tests.support.submission import Crash
from tests.unit.bulk.test_crashes import COUNT, BulkWorld, new_hook, run, task_of

ROOT = Path(__file__).parents[3]


class Receiver:
    """What was received, by name with tags: the values of counters, and of timers."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = self._socket.getsockname()[1]

    def read(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        while True:
            try:
                line = self._socket.recv(65536).decode()
            except TimeoutError:
                return found
            name, value = line.split("|")[0].rsplit(":", 1)
            found.setdefault(name.removeprefix("airflow."), []).append(float(value))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def statsd() -> Iterator[Receiver]:
    from airflow.sdk._shared.observability.metrics.stats import NoStatsLogger
    from airflow.sdk._shared.observability.metrics.statsd_logger import SafeStatsdLogger
    from airflow.sdk.observability import stats

    StatsClient = pytest.importorskip("statsd").StatsClient

    receiver = Receiver()
    client = StatsClient(host="127.0.0.1", port=receiver.port, prefix="airflow")
    stats.initialize(
        factory=lambda: SafeStatsdLogger(client, influxdb_tags_enabled=True, statsd_influxdb_enabled=True),
        export_legacy_names=False,
    )
    yield receiver
    stats.initialize(factory=NoStatsLogger, export_legacy_names=False)
    receiver.close()


def sums(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: sum(values) for name, values in found.items() if "duration" not in name}


def test_a_bulk_task_counts_what_it_submits_and_what_becomes_of_it(statsd: Receiver, tmp_path: Path) -> None:
    world = BulkWorld()
    world.fails = {"i2"}
    run(task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1, max_failures=1))
    found = statsd.read()
    assert sums(found) == {
        "video_providers.submitted,vendor=fake": COUNT,
        "video_providers.succeeded,vendor=fake": COUNT - 1,
        "video_providers.failed,vendor=fake": 1,
    }
    assert len(found["video_providers.render_duration,vendor=fake"]) == COUNT - 1


def test_a_retry_counts_what_it_adopts_and_a_doubt_is_counted(statsd: Receiver, tmp_path: Path) -> None:
    world = BulkWorld()
    hook = new_hook(world, KeySupport.NONE, False)
    world.strike_at = next(
        at for at in range(1, 100) if _intent_is_left(at, tmp_path)
    )  # the first step at which a crash leaves a sent request without an id
    with pytest.raises(Crash):
        run(task_of(world, hook, tmp_path, 1))
    statsd.read()
    world.renew()
    run(task_of(world, hook, tmp_path, 2, max_failures=1))
    assert statsd.read()["video_providers.ambiguous,vendor=fake"] == [1]


def _intent_is_left(at: int, folder: Path) -> bool:
    world = BulkWorld()
    world.strike_at = at
    with pytest.raises(Crash):
        run(task_of(world, new_hook(world, KeySupport.NONE, False), folder, 1))
    return len(world.jobs) == 1


def test_the_time_of_a_render_is_what_the_vendor_tells(statsd: Receiver) -> None:
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    fields: dict[str, Any] = {"vendor": "acme", "job_id": "1", "vendor_status": "done", "state": JobState.SUCCEEDED}
    told = VideoJob(**fields, created_at=began, finished_at=began + timedelta(seconds=42))
    metrics.count_ended(told, seconds=7)
    metrics.count_ended(VideoJob(**fields), seconds=7)
    metrics.count_ended(VideoJob(**fields))
    assert statsd.read()["video_providers.render_duration,vendor=acme"] == [42000, 7000]


def test_the_page_names_every_metric() -> None:
    names = set(re.findall(r"``(video_providers\.\w+)``", metrics.__doc__ or ""))
    assert len(names) == 7
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_the_bytes_of_a_file_are_counted_when_it_is_stored_and_not_when_it_was_there(
    statsd: Receiver, tmp_path: Path
) -> None:
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n"
    output = VideoOutput(kind="subtitles", url=None, content=text)
    hook = new_hook(BulkWorld(), KeySupport.EXACT, False)
    files = JobFiles(hook, "job-1", f"file://{tmp_path}/{{job_id}}.{{ext}}", DeliveryRules(), MemoryJournal())
    for _ in range(2):
        assert [delivered.size for delivered in files.deliver([output])] == [len(text)]
    assert statsd.read() == {"video_providers.delivered_bytes,vendor=fake": [len(text)]}
