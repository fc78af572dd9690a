# SPDX-License-Identifier: Apache-2.0
"""
One poll for all the waits of a connection in a triggerer.

A triggerer runs all its triggers in one event loop. The waits of one connection in one loop share a
:class:`SharedPoller`: where the vendor can list, one list request tells all of them how their jobs are doing, and a job
that the list does not show is polled by its id; where it cannot, each job is polled when it is due, the longest overdue
first, never more than :data:`MOST_IN_FLIGHT` at a time. The calls run in the poller's own few threads, never in the
loop. A vendor's Retry-After, and a pause after failures, hold for the whole connection; one call alone finds out
whether they are over.

A callback of the vendor makes a job due at once, by its id; at most once in a quarter of a minute.
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
from dataclasses import replace
from typing import Any, TypeVar

from airflow_video_providers.exceptions import (
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.base import VideoHook, aget_video_hook
from airflow_video_providers.waiting.callbacks import Callbacks
from airflow_video_providers.waiting.outcome import describe_failure, polling_given_up
from airflow_video_providers.waiting.schedule import (
    DEFAULT_POLL_INTERVAL,
    SHORTEST_INTERVAL,
    pause_after_failure,
    usable_retry_after,
)
from airflow_video_providers.waiting.wait import Wait
from airflow_video_providers.waiting.waiter import Waiter

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


async def watch(conn_id: str, waiter: Waiter) -> AsyncGenerator[Wait, None]:
    """Yield the wait each time its job has moved, and at last when it has ended."""
    if waiter.is_over:
        yield waiter.wait
        return
    key = (asyncio.get_running_loop(), conn_id)
    if key not in _pollers:
        _pollers[key] = SharedPoller(conn_id)
    poller = _pollers[key]
    poller.join(waiter)
    try:
        is_over = False
        while not is_over:
            await waiter.news.wait()
            waiter.news.clear()
            is_over = waiter.is_over  # before the caller takes its time: what ends meanwhile is still to be told
            yield waiter.wait
    finally:
        poller.leave(waiter)


def count_waits() -> int:
    """Return how many waits this event loop holds, of all connections."""
    loop = asyncio.get_running_loop()
    return sum(len(poller._waiters) for (of, _), poller in _pollers.items() if of is loop)


# Keyed by the loop too: `dag.test()` gives every trigger a loop of its own.
_pollers: dict[tuple[asyncio.AbstractEventLoop, str], SharedPoller] = {}


class SharedPoller:
    """Polls one connection about all the jobs that are waited for in this event loop; ends with the last of them."""

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
        self._most_in_flight = MOST_IN_FLIGHT
        self._failures = 0  # calls in a row
        self._stopped = False
        self._poll_from = 0.0
        self._list_from = 0.0
        # In an empty context: otherwise the log lines of this task would go to the log of the wait that came first.
        self._task = contextvars.Context().run(self._loop.create_task, self._run())
        self._callbacks = Callbacks(conn_id, self._waiters, self._poll_now)

    def join(self, waiter: Waiter) -> None:
        """Begin to poll a job."""
        self._waiters.add(waiter)
        self._enqueue(waiter)
        self._callbacks.join(waiter)
        self._wake.set()

    def leave(self, waiter: Waiter) -> None:
        """Poll a job no more; the last one to leave stops the poller."""
        self._waiters.discard(waiter)
        self._callbacks.leave(waiter)
        if not self._waiters:
            self._stop()

    def _stop(self) -> None:
        if _pollers.get((self._loop, self.conn_id)) is self:
            del _pollers[self._loop, self.conn_id]
        # Python 3.11's wait_for swallows a cancel that comes together with what it waits for.
        self._stopped = True
        self._task.cancel()
        self._callbacks.stop()
        for call in self._calls:
            call.cancel()
        self._close_hook()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _break(self, error: Exception) -> None:
        """End all waits: better than to let them hang if the poller itself has a fault."""
        log.error("The poller of connection %s has a fault", self.conn_id, exc_info=error)
        for waiter in self._waiters:
            given_up = polling_given_up(waiter.wait.job.job_id, error)
            waiter.move_to(replace(waiter.wait, error=given_up), time.time())

    def _poll_now(self, waiter: Waiter) -> None:
        """Poll a job by its id, before its time; a list tells of many at once."""
        if waiter.wait.due <= time.time() and len(self._not_listed) < MOST_IN_FLIGHT:
            if waiter not in self._not_listed:
                self._not_listed.append(waiter)
        else:
            self._enqueue(waiter)
        self._wake.set()

    # ------------------------------------------------------------------ the loop

    async def _run(self) -> None:
        deadlines_checked = time.time()
        try:
            while not self._stopped:
                self._wake.clear()
                now = time.time()
                if now >= deadlines_checked + _CHECK_DEADLINES:
                    # Beside the polls: a vendor that does not answer must not hold a wait beyond its time.
                    deadlines_checked = now
                    for waiter in self._waiters:
                        if now >= waiter.given_up_at:
                            waiter.move_to(waiter.wait.expire(now), now)
                if now >= self._poll_from:
                    await self._poll_the_due(now)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._idle(time.time()))
        except Exception as error:
            self._break(error)
        finally:
            self._stop()

    def _free_calls(self) -> int:
        """Return how many calls may be started now: one less for each that has failed in a row, one at least."""
        return max(1, self._most_in_flight - self._failures) - len(self._calls)

    def _idle(self, now: float) -> float:
        """Return how long there is nothing to do, unless a call ends or a wait begins."""
        if not (self._queue or self._not_listed) or self._free_calls() <= 0:
            return _CHECK_DEADLINES
        due = now if self._not_listed else max(self._queue[0][0], self._list_from)
        return min(max(due - now, self._poll_from - now, 0.01), _CHECK_DEADLINES)

    async def _poll_the_due(self, now: float) -> None:
        if self._hook is None and (self._not_listed or (self._queue and self._queue[0][0] <= now)):
            await self._open_hook()
        if self._hook is None or self._stopped:
            return
        while self._not_listed and self._free_calls() > 0:
            waiter = self._not_listed.popleft()
            waiter.queued = None  # this is its poll
            self._start(self._poll(waiter, self._hook))
        if not self._hook.can_list or len(self._waiters) == 1:
            for waiter in self._pop_due(now, most=self._free_calls()):
                self._start(self._poll(waiter, self._hook))
        elif now >= self._list_from and self._free_calls() > 0 and (due := self._pop_due(now + _TOGETHER)):
            self._list_from = math.inf
            self._start(self._list(due, self._hook))

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._wake.set()
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._break(error)

    def _enqueue(self, waiter: Waiter) -> None:
        if waiter.is_over or waiter not in self._waiters:
            return
        if waiter.queued is None or waiter.wait.due < waiter.queued:
            waiter.queued = waiter.wait.due
            heapq.heappush(self._queue, (waiter.queued, next(self._numbers), waiter))

    def _pop_due(self, until: float, most: float = math.inf) -> list[Waiter]:
        due: list[Waiter] = []
        while self._queue and self._queue[0][0] <= until and len(due) < most:
            queued, _, waiter = heapq.heappop(self._queue)
            if queued != waiter.queued:
                continue
            waiter.queued = None
            if waiter.wait.due > until:
                self._enqueue(waiter)
            elif waiter in self._waiters and not waiter.is_over:
                due.append(waiter)
        return due

    # ------------------------------------------------------------------ the calls

    async def _poll(self, waiter: Waiter, hook: VideoHook) -> None:
        """Poll one job by its id."""
        if waiter not in self._waiters or waiter.is_over:
            return
        began = time.time()
        try:
            job = await self._in_thread(hook.get_job, waiter.wait.job.job_id)
        except Exception as error:
            await self._failed(error, [waiter], calls=1, hook=hook)
        else:
            self._worked(began)
            now = time.time()
            waiter.move_to(waiter.wait.saw(job, now), now, began=began)
            self._enqueue(waiter)

    async def _list(self, due: list[Waiter], hook: VideoHook) -> None:
        """Poll all jobs in one request, and tell all waits; those that are due and not shown are polled by their id."""
        waiters = list(self._waiters)
        ids = {waiter.wait.job.job_id for waiter in waiters}
        began = time.time()
        self._list_from = began + min(SHORTEST_INTERVAL, *(waiter.wait.limits.poll_interval for waiter in due))
        try:
            found = await self._in_thread(hook.get_jobs, ids)
        except Exception as error:
            if _concerns_this_call_alone(error):
                log.warning("%s; polling each job by its id", describe_failure(error))
                found = {}
            else:
                await self._failed(error, due, calls=MOST_IN_FLIGHT, hook=hook)
                return
        else:
            self._worked(began)
        now = time.time()
        self._list_from = max(self._list_from, now + (now - began) * (1 / SHARE_OF_TIME - 1))
        for number, waiter in enumerate(waiters):
            if job := found.get(waiter.wait.job.job_id):
                waiter.move_to(waiter.wait.saw(job, now), now, began=began)
                self._enqueue(waiter)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._not_listed.extend(waiter for waiter in due if waiter.wait.job.job_id not in found)

    def _worked(self, began: float) -> None:
        """Take note of a call that has worked; one that was begun before a pause does not end it."""
        if began >= self._poll_from:
            self._failures = 0

    async def _failed(self, error: Exception, waiters: list[Waiter], *, calls: int, hook: VideoHook | None) -> None:
        """Take in a failed call; a round of them, or the vendor's Retry-After, holds back the whole connection."""
        now = time.time()
        if not _concerns_this_call_alone(error):
            # One that was made alone after a pause stands for all that were not made.
            in_pause = self._failures >= MOST_IN_FLIGHT or usable_retry_after(error) > 0
            self._failures += MOST_IN_FLIGHT if in_pause else calls
            if self._hook is hook and not isinstance(error, VideoApiQuotaError):
                # Its host or key may have been set right since: look the connection up again.
                self._close_hook()
            if self._failures >= MOST_IN_FLIGHT:
                # Those that are due could not have been polled either: they share the failure.
                waiters = list(dict.fromkeys(waiters + self._pop_due(now)))
                shortest = min((each.wait.limits.poll_interval for each in waiters), default=DEFAULT_POLL_INTERVAL)
                pause = pause_after_failure(self._failures // MOST_IN_FLIGHT, error, poll_interval=shortest)
                self._poll_from = max(self._poll_from, now + pause)
        log.warning("%s; connection %s: %s polls failed", describe_failure(error), self.conn_id, len(waiters))
        find_wait = 0.0 if hook is None else hook.find_wait
        for number, waiter in enumerate(waiters):
            waiter.move_to(waiter.wait.missed(error, now, find_wait=find_wait), now)
            self._enqueue(waiter)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _open_hook(self) -> None:
        try:
            self._hook = await asyncio.wait_for(aget_video_hook(self.conn_id), _LOOK_UP_SECONDS)
        except Exception as error:
            if isinstance(error, asyncio.TimeoutError):  # which has no text
                error = TimeoutError(f"connection {self.conn_id} was not given by Airflow in {_LOOK_UP_SECONDS:.0f} s")
            not_polled, self._not_listed = list(self._not_listed), deque()
            await self._failed(error, not_polled, calls=MOST_IN_FLIGHT, hook=None)
            return
        # A failed call is repeated by the next poll, for the whole connection; not by the client, for one job.
        self._hook.retry_deadline = 0.0
        # More than the vendor's rate would only queue there, and a call that cancels a job behind them.
        rate = self._hook.requests_per_second
        self._most_in_flight = MOST_IN_FLIGHT if rate is None else min(MOST_IN_FLIGHT, max(1, math.ceil(rate)))

    def _close_hook(self) -> None:
        hook, self._hook = self._hook, None
        if hook is not None:
            hook.close()

    async def _in_thread(self, call: Callable[[Argument], Answer], argument: Argument) -> Answer:
        return await self._loop.run_in_executor(self._threads, call, argument)


def _concerns_this_call_alone(error: Exception) -> bool:
    """Tell whether a failed call says nothing about the next one: that of another job, or of one job after a list."""
    return isinstance(error, (VideoApiUnreadableAnswerError, VideoApiNotFoundError, VideoApiInvalidRequestError))
