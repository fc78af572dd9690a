# SPDX-License-Identifier: Apache-2.0
"""
Several ranges of one file at once, handed out in order.

Only for a file whose size and version are known. An answer that is no range of that version ends the run: the parts
before it have been handed out, what was read of later ones is thrown away.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from airflow_video_providers.delivery.buffers import BufferPool, Part
from airflow_video_providers.delivery.source.http import Answer, BrokenError, PastTheEndError
from airflow_video_providers.delivery.source.patience import DownloadSettings, Patience
from airflow_video_providers.exceptions import SourceError


class OtherVersionError(Exception):
    """A range was asked for, and the answer is another version, another range, or the whole file."""


class Ask(Protocol):
    """Sends a request until it is answered well."""

    def __call__(self, patience: Patience, first: int, last: int) -> Answer:
        """Ask for the bytes from ``first`` to ``last``, both included."""


class Ranges:
    """
    One run of parallel reading, with threads and a stop of its own.

    :param first: the answer to the first request, whose body begins the file; it says size and version.
    :param ask: sends the other requests; called by several threads.
    :param on_bytes: told how many bytes came; below 0: how many of them will not be handed out.
    """

    def __init__(self, first: Answer, ask: Ask, settings: DownloadSettings, on_bytes: Callable[[int], None]) -> None:
        assert first.size is not None  # the caller looked
        self.settings = settings
        self.size = first.size
        self.handed_out = 0
        self.resumes = 0
        self._first: Answer | None = first
        self._validator = first.validator
        self._ask = ask
        self._on_bytes = on_bytes
        self._reported = 0
        self._live: set[Answer] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def parts(self, pool: BufferPool, part_size: int) -> Iterator[Part]:
        """
        Yield the file in parts of ``part_size`` bytes (the last one may be shorter), in order.

        :raises OtherVersionError: the next part cannot be had by ranges. :raises SourceError: it cannot be had at all.
        """
        offsets = deque(range(0, self.size, part_size))
        running: deque[tuple[Part, Future[None]]] = deque()
        threads = ThreadPoolExecutor(self.settings.streams, thread_name_prefix="range")
        try:
            while offsets or running:
                # One range is always asked for in order, so that the next part can never wait for memory of later ones.
                while offsets and len(running) < self.settings.streams:
                    offset = offsets[0]
                    length = min(part_size, self.size - offset)
                    buffer = pool.take(part_size, wait=not running)
                    if buffer is None:
                        break
                    offsets.popleft()
                    part = Part(offset, buffer, length)
                    running.append((part, threads.submit(self._fetch, part)))
                part, done = running[0]
                done.result()
                running.popleft()
                self.handed_out += part.length
                yield part
        finally:
            self._stop()
            threads.shutdown(wait=False, cancel_futures=True)
            for part, done in running:
                pool.give(part.buffer, reuse=done.done())

    def _stop(self) -> None:
        with self._lock:
            self._stopped.set()
            self._on_bytes(self.handed_out - self._reported)
            for answer in self._live:
                answer.interrupt()
            if self._first is not None:
                self._first.close()

    def _fetch(self, part: Part) -> None:
        answer = self._take_first() if part.offset == 0 else None
        filled = 0
        broke = False
        patience = Patience(self.settings, self._stopped)
        while not self._stopped.is_set():
            try:
                if answer is None:
                    answer = self._get(patience, part.offset + filled, part.offset + part.length - 1)
                before = filled
                with self._alive(answer):
                    for now in answer.pieces(part.view[before:], careful=broke):
                        if not self._report(before + now - filled):
                            return
                        filled = before + now
                        patience.progress(filled)
                if filled < part.length:
                    raise BrokenError(f"the source ended at byte {part.offset + filled} of {self.size}")
                return
            except BrokenError as error:
                with self._lock:
                    self.resumes += 1
                broke = True
                patience.wait(error, f"at byte {part.offset + filled}")
            finally:
                if answer is not None:
                    answer.close()
                    answer = None

    def _get(self, patience: Patience, first: int, last: int) -> Answer:
        try:
            answer = self._ask(patience, first, last)
        except PastTheEndError as error:
            raise SourceError(f"the source shrank while it was read: {error}") from None
        if (
            not answer.partial
            or answer.start != first
            or answer.size != self.size
            or answer.encoded
            or not self._validator.same(answer.validator)
        ):
            answer.close()
            raise OtherVersionError("the source sent another version or another range than was asked for")
        return answer

    def _report(self, count: int) -> bool:
        """Count bytes; return whether the run goes on: what comes after its end counts no more."""
        with self._lock:
            if self._stopped.is_set():
                return False
            self._reported += count
            self._on_bytes(count)
            return True

    @contextmanager
    def _alive(self, answer: Answer) -> Iterator[None]:
        """Let the main thread break off a read that this thread is blocked in."""
        with self._lock:
            self._live.add(answer)
        try:
            yield
        finally:
            with self._lock:
                self._live.discard(answer)

    def _take_first(self) -> Answer | None:
        with self._lock:
            first, self._first = self._first, None
            return first
