# SPDX-License-Identifier: Apache-2.0
"""Callbacks to the user's receivers when a job moves: found by the clock, sent from threads of their own."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_video_providers.simulator.faults import CALLBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_video_providers.simulator.contents import Contents
    from airflow_video_providers.simulator.jobs import Job
    from airflow_video_providers.simulator.vendor import Notice, Vendor
    from airflow_video_providers.simulator.world import World

log = logging.getLogger(__name__)

RECEIVERS = "A receiver of callbacks must be an http or https URL of this machine: 127.0.0.1, [::1] or localhost"
TICK_SECONDS = 0.1
SENDERS = 16


class Messenger:
    """Polls the watched jobs and sends each of their notices once, with further attempts where the receiver fails."""

    def __init__(self, world: World, contents: Contents, vendors: Mapping[str, Vendor]) -> None:
        self.world, self.contents, self.vendors = world, contents, vendors
        self._sending: set[asyncio.Task[None]] = set()
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="callback")

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            for job in list(self.world.watched.values()):
                if (now := time.time()) >= job.look_at:
                    self._poll(job, now)
            self.world.flush()
            await asyncio.sleep(TICK_SECONDS)

    def _poll(self, job: Job, now: float) -> None:
        for notice in self.vendors[job.vendor].notices(self.world, self.contents, job, now):
            if notice.name not in job.notified:
                job.notified.append(notice.name)
                self.world.save_job(job)
                # The fault is chosen here, where notices come in order.
                effect = self.world.strike(job.vendor, (CALLBACK,)) or {}
                task = asyncio.create_task(self._deliver(job.vendor, notice, effect))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
        step = max(job.render_seconds / 20, TICK_SECONDS)
        job.look_at = min(now + step, job.ends_at or now + step)
        if job.ended(now) or job.cancelled_at is not None or job.deleted_at is not None:
            self.world.unwatch(job)

    async def _deliver(self, vendor: str, notice: Notice, effect: Mapping[str, Any]) -> None:
        if effect.get("lost"):
            self.world.count(vendor, "callbacks_lost")
            return
        await asyncio.sleep(effect.get("delay", 0))
        for _ in range(1 + effect.get("duplicates", 0)):
            await self._try(vendor, notice, effect)

    async def _try(self, vendor: str, notice: Notice, effect: Mapping[str, Any]) -> None:
        settings, loop = self.world.settings.of(vendor), asyncio.get_running_loop()
        if not is_receiver(notice.url):
            log.warning("A callback of %s is not sent. %s", vendor, RECEIVERS)
            self.world.count(vendor, "callback_failures")
            return
        for attempt in range(settings.callback_attempts):
            if attempt:
                await asyncio.sleep(settings.callback_retry_seconds)
            self.world.count(vendor, "callback_attempts")
            try:
                await loop.run_in_executor(self._senders, _send, notice, effect, settings.callback_timeout_seconds)
            except (OSError, ValueError, HTTPException):
                continue
            self.world.count(vendor, "callbacks")
            return
        self.world.count(vendor, "callback_failures")


def is_receiver(url: str) -> bool:
    """Tell whether callbacks may be sent to a URL: to this machine alone, whatever a request asks for."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        local = host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
    return local and parts.scheme in ("http", "https")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A callback goes to the URL that was registered and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _send(notice: Notice, effect: Mapping[str, Any], timeout: float) -> None:
    body, headers = notice.body, dict(notice.headers)
    if body and effect.get("malformed"):
        body = body[: len(body) // 2]
    if notice.sign is not None:
        signed = (body or b"") + (b" " if effect.get("wrong_signature") else b"")
        headers.update(notice.sign(signed, time.time() - effect.get("signed_ago", 0)))
    request = urllib.request.Request(notice.url, body, headers=headers, method=notice.method)
    # Receivers are on this machine: a proxy of the environment has no part in this.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    with opener.open(request, timeout=timeout):
        pass
