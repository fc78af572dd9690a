# SPDX-License-Identifier: Apache-2.0
"""
One file lands: read, checked and hashed beside the stream, stored in parts, and made visible only when all is proven.

The reading thread fills a part; another hashes it, others store it; its memory is lent again when both are done.
Whatever goes wrong, also a signal in the reading thread, ends in an abort: nothing appears, an older object stays.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any, Protocol

from airflow_video_providers.buffers import BufferPool, shared_pool
from airflow_video_providers.destination import Location
from airflow_video_providers.download import Download, DownloadSettings, Part
from airflow_video_providers.exceptions import ContentCheckError, DestinationError, DestinationExistsError
from airflow_video_providers.media_check import FIRST_BYTES, MediaCheck
from airflow_video_providers.object_store import ObjectAttributes, ObjectStore, ObjectWriter, StoredObject

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 10.0
_ABORT_PATIENCE_SECONDS = 3.0


class Journal(Protocol):
    """What survives a killed process: one small JSON value for each destination."""

    def load(self, uri: str) -> dict[str, Any]:
        """Return what was saved, or an empty dictionary."""

    def save(self, uri: str, record: dict[str, Any]) -> None:
        """Save a value."""


class MemoryJournal(dict[str, dict[str, Any]]):
    """A journal that lives as long as the process: for use outside of a task."""

    def load(self, uri: str) -> dict[str, Any]:
        """Return what was saved."""
        return self.get(uri, {})

    def save(self, uri: str, record: dict[str, Any]) -> None:
        """Save a value."""
        self[uri] = record


@dataclass(frozen=True)
class LandedFile:
    """
    A whole file at its destination.

    :param sha256: hex digest; None only where a file of an earlier run was found whose digest nobody kept.
    :param transferred: bytes that this run moved; 0 where the file was already there.
    """

    uri: str
    kind: str
    size: int
    sha256: str | None
    media_type: str | None
    duration_seconds: float | None
    vendor: str
    job_id: str
    transferred: int = field(default=0, compare=False)

    def to_xcom(self) -> dict[str, Any]:
        """Return plain JSON values, without how it came about."""
        names = ("uri", "kind", "size", "sha256", "media_type", "duration_seconds", "vendor", "job_id")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class LandingRules:
    """
    How files are landed.

    :param if_exists: ``skip``: this output's own file is left alone, any other object is replaced. ``overwrite``:
        always transfer and replace. ``fail``: this output's own file is left alone, any other object is an error.
    :param max_bytes: a larger file is refused, before or while it is read.
    :param attributes: what is set on the objects; an empty content type means that of the file.
    :param download: patience, ranges, timeouts.
    """

    if_exists: str = "skip"
    max_bytes: int | None = None
    attributes: ObjectAttributes = ObjectAttributes(content_type="")  # noqa: RUF009  # frozen
    download: DownloadSettings = DownloadSettings()  # noqa: RUF009  # frozen


class Landing:
    """
    Brings one output to one location.

    :param output: what the vendor offers. :param refresh: mints a fresh link for it.
    :param journal: remembers an unfinished upload and the digest of a finished one.
    """

    def __init__(
        self,
        output: VideoOutput,
        *,
        vendor: str,
        job_id: str,
        location: Location,
        store: ObjectStore,
        refresh: Callable[[], VideoOutput],
        rules: LandingRules,
        journal: Journal,
        pool: BufferPool | None = None,
    ) -> None:
        self.output, self.vendor, self.job_id = output, vendor, job_id
        self.location, self.store, self.rules, self.journal = location, store, rules, journal
        self._refresh = refresh
        self._pool = pool or shared_pool()
        self._metadata = _metadata(vendor, job_id, output)

    def land(self) -> LandedFile:
        """
        Transfer the file unless it is there already.

        :raises SourceError: it could not be read. :raises ContentCheckError: it is not the file it should be.
        :raises DestinationError: the store refused. After each, the destination is as it was before.
        """
        record = self.journal.load(self.location.uri)
        there = self._look(record)
        if there is not None:
            return there
        swept = self.store.sweep(self.location.key, record.get("upload"))
        if swept:
            log.info("Swept %d unfinished upload(s) of %s", swept, self.location.uri)
        landed, version = self._inline() if self.output.content is not None else self._streamed()
        self.journal.save(self.location.uri, {"sha256": landed.sha256, "version": version})
        return landed

    # ------------------------------------------------------------------ what is there already

    def _look(self, record: Mapping[str, Any]) -> LandedFile | None:
        if self.rules.if_exists == "overwrite":
            return None
        stored = self.store.head(self.location.key)
        if stored is None:
            return None
        if not (self._is_ours(stored) or record.get("version") == stored.version):
            if self.rules.if_exists == "fail":
                raise DestinationExistsError(f"{self.location.uri} is already there, and it is not this output's file")
            log.info("%s is there, but is not this output's file: it will be replaced", self.location.uri)
            return None
        log.info("%s is already there, whole (%d bytes): nothing to transfer", self.location.uri, stored.size)
        digest = stored.metadata.get("videosha256")
        if digest is None and record.get("version") == stored.version:
            digest = record.get("sha256")
        return self._result(stored.size, digest, stored.content_type)

    def _is_ours(self, stored: StoredObject) -> bool:
        """An object is visible only after its checks, so one that carries our name is whole; sizes are compared too."""
        named = all(stored.metadata.get(name) == value for name, value in self._metadata.items())
        return named and self.output.size in (None, stored.size)

    # ------------------------------------------------------------------ two ways to land

    def _inline(self) -> tuple[LandedFile, str]:
        data = (self.output.content or "").encode()
        check = MediaCheck(self.output.kind)
        check.start(data[:FIRST_BYTES])
        check.feed(memoryview(data))
        check.finish()
        self._check_limit(len(data))
        return self._put(data, hashlib.sha256(data), self.output.media_type)

    def _streamed(self) -> tuple[LandedFile, str]:
        flow = _Flow(self)
        try:
            return flow.run()
        finally:
            flow.end()

    def _put(self, data: bytes | bytearray, digest: Any, media_type: str | None) -> tuple[LandedFile, str]:
        sha256 = digest.hexdigest()
        attributes = self.attributes(media_type, videosha256=sha256)
        stored = self.committed(
            lambda: self.store.put(self.location.key, bytes(data), attributes, replace=self.replaces), len(data)
        )
        return changed(self._result(len(data), sha256, media_type), transferred=len(data)), stored.version

    # ------------------------------------------------------------------ for the flow

    @property
    def replaces(self) -> bool:
        """Whether the commit may replace an object."""
        return self.rules.if_exists != "fail"

    def committed(self, commit: Callable[[], StoredObject], size: int) -> StoredObject:
        """Make the object visible; its answer can be lost, and another task can have stored the same file first."""
        try:
            return commit()
        except DestinationError:
            stored = self.store.head(self.location.key)
            if stored is None or stored.size != size or not self._is_ours(stored):
                raise
            return stored

    def attributes(self, media_type: str | None, **metadata: str) -> ObjectAttributes:
        """Return what is set on the object."""
        given = self.rules.attributes
        return changed(
            given,
            content_type=given.content_type or _plain_type(media_type) or "application/octet-stream",
            metadata={**given.metadata, **self._metadata, **metadata},
        )

    def _result(self, size: int, sha256: str | None, media_type: str | None) -> LandedFile:
        return LandedFile(
            uri=self.location.uri,
            kind=self.output.kind,
            size=size,
            sha256=sha256,
            media_type=self.rules.attributes.content_type or _plain_type(media_type or self.output.media_type),
            duration_seconds=self.output.duration_seconds,
            vendor=self.vendor,
            job_id=self.job_id,
        )

    def _check_limit(self, size: int) -> None:
        limit = self.rules.max_bytes
        if limit is not None and size > limit:
            raise ContentCheckError(f"the file has {size} bytes or more, max_bytes allows {limit}")


class _Flow:
    """The threads, parts and checks of one streamed landing."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False) if landing.output.md5 else None
        self.check = MediaCheck(landing.output.kind)
        self.progress = _Progress(landing.location.uri)
        self.download = Download(
            landing.output, landing._refresh, landing.rules.download, self._digest_so_far, self.progress.add
        )
        self.writer: ObjectWriter | None = None
        self.hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self.senders = ThreadPoolExecutor(landing.store.parallel, thread_name_prefix="part")
        self.hashing: Future[None] | None = None
        self.sending: deque[tuple[Future[None], Part]] = deque()
        self.parts: Generator[Part, None, None] | None = None
        self.size = 0

    def run(self) -> tuple[LandedFile, str]:
        landing, download = self.landing, self.download
        started = time.monotonic()
        download.open()
        if download.size is not None:
            landing._check_limit(download.size)
        part_size = landing.store.part_size(download.size)
        self.progress.size = download.size
        self.parts = download.parts(landing._pool, part_size)
        for number, part in enumerate(self.parts):
            try:
                self._inspect(part)
                if part.offset == 0 and part.length < part_size:
                    return self._finish_small(part, started)
                self._begin()
            except BaseException:
                landing._pool.give(part.buffer)
                raise
            self._hand_over(number, part)
        return self._finish(started)

    def end(self) -> None:
        """Leave nothing behind: called in every case, also after success, when there is nothing left to do."""
        if self.parts is not None:
            self.parts.close()
        self.download.close()
        for future, part in self.sending:
            if future.cancel():
                self.landing._pool.give(part.buffer, reuse=False)
        if self.writer is not None:
            self.writer.abort()
            on_their_way = [future for future, _ in self.sending if not future.done()]
            if on_their_way:
                # A part that arrives after the abort stays in some stores: once more after it.
                wait(on_their_way, timeout=_ABORT_PATIENCE_SECONDS)
                self.writer.abort()
        self.senders.shutdown(wait=False, cancel_futures=True)
        self.hasher.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------ one part

    def _inspect(self, part: Part) -> None:
        if part.offset == 0:
            self.check.start(bytes(part.view[:FIRST_BYTES]))
        self.check.feed(part.view)
        self.size += part.length
        self.landing._check_limit(self.size)

    def _begin(self) -> None:
        if self.writer is None:
            landing = self.landing
            attributes = landing.attributes(self.download.media_type)
            self.writer = landing.store.begin(landing.location.key, attributes, replace=landing.replaces)
            landing.journal.save(landing.location.uri, {"upload": self.writer.token})

    def _hand_over(self, number: int, part: Part) -> None:
        self.hashing = self.hasher.submit(self._hash, part)
        self.sending.append((self.senders.submit(self._send, number, part, self.hashing), part))
        while len(self.sending) > self.landing.store.parallel or (self.sending and self.sending[0][0].done()):
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
            self.landing._pool.give(part.buffer)

    def _digest_so_far(self) -> bytes:
        if self.hashing is not None:
            self.hashing.result()
        return self.sha256.digest()

    # ------------------------------------------------------------------ the end

    def _finish_small(self, part: Part, started: float) -> tuple[LandedFile, str]:
        self._hash(part)
        self._verify()
        landed = self.landing._put(part.buffer[: part.length], self.sha256, self.download.media_type)
        self.landing._pool.give(part.buffer)
        self._summary(started)
        return landed

    def _finish(self, started: float) -> tuple[LandedFile, str]:
        if self.writer is None:
            raise ContentCheckError("the source sent nothing at all")
        while self.sending:
            self._await_oldest()
        self._verify()
        stored = self.landing.committed(self.writer.commit, self.size)
        self.writer = None
        self._summary(started)
        landed = self.landing._result(self.size, self.sha256.hexdigest(), self.download.media_type)
        return changed(landed, transferred=self.size), stored.version

    def _verify(self) -> None:
        """Prove that this is the whole file; only then it is made visible."""
        output, download = self.landing.output, self.download
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
            self.landing.location.uri,
            self.size,
            seconds,
            self.size / seconds / 1e6,
            download.requests,
            download.ranges,
            download.resumes,
            download.link_refreshes,
        )


class _Progress:
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


def _metadata(vendor: str, job_id: str, output: VideoOutput) -> dict[str, str]:
    """Name the output in the object's metadata: how a later run knows its own file. ASCII only, as stores demand."""
    identity = "\n".join(part or "" for part in output.identity)
    metadata = {
        "videovendor": vendor,
        "videojobid": job_id if job_id.isascii() else hashlib.sha256(job_id.encode()).hexdigest(),
        "videooutput": f"{output.kind}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
    }
    return metadata | ({"videomd5": output.md5.lower()} if output.md5 else {})


def _plain_type(media_type: str | None) -> str | None:
    return media_type.split(";")[0].strip().lower() or None if media_type else None
