# SPDX-License-Identifier: Apache-2.0
"""Finds the hook of a connection for a callback, at most once in half a minute, whoever asks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from concurrent.futures import Executor
from contextlib import suppress

from airflow_video_providers.callbacks.limits import PerMinute
from airflow_video_providers.callbacks.store import check_database
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.base import VideoHook, get_video_hook

KEPT_SECONDS = 30.0
"""How long a connection is not looked up again, and a new secret may take to count."""
MOST_KEPT = 256
MOST_UNKNOWN = 120
"""Look-ups in a minute, of this process, that find no connection which takes callbacks; then no other name is tried."""
_LONGEST_ID = 250
_one_at_a_time = threading.Lock()


class NotHere(Exception):
    """Callbacks to this connection are not taken."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Connections:
    """
    The hooks of connections that take callbacks.

    :param threads: where connections are looked up.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._kept: OrderedDict[str, tuple[float, VideoHook | None]] = OrderedDict()
        self._asked: dict[str, asyncio.Future[VideoHook | None]] = {}
        self._unknown = PerMinute(MOST_UNKNOWN)

    async def find(self, conn_id: str) -> VideoHook:
        """
        Return the hook of a connection that has a callback secret.

        :raises NotHere: there is none, or too many others were asked for in vain.
        :raises Exception: the database does not tell.
        """
        until, hook = self._kept.get(conn_id, (0.0, None))
        if time.monotonic() >= until:
            if hook is None and self._unknown.is_spent:  # one that took callbacks is always looked up again
                raise NotHere(429, "too many look-ups of connections that take no callbacks")
            hook = await self._look_up(conn_id)
        if hook is None:
            raise NotHere(404, "no connection of this name takes callbacks: set its extra callback_secret")
        return hook

    async def _look_up(self, conn_id: str) -> VideoHook | None:
        asked = self._asked.get(conn_id)
        if asked is None:
            asked = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._threads, find_hook, conn_id))
            self._asked[conn_id] = asked
            asked.add_done_callback(lambda done: self._take(conn_id, done))
        return await asyncio.shield(asked)

    def _take(self, conn_id: str, done: asyncio.Future[VideoHook | None]) -> None:
        del self._asked[conn_id]
        if done.cancelled() or done.exception() is not None:
            return
        if done.result() is None:
            self._unknown.allow()
        self._kept[conn_id] = (time.monotonic() + KEPT_SECONDS, done.result())
        self._kept.move_to_end(conn_id)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def find_hook(conn_id: str) -> VideoHook | None:
    """
    Return the hook of a connection that takes callbacks; None: there is no such connection.

    :raises sqlalchemy.exc.SQLAlchemyError: the database does not tell.
    """
    from airflow.sdk.exceptions import AirflowException

    if not 0 < len(conn_id) <= _LONGEST_ID or not conn_id.isprintable():
        return None
    try:
        with _one_at_a_time:  # Airflow reads its providers without a lock
            hook = get_video_hook(conn_id)
        return hook if hook.settings.callback_secret else None
    except VideoConfigurationError:  # no video API, or extras that cannot work; its own test says so
        return None
    except AirflowException:  # not found, or of a type that no installed provider has
        check_database()  # Airflow says the same when the database is away
        return None


def warm_up() -> None:
    """Let Airflow read its providers, which takes seconds, before the first callback comes."""
    from airflow.sdk import Connection

    with _one_at_a_time, suppress(Exception):  # a type that nobody has: all providers are read to know
        Connection(conn_id="", conn_type="video callbacks").get_hook()
