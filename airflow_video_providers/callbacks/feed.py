# SPDX-License-Identifier: Apache-2.0
"""
Tells the waits of a triggerer of callbacks: one listing a second for all of them, and none where nobody listens.

The listing goes through the triggerer's own supervisor; it is no HTTP request. Each listener is told of a piece of news
once. News that cannot be listed are no fault of a wait: polling goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_video_providers.callbacks.inbox import NEWS_PREFIX, News, read_news

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

LIST_SECONDS = 1.0
"""How often news are listed while somebody listens, in seconds."""
_PAUSE_AFTER_FAILURE = 15.0

Listener = Callable[[float], None]
"""Called with the time of the news."""


class Feed:
    """Lists news for the listeners of one event loop; ends with the last of them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: dict[str, set[Listener]] = {}
        self._known: dict[str, News] = {}
        # In an empty context: otherwise its log lines would go to the log of the wait that came first.
        self._task = contextvars.Context().run(self._loop.create_task, self._run())

    def add(self, digests: Iterable[str], listener: Listener) -> None:
        """Listen; news that are known already are told at once."""
        for digest in digests:
            self._listeners.setdefault(digest, set()).add(listener)
            for news in self._known.values():
                if news.digest == digest:
                    listener(news.at)

    def remove(self, digests: Iterable[str], listener: Listener) -> None:
        """Listen no more."""
        for digest in digests:
            listeners = self._listeners.get(digest, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(digest, None)
        if not self._listeners:
            self._task.cancel()
            if _feeds.get(self._loop) is self:
                del _feeds[self._loop]

    async def _run(self) -> None:
        while True:
            try:
                names = await asyncio.to_thread(_list_names)
            except Exception as error:
                log.warning("Callbacks cannot be listed, polling goes on: %s: %s", type(error).__name__, error)
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
                continue
            self._take(names)
            await asyncio.sleep(LIST_SECONDS)

    def _take(self, names: list[str]) -> None:
        known, self._known = self._known, {}
        for name in names:
            news = known.get(name) or read_news(name)
            if news is None:
                continue
            self._known[name] = news
            if name not in known:
                for listener in list(self._listeners.get(news.digest, ())):
                    listener(news.at)


def _list_names() -> list[str]:
    from airflow.sdk import Variable

    return list(Variable.keys(prefix=NEWS_PREFIX))


# Keyed by the loop: `dag.test()` gives every trigger a loop of its own.
_feeds: dict[asyncio.AbstractEventLoop, Feed] = {}


def feed() -> Feed:
    """Return the feed of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _feeds:
        _feeds[loop] = Feed()
    return _feeds[loop]
