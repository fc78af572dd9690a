# SPDX-License-Identifier: Apache-2.0
"""
The threads, parts and checks of one streamed delivery.

The reading thread fills a part; another hashes it, others store it; its memory is lent again when both are done.
Whatever goes wrong, also a signal in the reading thread, ends in an abort: nothing appears, an older object stays.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace as changed
from typing import TYPE_CHECKING

from airflow_video_providers.delivery.buffers import Part
from airflow_video_providers.delivery.media_check import FIRST_BYTES, MediaCheck
from airflow_video_providers.delivery.source.download import Download
from airflow_video_providers.exceptions import ContentCheckError

if TYPE_CHECKING:
    from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery
    from airflow_video_providers.delivery.stores.base import ObjectWriter

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 10.0
_ABORT_PATIENCE_SECONDS = 4.0  # in all: Airflow gives a killed process about 5


class Flow:
    """One streamed delivery: :meth:`run` once, then :meth:`end` in every case."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False) if delivery.output.md5 else None
        self.check = MediaCheck(delivery.output.kind)
        self.progress = Progress(delivery.location.uri)
        self.download = Download(
            delivery.output, delivery.refresh, delivery.rules.download, self._digest_so_far, self.progress.add
        )
        self.beginning: Future[ObjectWriter] | None = None
        self.writer: ObjectWriter | None = None
        self.hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self.senders = ThreadPoolExecutor(delivery.store.parallel, thread_name_prefix="part")
        self.hashing: Future[None] | None = None
        self.sending: deque[tuple[Future[None], Part]] = deque()
        self.parts: Generator[Part, None, None] | None = None
        self.size = 0

    def run(self) -> tuple[DeliveredFile, str]:
        """Transfer the file; return it and its version."""
        delivery, download = self.delivery, self.download
        started = time.monotonic()
        download.open()
        if download.size is not None:
            delivery.check_limit(download.size)
        part_size = delivery.store.part_size(download.size)
        self.progress.size = download.size
        self.parts = download.parts(delivery.pool, part_size)
        for number, part in enumerate(self.parts):
            try:
                self._inspect(part)
                if part.offset == 0 and part.length < part_size:
                    return self._finish_small(part, started)
                self._begin()
            except BaseException:
                delivery.pool.give(part.buffer)
                raise
            self._hand_over(number, part)
        return self._finish(started)

    def end(self) -> None:
        """Leave nothing behind: called in every case, also after success, when there is nothing left to do."""
        try:
            if self.parts is not None:
                self.parts.close()
            self.download.close()
            for future, part in self.sending:
                if future.cancel():
                    self.delivery.pool.give(part.buffer, reuse=False)
        finally:  # whatever fails in closing the source
            self._abort()
            self.senders.shutdown(wait=False, cancel_futures=True)
            self.hasher.shutdown(wait=False, cancel_futures=True)

    def _abort(self) -> None:
        if self.beginning is None:
            return
        until = time.monotonic() + _ABORT_PATIENCE_SECONDS
        wait([self.beginning], timeout=_ABORT_PATIENCE_SECONDS)
        if not self.beginning.done():  # its answer may still come: abort it then, in its thread
            self.beginning.add_done_callback(_abort_late)
            return
        if self.beginning.exception() is not None:
            return
        writer = self.beginning.result()
        writer.abort()
        on_their_way = [future for future, _ in self.sending if not future.done()]
        if on_their_way:
            # A part that arrives after the abort stays in some stores: once more after it.
            wait(on_their_way, timeout=max(0.0, until - time.monotonic()))
            writer.abort()

    # ------------------------------------------------------------------ one part

    def _inspect(self, part: Part) -> None:
        if part.offset == 0:
            self.check.start(bytes(part.view[:FIRST_BYTES]))
        self.check.feed(part.view)
        self.size += part.length
        self.delivery.check_limit(self.size)

    def _begin(self) -> None:
        if self.writer is None:
            delivery = self.delivery
            # In a thread, which no signal interrupts: what it has begun is known, and can be undone.
            self.beginning = Future()  # known before the thread starts
            self.senders.submit(self._begin_upload, self.beginning)
            self.writer = self.beginning.result()
            delivery.begun(self.writer.token)

    def _begin_upload(self, beginning: Future[ObjectWriter]) -> None:
        delivery = self.delivery
        try:
            attributes = delivery.attributes(self._media_type)
            beginning.set_result(delivery.store.begin(delivery.location.key, attributes, replace=delivery.replaces))
        except BaseException as error:
            beginning.set_exception(error)

    def _hand_over(self, number: int, part: Part) -> None:
        self.hashing = self.hasher.submit(self._hash, part)
        self.sending.append((self.senders.submit(self._send, number, part, self.hashing), part))
        while len(self.sending) > self.delivery.store.parallel or (self.sending and self.sending[0][0].done()):
            self._await_oldest()

    def _await_oldest(self) -> None:
        future, _ = self.sending[0]
        try:
            future.result()
        finally:
            if future.done():
                self.sending.popleft()

    def _hash(self, part: Part) -> None:
        self.sha256.update(part.view)
        if self.md5 is not None:
            self.md5.update(part.view)

    def _send(self, number: int, part: Part, hashing: Future[None]) -> None:
        assert self.writer is not None  # set before the first part is handed over
        try:
            self.writer.write(number, part.offset, part.buffer, part.length)
        finally:
            with suppress(CancelledError):
                hashing.result()
            self.delivery.pool.give(part.buffer)

    @property
    def _media_type(self) -> str:
        return self.check.media_type(self.delivery.output.media_type, self.download.media_type)

    def _digest_so_far(self) -> bytes:
        if self.hashing is not None:
            self.hashing.result()
        return self.sha256.digest()

    # ------------------------------------------------------------------ the end

    def _finish_small(self, part: Part, started: float) -> tuple[DeliveredFile, str]:
        self._hash(part)
        self._verify()
        delivered = self.delivery.put(part.buffer[: part.length], self.sha256, self._media_type)
        self.delivery.pool.give(part.buffer)
        self._summary(started)
        return delivered

    def _finish(self, started: float) -> tuple[DeliveredFile, str]:
        if self.writer is None:
            raise ContentCheckError("the source sent nothing at all")
        while self.sending:
            self._await_oldest()
        self._verify()
        stored = self.delivery.committed(self.writer.commit, self.size)
        self._summary(started)
        delivered = self.delivery.result(self.size, self.sha256.hexdigest(), self._media_type)
        return changed(delivered, transferred=self.size), stored.version

    def _verify(self) -> None:
        """Prove that this is the whole file; only then it is made visible."""
        output, download = self.delivery.output, self.download
        self.check.finish()
        for expected, who in ((output.size, "the vendor"), (download.size, "the source")):
            if expected is not None and expected != self.size:
                raise ContentCheckError(f"{self.size} bytes came, {who} says {expected}")
        if self.md5 is not None and self.md5.hexdigest() != str(output.md5).lower():
            raise ContentCheckError(f"the MD5 of the file is {self.md5.hexdigest()}, the vendor says {output.md5}")
        if not (download.complete or self.md5 or output.size is not None or self.check.shows_its_end):
            raise ContentCheckError(
                f"nothing tells where this {self.check.format} file ends: the server gives no length, so it may be cut"
            )

    def _summary(self, started: float) -> None:
        download, seconds = self.download, max(time.monotonic() - started, 1e-6)
        log.info(
            "Stored %s: %d bytes in %.1f s (%.1f MB/s), %d request(s), %d range(s) at once, "
            "%d resumed, %d link refresh(es)",
            self.delivery.location.uri,
            self.size,
            seconds,
            self.size / seconds / 1e6,
            download.requests,
            download.ranges,
            download.resumes,
            download.link_refreshes,
        )


def _abort_late(beginning: Future[ObjectWriter]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().abort()


class Progress:
    """One line in the log every 10 seconds, or every 10 % where that is later than a second after the last."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.size: int | None = None
        self._done = 0
        self._tenth = 0
        self._started = self._last = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that came (below 0: that must come again). Called by all reading threads."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            tenth = self._done * 10 // self.size if self.size else 0
            if now - self._last < (1.0 if tenth > self._tenth else _LOG_EVERY_SECONDS):
                return
            self._last, self._tenth = now, tenth
            done, size, rate = self._done, self.size, max(self._done, 1) / (now - self._started)
        if size:
            log.info(
                "%s: %d of %d MB (%d %%), %.1f MB/s, %.0f s left",
                self.uri, done // 10**6, size // 10**6, done * 100 // size, rate / 1e6, (size - done) / rate,
            )  # fmt: skip
        else:
            log.info("%s: %d MB, %.1f MB/s, the size is not known", self.uri, done // 10**6, rate / 1e6)
