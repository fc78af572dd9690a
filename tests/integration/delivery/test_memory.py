# SPDX-License-Identifier: Apache-2.0
"""Many transfers share one budget of memory: they take turns, and none waits for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_video_providers.delivery.buffers import PART_BYTES, BufferPool
from airflow_video_providers.delivery.delivery import Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4

BODY = mp4(30_000_000)


class WatchedPool(BufferPool):
    """Remembers how much was lent at most."""

    most = 0

    def take(self, size: int, *, wait: bool = True) -> bytearray | None:
        buffer = super().take(size, wait=wait)
        self.most = max(self.most, self.lent)
        return buffer


@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize("parts", [1, 3])
def test_transfers_within_a_budget(streams: int, parts: int, faulty_server: FaultyServer, tmp_path: Path) -> None:
    faulty_server.add("/video", Resource(BODY))
    pool = WatchedPool(parts * PART_BYTES)
    output = VideoOutput(kind="video", url=f"{faulty_server.url}/video")

    def deliver(number: int) -> bool:
        location = parse_location(f"file://{tmp_path}/{number}.mp4")
        Delivery(
            output,
            vendor="acme",
            job_id="1",
            location=location,
            store=open_store(location),
            refresh=lambda: output,
            rules=DeliveryRules(download=DownloadSettings(streams=streams, parallel_from=10_000_000)),
            journal=MemoryJournal(),
            pool=pool,
        ).deliver()
        return (tmp_path / f"{number}.mp4").read_bytes() == BODY

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(deliver, range(6)))
    assert pool.lent == 0
    assert pool.most <= parts * PART_BYTES
