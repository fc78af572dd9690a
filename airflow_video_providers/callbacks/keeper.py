# SPDX-License-Identifier: Apache-2.0
"""Writes callbacks that arrive together in one transaction; each caller returns when its own is stored."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

log = logging.getLogger(__name__)

MOST_WAITING = 5000
"""Callbacks that wait for the database, of this process; another one is told to come again."""
MOST_TOGETHER = 500
"""Callbacks in one transaction."""
TIDY_SECONDS = 60.0
"""How often outdated callbacks are removed, until the last one was."""


class Keeper:
    """
    Writes in a thread of its own, one transaction after another.

    :param keep: writes a batch, all or none of it.
    :param tidy: removes what is outdated; called about once a minute while there is something to remove.
    :param lasts: after how many seconds a callback is outdated.
    """

    def __init__(self, keep: Callable[[Sequence[Any]], object], tidy: Callable[[], None], *, lasts: float) -> None:
        self._keep = keep
        self._tidy = tidy
        self._lasts = lasts
        self._waiting: list[tuple[Any, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._kept = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="video-callback-store")

    async def keep(self, item: Any) -> None:
        """
        Keep one callback; return when it is stored.

        :raises Exception: it is not, or not as far as is known.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise OverflowError("too many callbacks wait for the database")
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()
        self._waiting.append((item, stored))
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        await stored

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
                error = await loop.run_in_executor(self._thread, self._try, [item for item, _ in batch])
                for _, stored in batch:
                    if stored.done():  # its caller has given up
                        continue
                    if error is None:
                        stored.set_result(None)
                    else:
                        stored.set_exception(error)
                self._kept = time.monotonic()
                if self._tidying is None:
                    # In an empty context: it outlives the request.
                    self._tidying = contextvars.Context().run(loop.create_task, self._tidy_up())
        finally:
            self._writing = None

    async def _tidy_up(self) -> None:
        """Remove what is outdated, until nothing is left that will be."""
        loop, is_left = asyncio.get_running_loop(), True
        try:
            while is_left:
                await asyncio.sleep(TIDY_SECONDS)
                began = time.monotonic()
                try:
                    await loop.run_in_executor(self._thread, self._tidy)
                except Exception as error:  # the next minute's will do
                    log.warning("Outdated callbacks were not removed: %s", type(error).__name__)
                else:
                    is_left = began < self._kept + self._lasts
        finally:
            self._tidying = None

    def _try(self, items: Sequence[Any]) -> Exception | None:
        try:
            self._keep(items)
        except Exception as error:
            return error
        return None
