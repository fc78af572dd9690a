# SPDX-License-Identifier: Apache-2.0
"""What the shared poll does when its last wait leaves, and when Airflow does not give the connection."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_video_providers.exceptions import VideoPollingError
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.waiting import in_triggerer as shared_poller
from airflow_video_providers.waiting.in_triggerer import SharedPoller, watch
from airflow_video_providers.waiting.schedule import Pace
from airflow_video_providers.waiting.wait import Waiter


def waiter_of(looked=None, **arguments):
    job = VideoJob(vendor="v", job_id="1", state=JobState.RUNNING, vendor_status="busy")
    return Waiter(job, Pace.begin(job, time.time() if looked is None else looked), **arguments)


@pytest.mark.parametrize("steps", range(5))
def test_a_poll_that_is_woken_while_its_last_wait_leaves_ends(steps):
    """Python 3.11 loses a cancel that comes together with what was waited for."""

    async def leave():
        poller, waiter = SharedPoller("c"), waiter_of()
        poller.join(waiter)
        for _ in range(5):
            await asyncio.sleep(0)
        poller._wake.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        poller.leave(waiter)
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(leave())


def test_a_connection_that_airflow_does_not_give_counts_as_failed_looks(monkeypatch):
    asked = []

    async def hang(conn_id):
        asked.append(conn_id)
        await asyncio.Event().wait()

    monkeypatch.setattr(shared_poller, "aget_video_hook", hang)
    monkeypatch.setattr(shared_poller, "_LOOK_UP_SECONDS", 0.1)

    async def wait():
        async for _ in watch("c", waiter_of(looked=0.0, poll_interval=0.1, max_poll_failures=1)):
            pass

    with pytest.raises(VideoPollingError, match="Connection c was not given within"):
        asyncio.run(asyncio.wait_for(wait(), 30))
    assert asked == ["c", "c"]
