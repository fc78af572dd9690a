# SPDX-License-Identifier: Apache-2.0
"""
Lets the callbacks of a connection make jobs due: a poll sees what became of a job before anything is believed.

A job is polled at most once in a quarter of a minute for that, however many callbacks come.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Set
from functools import partial

from airflow.sdk import BaseHook

from airflow_video_providers.callbacks.feed import Feed, feed
from airflow_video_providers.callbacks.inbox import QUARTER_MINUTE, digest_of
from airflow_video_providers.waiting.waiter import Waiter

log = logging.getLogger(__name__)

_LOOK_UP_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 120.0
"""How often a connection that takes no callbacks, or could not be looked up, is looked up again, in seconds."""
_OLD_NEWS = 60.0
"""How long before the last poll a callback may have come and still call for another one, in seconds: clocks differ."""


class Callbacks:
    """
    The callbacks of one connection, as far as the waits of one poller go.

    :param waiters: of the poller.
    :param poll_now: polls the job of a waiter whose poll is due.
    """

    def __init__(self, conn_id: str, waiters: Set[Waiter], poll_now: Callable[[Waiter], None]) -> None:
        self._conn_id = conn_id
        self._waiters = waiters
        self._poll_now = poll_now
        self._feed: Feed | None = None
        self._stopped = False
        # In an empty context: otherwise its log lines would go to the log of the wait that came first.
        loop = asyncio.get_running_loop()
        self._subscribing = contextvars.Context().run(loop.create_task, self._subscribe())

    def join(self, waiter: Waiter) -> None:
        """Listen for the job of a wait."""
        if self._feed is not None:
            waiter.listener = partial(self._hear, waiter)
            self._feed.add(self._digests(waiter), waiter.listener)

    def leave(self, waiter: Waiter) -> None:
        """Listen for it no more."""
        if self._feed is not None and waiter.listener is not None:
            self._feed.remove(self._digests(waiter), waiter.listener)

    def stop(self) -> None:
        """Begin to listen no more."""
        self._stopped = True
        self._subscribing.cancel()

    async def _subscribe(self) -> None:
        """Listen, if the connection takes callbacks."""
        # Python 3.11's wait_for swallows a cancel that comes together with what it waits for.
        while not await self._takes_callbacks() and not self._stopped:
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        if not self._stopped:
            self._feed = feed()
            for waiter in list(self._waiters):
                self.join(waiter)

    async def _takes_callbacks(self) -> bool:
        try:
            connection = await asyncio.wait_for(BaseHook.aget_connection(self._conn_id), _LOOK_UP_SECONDS)
            return bool(connection.extra_dejson.get("callback_secret"))
        except Exception as error:
            said = str(error) or type(error).__name__
            log.warning("Callbacks of connection %s are not heard yet, polling goes on: %s", self._conn_id, said)
            return False

    def _digests(self, waiter: Waiter) -> list[str]:
        digests = [digest_of(self._conn_id, job_id=waiter.wait.job.job_id)]
        return digests if waiter.key is None else [*digests, digest_of(self._conn_id, key=waiter.key)]

    def _hear(self, waiter: Waiter, at: float) -> None:
        now, pace = time.time(), waiter.wait.pace
        is_old = pace is not None and at < pace.polled - _OLD_NEWS
        if waiter.is_over or is_old or at in waiter.heard:  # a callback that names job and key is news of both
            return
        waiter.call(at, now, pause=QUARTER_MINUTE)
        self._poll_now(waiter)
