# SPDX-License-Identifier: Apache-2.0
"""Calls to the user's receivers when a job moves: found by the clock, sent from threads of their own."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_video_providers.simulator.contents import Contents
    from airflow_video_providers.simulator.jobs import Job
    from airflow_video_providers.simulator.vendor import Notice, Vendor
    from airflow_video_providers.simulator.world import World

TICK_SECONDS = 0.1
ATTEMPTS, TIMEOUT_SECONDS = 3, 5


class Messenger:
    """Looks at the watched jobs and sends each of their notices once, with up to three attempts."""

    def __init__(self, world: World, contents: Contents, vendors: Mapping[str, Vendor]) -> None:
        self.world, self.contents, self.vendors = world, contents, vendors
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for job in list(self.world.watched.values()):
                if (now := time.time()) >= job.look_at:
                    self._look(job, now)
            self.world.flush()
            await asyncio.sleep(TICK_SECONDS)

    def _look(self, job: Job, now: float) -> None:
        for notice in self.vendors[job.vendor].notices(self.world, self.contents, job, now):
            if notice.name not in job.notified:
                job.notified.append(notice.name)
                self.world.save_job(job)
                task = asyncio.create_task(self._deliver(job.vendor, notice))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
        step = max(job.render_seconds / 20, TICK_SECONDS)
        job.look_at = min(now + step, job.ends_at or now + step)
        if job.ended(now) or job.cancelled_at is not None or job.deleted_at is not None:
            job.watched = False
            self.world.watched.pop(job.job_id, None)
            self.world.save_job(job)

    async def _deliver(self, vendor: str, notice: Notice) -> None:
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(1)
            try:
                await asyncio.to_thread(_send, notice)
            except (OSError, ValueError):
                continue
            self.world.count(vendor, "callbacks")
            return
        self.world.count(vendor, "callback_failures")


def _send(notice: Notice) -> None:
    if not notice.url.startswith(("http://", "https://")):
        raise ValueError("A receiver must be an http or https URL")
    request = urllib.request.Request(notice.url, notice.body, headers=dict(notice.headers), method=notice.method)
    # Receivers are on this machine or near it: a proxy of the environment has no part in this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_SECONDS):
        pass
