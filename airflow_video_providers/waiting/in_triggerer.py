# SPDX-License-Identifier: Apache-2.0
"""
One poll for all the waits of a connection in a triggerer.

A triggerer runs all its triggers in one event loop. The waits of one connection in one loop share a
:class:`SharedPoller`: where the vendor can list, one list request tells all of them how their jobs are doing, and a job
that the list does not show is asked for by its id; where it cannot, each job is asked for when it is due, never more
than :data:`MOST_IN_FLIGHT` at a time. The calls run in the poller's own few threads, never in the loop. What a vendor
asks for by Retry-After holds for the whole connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from airflow_video_providers.exceptions import (
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.base import VideoHook, aget_video_hook
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.waiting.schedule import (
    DEFAULT_POLL_INTERVAL,
    SHORTEST_INTERVAL,
    next_try,
    polling_given_up,
    retry_after_of,
)
from airflow_video_providers.waiting.wait import Waiter

log = logging.getLogger(__name__)

Argument = TypeVar("Argument")
Answer = TypeVar("Answer")

MOST_IN_FLIGHT = 8
"""Most requests to one connection at a time."""
SHARE_OF_TIME = 0.1
"""Most of the time that list requests may take: after a slow list, the next one waits longer."""
_TOGETHER = SHORTEST_INTERVAL / 2
_CHECK_DEADLINES = 15.0
_LOOK_UP_SECONDS = 30.0
"""How long Airflow may take to give the connection."""
_AT_ONCE = 100


async def watch(conn_id: str, waiter: Waiter) -> AsyncGenerator[VideoJob, None]:
    """
    Yield a job each time it has moved, and at last in its terminal state.

    :raises VideoJobTimeoutError: the deadline passed.
    :raises VideoPollingError: too many looks failed in a row.
    """
    if waiter.is_over:
        yield waiter.job
        return
    key = (asyncio.get_running_loop(), conn_id)
    if key not in _pollers:
        _pollers[key] = SharedPoller(conn_id)
    poller = _pollers[key]
    poller.join(waiter)
    try:
        while True:
            await waiter.news.wait()
            waiter.news.clear()
            if waiter.error is not None:
                raise waiter.error
            yield waiter.job
            if waiter.job.state.is_terminal:
                return
    finally:
        poller.leave(waiter)


def waits_here() -> int:
    """Return how many waits this event loop holds, of all connections."""
    loop = asyncio.get_running_loop()
    return sum(len(poller._waiters) for (of, _), poller in _pollers.items() if of is loop)


# Keyed by the loop too: `dag.test()` gives every trigger a loop of its own.
_pollers: dict[tuple[asyncio.AbstractEventLoop, str], SharedPoller] = {}


class SharedPoller:
    """Asks one connection about all the jobs that are waited for in this event loop; ends with the last of them."""

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self._loop = asyncio.get_running_loop()
        self._waiters: set[Waiter] = set()
        self._queue: list[tuple[float, int, Waiter]] = []
        self._numbers = itertools.count()
        self._not_listed: deque[Waiter] = deque()
        self._wake = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._hook: VideoHook | None = None
        self._threads = ThreadPoolExecutor(MOST_IN_FLIGHT, thread_name_prefix=f"poll-{conn_id}")
        self._failures = 0
        self._stopped = False
        self._ask_from = 0.0
        self._list_from = 0.0
        # In an empty context: otherwise the log lines of this task would go to the log of the wait that came first.
        self._task = contextvars.Context().run(self._loop.create_task, self._run())

    def join(self, waiter: Waiter) -> None:
        """Begin to ask about a job."""
        self._waiters.add(waiter)
        self._enqueue(waiter)
        self._wake.set()

    def leave(self, waiter: Waiter) -> None:
        """Ask no more about a job; the last one to leave stops the poller."""
        self._waiters.discard(waiter)
        if not self._waiters:
            self._stop()

    def _stop(self) -> None:
        if _pollers.get((self._loop, self.conn_id)) is self:
            del _pollers[self._loop, self.conn_id]
        # Python 3.11's wait_for swallows a cancel that comes together with what it waits for.
        self._stopped = True
        self._task.cancel()
        for call in self._calls:
            call.cancel()
        self._close_hook()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _break(self, error: BaseException) -> None:
        """End all waits: better than to let them hang if the poll itself has a fault."""
        log.error("The poll of connection %s broke", self.conn_id, exc_info=error)
        for waiter in self._waiters:
            waiter.fail(polling_given_up(waiter.job.job_id, error))

    # ------------------------------------------------------------------ the loop

    async def _run(self) -> None:
        deadlines_checked = time.time()
        try:
            while not self._stopped:
                self._wake.clear()
                now = time.time()
                if now >= deadlines_checked + _CHECK_DEADLINES:
                    # Beside the looks: a vendor that does not answer must not hold a wait beyond its time.
                    deadlines_checked = now
                    for waiter in self._waiters:
                        if now >= waiter.given_up_at:
                            waiter.check_deadline(now)
                if now >= self._ask_from:
                    await self._ask_the_due(now)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._idle(time.time()))
        except Exception as error:
            self._break(error)
        finally:
            self._stop()

    def _idle(self, now: float) -> float:
        """Return how long there is nothing to do, unless a call ends or a wait begins."""
        if not self._queue or len(self._calls) >= MOST_IN_FLIGHT:
            return _CHECK_DEADLINES
        return min(max(max(self._queue[0][0], self._ask_from, self._list_from) - now, 0.01), _CHECK_DEADLINES)

    async def _ask_the_due(self, now: float) -> None:
        if self._hook is None and (self._not_listed or (self._queue and self._queue[0][0] <= now)):
            await self._open_hook()
        if self._hook is None or self._stopped:
            return
        while self._not_listed and len(self._calls) < MOST_IN_FLIGHT:
            self._start(self._ask(self._not_listed.popleft(), self._hook))
        if not self._hook.can_list or len(self._waiters) == 1:
            for waiter in self._pop_due(now, most=MOST_IN_FLIGHT - len(self._calls)):
                self._start(self._ask(waiter, self._hook))
        elif now >= self._list_from and (due := self._pop_due(now + _TOGETHER)):
            self._list_from = math.inf
            self._start(self._list(due, self._hook))

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(error)

    def _enqueue(self, waiter: Waiter) -> None:
        if waiter.is_over or waiter not in self._waiters:
            return
        if waiter.queued is None or waiter.due < waiter.queued:
            waiter.queued = waiter.due
            heapq.heappush(self._queue, (waiter.due, next(self._numbers), waiter))

    def _pop_due(self, until: float, most: float = math.inf) -> list[Waiter]:
        due: list[Waiter] = []
        while self._queue and self._queue[0][0] <= until and len(due) < most:
            queued, _, waiter = heapq.heappop(self._queue)
            if queued != waiter.queued:
                continue
            waiter.queued = None
            if waiter.due > until:
                self._enqueue(waiter)
            elif waiter in self._waiters and not waiter.is_over:
                due.append(waiter)
        return due

    # ------------------------------------------------------------------ the calls

    async def _ask(self, waiter: Waiter, hook: VideoHook) -> None:
        """Ask for one job by its id."""
        if waiter not in self._waiters or waiter.is_over:
            return
        try:
            job = await self._in_thread(hook.get_job, waiter.job.job_id)
        except Exception as error:
            await self._failed(error, [waiter], calls=1, hook=hook)
        else:
            self._failures = 0
            waiter.saw(job, time.time())
            self._enqueue(waiter)

    async def _list(self, due: list[Waiter], hook: VideoHook) -> None:
        """Ask for all jobs in one request, and tell all waits; those that are due and not shown are asked for by id."""
        waiters = list(self._waiters)
        ids = {waiter.job.job_id for waiter in waiters}
        began = time.monotonic()
        self._list_from = time.time() + min(SHORTEST_INTERVAL, *(waiter.poll_interval for waiter in due))
        try:
            found = await self._in_thread(hook.get_jobs, ids)
        except Exception as error:
            if _concerns_this_call_alone(error):
                log.warning("%s; asking for each job by its id", error)
                found = {}
            else:
                await self._failed(error, due, calls=MOST_IN_FLIGHT, hook=hook)
                return
        else:
            self._failures = 0
        now = time.time()
        self._list_from = max(self._list_from, now + (time.monotonic() - began) * (1 / SHARE_OF_TIME - 1))
        for number, waiter in enumerate(waiters):
            if job := found.get(waiter.job.job_id):
                waiter.saw(job, now)
                self._enqueue(waiter)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._not_listed.extend(waiter for waiter in due if waiter.job.job_id not in found)

    async def _failed(self, error: Exception, waiters: list[Waiter], *, calls: int, hook: VideoHook | None) -> None:
        """Take in a failed call; a round of them, or the vendor's Retry-After, holds back the whole connection."""
        now = time.time()
        self._ask_from = max(self._ask_from, now + (retry_after_of(error) or 0.0))
        if not _concerns_this_call_alone(error):
            self._failures += calls
            if self._hook is hook and not isinstance(error, VideoApiQuotaError):
                # Its host or key may have been set right since: look the connection up again.
                self._close_hook()
            if self._failures >= MOST_IN_FLIGHT:
                # Those that are due could not have been asked either: they share the failure.
                waiters = list(dict.fromkeys(waiters + self._pop_due(now)))
                longest = min((waiter.poll_interval for waiter in waiters), default=DEFAULT_POLL_INTERVAL)
                pause = next_try(self._failures // MOST_IN_FLIGHT, error, poll_interval=longest)
                self._ask_from = max(self._ask_from, now + pause)
        log.warning("%s; connection %s: %s looks failed", error, self.conn_id, len(waiters))
        for number, waiter in enumerate(waiters):
            waiter.missed(error, now)
            self._enqueue(waiter)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _open_hook(self) -> None:
        try:
            self._hook = await asyncio.wait_for(aget_video_hook(self.conn_id), _LOOK_UP_SECONDS)
        except Exception as error:
            if isinstance(error, asyncio.TimeoutError):  # which has no text
                error = TimeoutError(f"Connection {self.conn_id} was not given within {_LOOK_UP_SECONDS:.0f} s")
            not_asked, self._not_listed = list(self._not_listed), deque()
            await self._failed(error, not_asked, calls=MOST_IN_FLIGHT, hook=None)
        else:
            # A failed call is tried again at the next look, for the whole connection; not by the client, for one job.
            self._hook.retry_deadline = 0.0

    def _close_hook(self) -> None:
        hook, self._hook = self._hook, None
        if hook is not None:
            hook.close()

    async def _in_thread(self, call: Callable[[Argument], Answer], argument: Argument) -> Answer:
        return await self._loop.run_in_executor(self._threads, call, argument)


def _concerns_this_call_alone(error: Exception) -> bool:
    """Tell whether a failed call says nothing about the next one: that of another job, or of one job after a list."""
    return isinstance(error, (VideoApiUnreadableAnswerError, VideoApiNotFoundError, VideoApiInvalidRequestError))
