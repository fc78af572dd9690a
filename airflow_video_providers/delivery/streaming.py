# SPDX-License-Identifier: Apache-2.0
"""
The threads and parts of one streamed delivery.

The reading thread fills a part; another hashes it, others store it; its memory is lent again when both are done.
Whatever goes wrong, also a signal in the reading thread, ends in an abort: nothing appears, an older object stays.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress

from airflow_video_providers.delivery.buffers import BufferPool, Part
from airflow_video_providers.delivery.file_check import FileCheck
from airflow_video_providers.delivery.progress import Progress, amount
from airflow_video_providers.delivery.source.base import MakeSource
from airflow_video_providers.delivery.stores.base import ObjectWriter, StoredObject
from airflow_video_providers.delivery.target import Target
from airflow_video_providers.exceptions import ContentCheckError

log = logging.getLogger(__name__)

_ABORT_PATIENCE_SECONDS = 4.0  # in all: Airflow gives a killed process about 5


class Flow:
    """
    One streamed delivery: :meth:`run` once, then :meth:`end` in every case.

    :param make_source: makes what is read.
    :param target: what is written.
    :param check: decides whether it is published.
    :param pool: lends the memory.
    :param log_level: of the lines that tell of a stored file.
    """

    def __init__(
        self,
        make_source: MakeSource,
        target: Target,
        check: FileCheck,
        pool: BufferPool,
        *,
        log_level: int = logging.INFO,
    ) -> None:
        self.log_level = log_level
        self.target, self.check, self.pool = target, check, pool
        self.progress = Progress(target.uri)
        self.source = make_source(self._digest_so_far, self.progress.add)
        self.beginning: Future[ObjectWriter] | None = None
        self.writer: ObjectWriter | None = None
        self.hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self.senders = ThreadPoolExecutor(target.parallel, thread_name_prefix="part")
        self.hashing: Future[None] | None = None
        self.sending: deque[tuple[Future[None], Part]] = deque()
        self.parts: Generator[Part, None, None] | None = None

    def run(self) -> StoredObject:
        """Transfer the file; return the object."""
        started = time.monotonic()
        self.source.open()
        self.check.expect(self.source.size)
        part_size = self.target.part_size(self.source.size)
        self.progress.size = self.source.size
        self.parts = self.source.parts(self.pool, part_size)
        for number, part in enumerate(self.parts):
            try:
                self.check.inspect(part.view)
                if part.offset == 0 and part.length < part_size:
                    return self._finish_small(part, started)
                self._begin()
            except BaseException:
                self.pool.give(part.buffer)
                raise
            self._hand_over(number, part)
        return self._finish(started)

    def end(self) -> None:
        """Leave nothing behind: called in every case, also after success, when there is nothing left to do."""
        try:
            if self.parts is not None:
                self.parts.close()
            self.source.close()
            for future, part in self.sending:
                if future.cancel():
                    self.pool.give(part.buffer, reuse=False)
        finally:  # whatever fails in closing the source
            self._abort()
            self.senders.shutdown(wait=False, cancel_futures=True)
            self.hasher.shutdown(wait=False, cancel_futures=True)

    def _abort(self) -> None:
        if self.beginning is None:
            return
        until = time.monotonic() + _ABORT_PATIENCE_SECONDS
        wait([self.beginning], timeout=_ABORT_PATIENCE_SECONDS)
        if not self.beginning.done():  # its response may still come: abort it then, in its thread
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

    def _begin(self) -> None:
        if self.writer is None:
            # In a thread, which no signal interrupts: what it has begun is known, and can be undone.
            self.beginning = Future()  # known before the thread starts
            self.senders.submit(self._begin_upload, self.beginning)
            self.writer = self.beginning.result()
            self.target.remember_upload(self.writer)

    def _begin_upload(self, beginning: Future[ObjectWriter]) -> None:
        try:
            beginning.set_result(self.target.begin(self.media_type))
        except BaseException as error:
            beginning.set_exception(error)

    def _hand_over(self, number: int, part: Part) -> None:
        self.hashing = self.hasher.submit(self.check.hash, part.view)
        self.sending.append((self.senders.submit(self._send, number, part, self.hashing), part))
        while len(self.sending) > self.target.parallel or (self.sending and self.sending[0][0].done()):
            self._await_oldest()

    def _await_oldest(self) -> None:
        future, _ = self.sending[0]
        try:
            future.result()
        finally:
            if future.done():
                self.sending.popleft()

    def _send(self, number: int, part: Part, hashing: Future[None]) -> None:
        assert self.writer is not None  # set before the first part is handed over
        try:
            self.writer.write(number, part.offset, part.buffer, part.length)
        finally:
            with suppress(CancelledError):
                hashing.result()
            self.pool.give(part.buffer)

    @property
    def media_type(self) -> str:
        """The file's media type, once its first bytes are there."""
        return self.check.media_type(self.source.media_type)

    def _digest_so_far(self) -> bytes:
        if self.hashing is not None:
            self.hashing.result()
        return self.check.sha256.digest()

    # ------------------------------------------------------------------ the end

    def _finish_small(self, part: Part, started: float) -> StoredObject:
        self.check.hash(part.view)
        self.check.verify(complete=self.source.complete)
        sha256, in_doubt = self.check.sha256.hexdigest(), self.check.in_doubt
        stored = self.target.put(bytes(part.view), self.media_type, sha256, in_doubt=in_doubt)
        self.pool.give(part.buffer)
        self._tell(started)
        return stored

    def _finish(self, started: float) -> StoredObject:
        if self.writer is None:
            raise ContentCheckError("the source sent nothing at all")
        while self.sending:
            self._await_oldest()
        self.check.verify(complete=self.source.complete)
        stored = self.target.commit(self.writer, self.check.size)
        self._tell(started)
        return stored

    def _tell(self, started: float) -> None:
        size, seconds = self.check.size, max(time.monotonic() - started, 1e-6)
        # Two lines: Airflow's log view cuts a long one off, and the end of the address tells objects apart.
        log.log(self.log_level, "Stored %s", self.target.uri)
        told = self.source.describe()
        log.log(self.log_level, "%s in %.1f s, %s/s · %s", amount(size), seconds, amount(size / seconds), told)


def _abort_late(beginning: Future[ObjectWriter]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().abort()
