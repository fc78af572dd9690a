# SPDX-License-Identifier: Apache-2.0
"""
Several ranges of one file at once, handed out in order.

Only for a file whose size and version are known. Where a range cannot be had, or is of another version, the run ends:
the parts before it are handed out, what was read of later ones is thrown away. Hosts that refuse a second connection
are read in one stream so.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from airflow_video_providers.delivery.buffers import BufferPool, Part
from airflow_video_providers.delivery.source.patience import DownloadSettings, Patience
from airflow_video_providers.delivery.source.response import FileResponse
from airflow_video_providers.delivery.source.signals import BrokenError, PastTheEndError, RangesEndedError
from airflow_video_providers.exceptions import SourceError, VideoProviderError

_ATTEMPTS = 3  # fewer than for one stream, which tries again what a range could not get


class Ask(Protocol):
    """Sends a request until it is answered well."""

    def __call__(self, patience: Patience, first: int, last: int) -> FileResponse:
        """Ask for the bytes from ``first`` to ``last``, both included."""


class Ranges:
    """
    One run of parallel reading, with threads and a stop of its own.

    :param first: the response to the first request, whose body begins the file; it says size and version.
    :param ask: sends the other requests; called by several threads.
    :param on_bytes: told how many bytes came; below 0: how many of them will not be handed out.
    """

    def __init__(
        self, first: FileResponse, ask: Ask, settings: DownloadSettings, on_bytes: Callable[[int], None]
    ) -> None:
        assert first.size is not None  # the caller has checked it
        self.settings = settings
        self.size = first.size
        self.handed_out = 0
        self.resumes = 0
        self._first: FileResponse | None = first
        self._validator = first.validator
        self._ask = ask
        self._on_bytes = on_bytes
        self._reported = 0
        self._live: set[FileResponse] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._failed = threading.Event()

    def parts(self, pool: BufferPool, part_size: int) -> Iterator[Part]:
        """
        Yield the file in parts of ``part_size`` bytes (the last one may be shorter), in order.

        :raises RangesEndedError: the next part cannot be had by ranges.
        """
        offsets = deque(range(0, self.size, part_size))
        running: deque[tuple[Part, Future[None]]] = deque()
        threads = ThreadPoolExecutor(self.settings.streams, thread_name_prefix="range")
        try:
            while offsets or running:
                # One range is always asked for in order, so that the next part can never wait for memory of later ones.
                while offsets and len(running) < self.settings.streams and not self._failed.is_set():
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
            for response in self._live:
                response.interrupt()
            if self._first is not None:
                self._first.close()

    def _fetch(self, part: Part) -> None:
        try:
            self._read(part)
        except VideoProviderError as error:  # of the source, or of the vendor that was asked for a fresh link
            self._failed.set()
            raise RangesEndedError(str(error)) from None
        except RangesEndedError:
            self._failed.set()
            raise

    def _read(self, part: Part) -> None:
        response = self._take_first() if part.offset == 0 else None
        filled = 0
        broke = False
        patience = Patience(self.settings, self._stopped, min(_ATTEMPTS, self.settings.attempts))
        while not self._stopped.is_set():
            try:
                if response is None:
                    response = self._get(patience, part.offset + filled, part.offset + part.length - 1)
                before = filled
                with self._alive(response):
                    for now in response.pieces(part.view[before:], careful=broke):
                        if not self._report(before + now - filled):
                            return
                        filled = before + now
                        patience.progress(filled)
                if filled == part.length:
                    return
                if part.offset + filled != response.end:  # else the host sends at most so much at once
                    raise BrokenError(f"the source ended at byte {part.offset + filled} of {self.size}")
                patience.check_rate(filled)
            except BrokenError as error:
                with self._lock:
                    self.resumes += 1
                broke = True
                patience.wait(error, f"at byte {part.offset + filled}")
            finally:
                if response is not None:
                    response.close()
                    response = None

    def _get(self, patience: Patience, first: int, last: int) -> FileResponse:
        try:
            response = self._ask(patience, first, last)
        except PastTheEndError as error:
            raise SourceError(f"the source shrank while it was read: {error}") from None
        if (
            not response.partial
            or response.start != first
            or response.size != self.size
            or response.packed
            or not self._validator.same(response.validator)
        ):
            response.close()
            raise RangesEndedError("the source sent another version, or the whole file for a range", other_version=True)
        return response

    def _report(self, count: int) -> bool:
        """Count bytes; return whether the run goes on: what comes after its end counts no more."""
        with self._lock:
            if self._stopped.is_set():
                return False
            self._reported += count
            self._on_bytes(count)
            return True

    @contextmanager
    def _alive(self, response: FileResponse) -> Iterator[None]:
        """Let the main thread break off a read that this thread is blocked in."""
        with self._lock:
            self._live.add(response)
        try:
            yield
        finally:
            with self._lock:
                self._live.discard(response)

    def _take_first(self) -> FileResponse | None:
        with self._lock:
            first, self._first = self._first, None
            return first
