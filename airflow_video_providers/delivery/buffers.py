# SPDX-License-Identifier: Apache-2.0
"""
The memory of all transfers of one process: part buffers under one budget.

A transfer holds at most a few parts, and all transfers together at most the budget; who finds it used up waits until
another part has been stored. ``[video_providers] transfer_memory_mb`` in Airflow's configuration sets it (default 256).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

PART_BYTES = 8 * 1024 * 1024
_DEFAULT_MB = 256


@dataclass
class Part:
    """Consecutive bytes of a file: the first ``length`` of ``buffer``, which the taker gives back to the pool."""

    offset: int
    buffer: bytearray
    length: int

    @property
    def view(self) -> memoryview:
        """The bytes."""
        return memoryview(self.buffer)[: self.length]


class BufferPool:
    """
    Lends buffers within a budget.

    :param budget: bytes that may be lent at once. One buffer is always lent, also when it alone is larger.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.lent = 0
        self._free: list[bytearray] = []
        self._changed = threading.Condition()

    def take(self, size: int, *, wait: bool = True) -> bytearray | None:
        """Return a buffer of ``size`` bytes; where the budget is used up wait for it, or return None."""
        with self._changed:
            while self.lent and self.lent + size > self.budget:
                if not wait:
                    return None
                self._changed.wait()
            self.lent += size
            if size == PART_BYTES and self._free:
                return self._free.pop()
        return bytearray(size)

    def give(self, buffer: bytearray, *, reuse: bool = True) -> None:
        """
        Take a buffer back.

        :param reuse: False where a thread may still write to it: its memory is then never lent again.
        """
        with self._changed:
            self.lent -= len(buffer)
            # Pages that are already there are cheaper than fresh ones, but an idle process keeps none.
            if reuse and self.lent and len(buffer) == PART_BYTES:
                self._free.append(buffer)
            if not self.lent:
                self._free.clear()
            self._changed.notify_all()


@lru_cache(maxsize=1)
def shared_pool() -> BufferPool:
    """Return the pool of this process."""
    from airflow.sdk.configuration import conf

    megabytes = conf.getint("video_providers", "transfer_memory_mb", fallback=_DEFAULT_MB)
    return BufferPool(megabytes * 1024 * 1024)
