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
    :ivar heard: the news of callbacks that were taken, by their times.
    :ivar call_due: for when a callback has asked for a poll that was not made yet; infinite: none has.
    :ivar is_called_back: whether the last poll that showed the job was made for a callback.
    """

    __slots__ = (
        "_last_call",
        "call_due",
        "given_up_at",
        "heard",
        "is_called_back",
        "key",
        "listener",
        "news",
        "queued",
        "show_from",
        "wait",
    )

    def __init__(self, wait: Wait, key: str | None = None) -> None:
        self.wait = wait
        self.key = key
        self.heard: frozenset[float] = frozenset()
        self.call_due = math.inf
        self._last_call = -math.inf
        self.is_called_back = False
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

    def call(self, at: float, now: float, *, pause: float) -> None:
        """
        Make the job due because a callback was heard.

        :param at: the time of the news.
        :param pause: the shortest time between two such polls, in seconds.
        """
        self.heard |= {at}
        if self.call_due <= now or math.isinf(self.call_due):  # one that is planned for later tells of this one too
            self._last_call = max(now, self._last_call + pause)
            self.call_due = min(self.call_due, self._last_call)
            self.wait = self.wait.poll_at(self._last_call)

    def move_to(self, wait: Wait, now: float, *, began: float | None = None) -> None:
        """
        Take the wait after a poll; one that is over stays so.

        :param began: when the poll that has shown the job was sent; None: it has failed, or there was none.
        """
        if self.is_over:
            return
        if wait.end is not None or wait.has_moved(self.wait) or now >= self.show_from:
            self.news.set()
        if began is not None:
            self.is_called_back = self.call_due <= began
            if self._last_call <= began:
                self.call_due = math.inf
            elif wait.end is None:
                self.call_due = self._last_call
                wait = wait.poll_at(self.call_due)
        self.wait = wait
