# SPDX-License-Identifier: Apache-2.0
"""
Deliver one file: skip it if it is already stored; otherwise download, verify and upload it.

The file is published only after every check has passed. An object that is already stored is recognised by the output's
name in its metadata, and by the task's journal.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any, Protocol

from airflow_video_providers.delivery.buffers import BufferPool, shared_pool
from airflow_video_providers.delivery.destination import Location
from airflow_video_providers.delivery.media_check import FIRST_BYTES, MediaCheck
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.stores.base import ObjectAttributes, ObjectStore, RefusedError, StoredObject
from airflow_video_providers.delivery.streaming import Flow
from airflow_video_providers.exceptions import ContentCheckError, DestinationError, DestinationExistsError

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

log = logging.getLogger(__name__)


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
class DeliveredFile:
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
class DeliveryRules:
    """
    How files are delivered.

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


class Delivery:
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
        rules: DeliveryRules,
        journal: Journal,
        pool: BufferPool | None = None,
    ) -> None:
        self.output, self.vendor, self.job_id = output, vendor, job_id
        self.location, self.store, self.rules, self.journal = location, store, rules, journal
        self.refresh = refresh
        self.pool = pool or shared_pool()
        self._metadata = _metadata(vendor, job_id, output)
        self._record: dict[str, Any] = {}
        self._left: list[str] = []
        self._version: str | None = None

    def deliver(self) -> DeliveredFile:
        """
        Transfer the file unless it is there already.

        :raises SourceError: it could not be read. :raises ContentCheckError: it is not the file it should be.
        :raises DestinationError: the store refused. After each, the destination is as it was before.
        """
        self._record = dict(self.journal.load(self.location.uri))
        self._sweep()
        there = self._look()
        if there is not None:
            return there
        delivered, version = self._inline() if self.output.content is not None else self._streamed()
        self._remember(output=self._metadata, version=version, sha256=delivered.sha256, media_type=delivered.media_type)
        return delivered

    # ------------------------------------------------------------------ what the journal knows

    def begun(self, token: str) -> None:
        """Remember an upload: until it is known to be gone, each later try will sweep it."""
        self._remember(uploads=[*self._record.get("uploads", ()), *([token] if token else ())])

    def _sweep(self) -> None:
        known = self._record.get("uploads", [])
        self._left = self.store.sweep(self.location.key, known)
        if self._left != known:
            self._remember(uploads=self._left)

    def _remember(self, **values: Any) -> None:
        self._record.update(values)
        self.journal.save(self.location.uri, dict(self._record))

    def _stored_by_us(self, stored: StoredObject) -> bool:
        """Whether the journal says that this very object is this output: a cleared task can be given another job."""
        return self._record.get("output") == self._metadata and self._record.get("version") == stored.version

    # ------------------------------------------------------------------ what is there already

    def _look(self) -> DeliveredFile | None:
        stored = self.store.head(self.location.key)
        self._version = None if stored is None else stored.version
        if stored is None or self.rules.if_exists == "overwrite":
            return None
        known = self._stored_by_us(stored)
        if not self._is_ours(stored, named=known):
            if self.rules.if_exists == "fail":
                raise DestinationExistsError(f"{self.location.uri} is already there, and it is not this output's file")
            log.info("%s is there, but is not this output's file: it will be replaced", self.location.uri)
            return None
        log.info("%s is already there, whole (%d bytes): nothing to transfer", self.location.uri, stored.size)
        kept = self._record if known else {}
        digest = stored.metadata.get("videosha256") or kept.get("sha256")
        return self.result(stored.size, digest, stored.content_type or kept.get("media_type"))

    def _is_ours(self, stored: StoredObject, *, named: bool = False) -> bool:
        """An object is visible only after its checks, so one that carries our name is whole; sizes are compared too."""
        named = named or all(stored.metadata.get(name) == value for name, value in self._metadata.items())
        return named and self.output.size in (None, stored.size)

    # ------------------------------------------------------------------ two ways to deliver

    def _inline(self) -> tuple[DeliveredFile, str]:
        data = (self.output.content or "").encode()
        check = MediaCheck(self.output.kind)
        check.start(data[:FIRST_BYTES])
        check.feed(memoryview(data))
        check.finish()
        self.check_limit(len(data))
        return self.put(data, hashlib.sha256(data), check.media_type(self.output.media_type))

    def _streamed(self) -> tuple[DeliveredFile, str]:
        flow = Flow(self)
        try:
            return flow.run()
        finally:
            flow.end()

    def put(self, data: bytes | bytearray, digest: Any, media_type: str) -> tuple[DeliveredFile, str]:
        """Store a small file that has passed its checks; return it and its version."""
        sha256 = digest.hexdigest()
        attributes = self.attributes(media_type, videosha256=sha256)
        stored = self.committed(
            lambda: self.store.put(self.location.key, bytes(data), attributes, replace=self.replaces), len(data)
        )
        return changed(self.result(len(data), sha256, media_type), transferred=len(data)), stored.version

    # ------------------------------------------------------------------ for the flow

    @property
    def replaces(self) -> bool:
        """Whether the commit may replace an object."""
        return self.rules.if_exists != "fail"

    def committed(self, commit: Callable[[], StoredObject], size: int) -> StoredObject:
        """Make the object visible; its answer can be lost, and another task can have stored the same file first."""
        try:
            stored = commit()
        except RefusedError:
            raise  # whatever is there, it is not what was to be committed
        except DestinationError:
            found = self.store.head(self.location.key)
            if found is None or found.version == self._version or found.size != size or not self._is_ours(found):
                raise
            return found
        self._record["uploads"] = self._left
        return stored

    def attributes(self, media_type: str, **metadata: str) -> ObjectAttributes:
        """Return what is set on the object."""
        given = self.rules.attributes
        return changed(
            given,
            content_type=given.content_type or media_type,
            metadata={**given.metadata, **self._metadata, **metadata},
        )

    def result(self, size: int, sha256: str | None, media_type: str | None) -> DeliveredFile:
        """Return what is said of a file that is there."""
        return DeliveredFile(
            uri=self.location.uri,
            kind=self.output.kind,
            size=size,
            sha256=sha256,
            media_type=self.rules.attributes.content_type or _plain_type(media_type or self.output.media_type),
            duration_seconds=self.output.duration_seconds,
            vendor=self.vendor,
            job_id=self.job_id,
        )

    def check_limit(self, size: int) -> None:
        """Refuse what is larger than ``max_bytes``."""
        limit = self.rules.max_bytes
        if limit is not None and size > limit:
            raise ContentCheckError(f"the file has {size} bytes or more, max_bytes allows {limit}")


def _metadata(vendor: str, job_id: str, output: VideoOutput) -> dict[str, str]:
    """Name the output in the object's metadata: how a later run knows its own file. ASCII only, as stores demand."""
    identity = "\n".join(part or "" for part in output.identity)
    metadata = {
        "videovendor": vendor,
        "videojobid": job_id if job_id.isascii() else hashlib.sha256(job_id.encode()).hexdigest(),
        "videooutput": f"{output.kind}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
    }
    if output.md5:
        metadata["videomd5"] = output.md5.lower()
    if output.content is not None:  # a text has no size from the vendor, and can be corrected under the same id
        metadata["videosha256"] = hashlib.sha256(output.content.encode()).hexdigest()
    return metadata


def _plain_type(media_type: str | None) -> str | None:
    return media_type.split(";")[0].strip().lower() or None if media_type else None
