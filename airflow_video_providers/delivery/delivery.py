# SPDX-License-Identifier: Apache-2.0
"""
Deliver one file: skip it if it is already stored; otherwise download, verify and upload it.

The file is published only after every check has passed. An object that is already stored is recognised by the output's
name in its metadata, and by the task's journal.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_video_providers.delivery.buffers import BufferPool, shared_pool
from airflow_video_providers.delivery.destination import Location
from airflow_video_providers.delivery.file_check import FileCheck
from airflow_video_providers.delivery.formats import plain_media_type
from airflow_video_providers.delivery.journal import Journal
from airflow_video_providers.delivery.media_check import Checks
from airflow_video_providers.delivery.source.choose import make_source
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.stores.base import ObjectAttributes, ObjectStore, StoredObject
from airflow_video_providers.delivery.streaming import Flow
from airflow_video_providers.delivery.target import Target
from airflow_video_providers.exceptions import DestinationExistsError, VideoTransferError

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveredFile:
    """
    A whole file at its destination.

    :param sha256: hex digest; None only where a file of an earlier run was found whose digest nobody kept.
    :param store_conn_id: the Airflow connection that it was stored with; None: the cloud's own credentials.
    :param transferred: bytes that this run moved; 0 where the file was already there.
    :param console_url: its page in the web console of the cloud, where there is one.
    """

    uri: str
    kind: str
    label: str | None
    size: int
    sha256: str | None
    media_type: str | None
    duration_seconds: float | None
    vendor: str
    job_id: str
    store_conn_id: str | None = None
    transferred: int = field(default=0, compare=False)
    console_url: str | None = field(default=None, compare=False)

    def to_xcom(self) -> dict[str, Any]:
        """Return plain JSON values, without how it came about."""
        names = (
            "uri", "kind", "label", "size", "sha256", "media_type", "duration_seconds", "vendor", "job_id",
            "store_conn_id",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class DeliveryRules:
    """
    How files are delivered.

    :param if_exists: ``skip``: this output's own file is left alone, any other object is replaced. ``overwrite``:
        always transfer and replace. ``fail``: this output's own file is left alone, any other object is an error.
    :param max_bytes: a larger file is refused, before or while it is read; None: 100 GiB, or 512 MiB where nobody says
        the length.
    :param checks: ``length``: a file in an unknown format, or with a structure that is not as it should be, is stored
        with a warning, as long as its length proves that it is whole. ``strict`` does not trust a file stored so.
    :param attributes: what is set on the objects; an empty content type means that of the file.
    :param download: patience, ranges, timeouts.
    :param log_level: of the line that tells of a stored file.
    """

    if_exists: str = "skip"
    max_bytes: int | None = None
    checks: Checks = "strict"
    attributes: ObjectAttributes = field(default_factory=lambda: ObjectAttributes(content_type=""))
    download: DownloadSettings = field(default_factory=DownloadSettings)
    log_level: int = logging.INFO


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
        self.rules, self.refresh = rules, refresh
        self._store_conn_id = location.conn_id
        self.pool = pool or shared_pool()
        self._target = Target(
            location,
            store,
            journal,
            identity=_identity(vendor, job_id, output),
            size=output.size,
            attributes=rules.attributes,
            replace=rules.if_exists != "fail",
            checks=rules.checks,
        )

    def deliver(self) -> DeliveredFile:
        """
        Transfer the file unless it is there already.

        :raises SourceError: it could not be read. :raises ContentCheckError: it is not the file it should be.
        :raises DestinationError: the store refused. After each, the destination is as it was before. The text of each
            names the job, the output and the destination.
        """
        with naming(self.vendor, self.job_id, self.output, self._target.uri):
            self._target.load()
            self._target.sweep()
            return self._find() or self._transfer()

    def is_stored(self) -> bool:
        """Tell whether the file is stored already, and will be left alone."""
        self._target.load()
        target = self._target
        stored = target.find()
        if stored is None or self.rules.if_exists == "overwrite":
            return False
        return target.is_ours(stored) and not target.is_doubted(stored)

    def _find(self) -> DeliveredFile | None:
        """Return the file where it is stored already, whole; None where it has to be transferred."""
        target = self._target
        stored = target.find()
        if stored is None or self.rules.if_exists == "overwrite":
            return None
        if not target.is_ours(stored):
            if self.rules.if_exists == "fail":
                raise DestinationExistsError("an object is already there, and it is not this output's file")
            log.info("%s is there, but is not this output's file: it will be replaced", target.uri)
            return None
        if target.is_doubted(stored):
            what = 'this output\'s file is there, stored with checks="length": nothing says that its structure is whole'
            if self.rules.if_exists == "fail":
                raise DestinationExistsError(
                    f'{what}; set checks="length" to leave it, or if_exists="skip" to replace it'
                )
            log.info("%s: %s, so it is transferred again", target.uri, what)
            return None
        log.log(
            self.rules.log_level, "%s is already there, whole (%d bytes): nothing to transfer", target.uri, stored.size
        )
        return self._result(stored.size, target.digest_of(stored), target.media_type_of(stored))

    def _transfer(self) -> DeliveredFile:
        check = FileCheck(self.output, max_bytes=self.rules.max_bytes, checks=self.rules.checks)
        stored, media_type = self._store_text(check) if self.output.content is not None else self._stream(check)
        sha256 = check.sha256.hexdigest()
        self._target.remember_file(stored.version, sha256, media_type, in_doubt=check.in_doubt)
        return self._result(check.size, sha256, media_type, transferred=check.size)

    def _store_text(self, check: FileCheck) -> tuple[StoredObject, str]:
        data = (self.output.content or "").encode()
        check.expect(len(data))
        check.inspect(memoryview(data))
        check.hash(memoryview(data))
        check.verify(complete=True)
        media_type = check.media_type()
        sha256 = check.sha256.hexdigest()
        return self._target.put(data, media_type, sha256, in_doubt=check.in_doubt), media_type

    def _stream(self, check: FileCheck) -> tuple[StoredObject, str]:
        source = partial(make_source, self.output, self.refresh, self.rules.download)
        flow = Flow(source, self._target, check, self.pool, log_level=self.rules.log_level)
        try:
            return flow.run(), flow.media_type
        finally:
            flow.end()

    def _result(self, size: int, sha256: str | None, media_type: str | None, *, transferred: int = 0) -> DeliveredFile:
        return DeliveredFile(
            uri=self._target.uri,
            kind=self.output.kind,
            label=self.output.label,
            size=size,
            sha256=sha256,
            media_type=self.rules.attributes.content_type or plain_media_type(media_type or self.output.media_type),
            duration_seconds=self.output.duration_seconds,
            vendor=self.vendor,
            job_id=self.job_id,
            store_conn_id=self._store_conn_id,
            transferred=transferred,
            console_url=self._target.console_url,
        )


@contextmanager
def naming(vendor: str, job_id: str, output: VideoOutput, uri: str) -> Iterator[None]:
    """Name job, output and destination in the text of each error of a transfer."""
    try:
        yield
    except VideoTransferError as error:
        what = output.kind if output.label is None else f"{output.kind}:{output.label}"
        error.args = (f"{vendor} job {job_id}, {what} to {uri}: {error}",)
        raise


def _identity(vendor: str, job_id: str, output: VideoOutput) -> dict[str, str]:
    """Name the output for the object's metadata: how a later run knows its own file. ASCII only, as stores demand."""
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
