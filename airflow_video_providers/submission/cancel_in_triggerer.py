# SPDX-License-Identifier: Apache-2.0
"""Cancelling the renders of many deferred tasks that a person clears at once."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

from airflow_video_providers.hooks.base import VideoHook, aget_video_hook
from airflow_video_providers.submission.cancel import Cause, cancel_video_job

MOST_CANCELS_IN_FLIGHT = 16
"""Most jobs of one connection that are cancelled at a time."""
_RETRY_SECONDS = 15.0
"""How long a cancelling call is tried again: Airflow gives a killed trigger 30 seconds."""
_LOOK_UP_SECONDS = 30.0


async def cancel_killed(conn_id: str, job_id: str) -> None:
    """
    Look at a job and end it if it still runs.

    It is done even if the caller is cancelled meanwhile: when hundreds of tasks are cleared at once, the last ones do
    not get their turn within the 30 seconds that Airflow gives a killed trigger.
    """
    key = (asyncio.get_running_loop(), conn_id)
    if key not in _cancellers:
        _cancellers[key] = _Canceller(*key)
    await asyncio.shield(_cancellers[key].start(job_id))


class _Canceller:
    """Cancels jobs of one connection, by one hook and in a few threads of its own; ends with the last of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, conn_id: str) -> None:
        self._key = (loop, conn_id)
        self._threads = ThreadPoolExecutor(MOST_CANCELS_IN_FLIGHT, thread_name_prefix=f"cancel-{conn_id}")
        self._calls: set[asyncio.Task[None]] = set()
        self._hook = loop.create_task(self._open_hook())

    def start(self, job_id: str) -> asyncio.Task[None]:
        call = self._key[0].create_task(self._cancel(job_id))
        self._calls.add(call)
        call.add_done_callback(self._ended)
        return call

    async def _open_hook(self) -> VideoHook:
        hook = await asyncio.wait_for(aget_video_hook(self._key[1]), _LOOK_UP_SECONDS)
        hook.retry_deadline = _RETRY_SECONDS
        return hook

    async def _cancel(self, job_id: str) -> None:
        hook = await self._hook
        # In the context of the killed trigger: its log tells what became of the job.
        run = contextvars.copy_context().run
        await self._key[0].run_in_executor(
            self._threads, lambda: run(cancel_video_job, hook, job_id, reason=Cause.KILLED.value)
        )

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if self._calls:
            return
        del _cancellers[self._key]
        self._threads.shutdown(wait=False)
        if self._hook.done() and not self._hook.cancelled() and self._hook.exception() is None:
            self._hook.result().close()


# Keyed by the loop too: `dag.test()` gives every trigger a loop of its own.
_cancellers: dict[tuple[asyncio.AbstractEventLoop, str], _Canceller] = {}
