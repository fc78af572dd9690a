# SPDX-License-Identifier: Apache-2.0
"""One wait among those that a triggerer's poller serves."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from airflow_video_providers.waiting.wait import Wait

_LAST_POLL_SECONDS = 60.0
"""How long the poll at the deadline may take before the wait ends without it."""


class Waiter:
    """
    One wait among those that a poller serves.

    :ivar wait: as the last poll left it.
    :ivar news: set when the wait has ended or its job has moved.
    :ivar show_from: seconds of the epoch from which on a poll is news even if the job did not move.
    :ivar queued: for when the poller has it in its queue; None: it is not there.
    :ivar key: the job's submission key, where it is known: a callback may name nothing else.
    :ivar heard: when a callback made the job due last, in seconds of the epoch.
    """

    __slots__ = ("given_up_at", "heard", "key", "listener", "news", "queued", "show_from", "wait")

    def __init__(self, wait: Wait, key: str | None = None) -> None:
        self.wait = wait
        self.key = key
        self.heard = 0.0
        self.listener: Callable[[float], None] | None = None
        self.news = asyncio.Event()
        self.show_from = math.inf
        self.queued: float | None = None
        deadline = wait.limits.deadline
        self.given_up_at = math.inf if deadline is None else max(deadline, time.time()) + _LAST_POLL_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.wait.end is not None

    def move_to(self, wait: Wait, now: float) -> None:
        """Take the wait after a poll."""
        if wait.end is not None or wait.has_moved(self.wait) or now >= self.show_from:
            self.news.set()
        self.wait = wait
