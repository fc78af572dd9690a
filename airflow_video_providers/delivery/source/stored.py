# SPDX-License-Identifier: Apache-2.0
"""A file that the vendor wrote into a bucket of the user's: read through the bucket's own store."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace as changed
from typing import BinaryIO

from airflow_video_providers.delivery.buffers import BufferPool, Part
from airflow_video_providers.delivery.destination import Location, parse_location
from airflow_video_providers.delivery.stores.registry import find_store_type, open_store
from airflow_video_providers.exceptions import (
    ContentCheckError,
    SourceError,
    SourceLinkRefusedError,
    VideoConfigurationError,
)
from airflow_video_providers.text.redaction import clean_label


def stored_location(url: str | None, conn_id: str | None) -> Location | None:
    """
    Return where a link of the form ``s3://bucket/key`` leads; None for a link of http or https.

    :param conn_id: the Airflow connection that may read there.
    :raises SourceError: it leads to the worker's own files, names a connection, or is malformed.
    """
    scheme, mark, _ = (url or "").partition("://")
    if url is None or not mark or scheme.lower() in ("http", "https"):
        return None
    store_type = find_store_type(scheme)
    if store_type is None or not store_type.has_bucket:
        raise SourceLinkRefusedError(f"the link of the file is no http or https link, and no bucket, but {scheme[:20]}")
    try:
        location = parse_location(url)
    except VideoConfigurationError:
        raise SourceError(f"the vendor names a malformed {scheme} URI as the link of the file") from None
    if location.conn_id is not None:
        raise SourceLinkRefusedError("the link of the file names a connection, which is not the vendor's to choose")
    return changed(location, conn_id=conn_id)


class StoredSource:
    """
    One object, read once.

    :param location: of the object.
    :param size: as the vendor says, where it does.
    :param on_bytes: told how many bytes came.
    """

    def __init__(
        self, location: Location, size: int | None = None, on_bytes: Callable[[int], None] = lambda count: None
    ) -> None:
        self.size: int | None = size
        self.media_type: str | None = None
        self.complete = False
        self._location = location
        self._on_bytes = on_bytes
        self._stream: BinaryIO | None = None

    def open(self) -> None:
        """
        Open the object.

        :raises SourceError: it cannot be read. :raises ContentCheckError: its length is not what the vendor says.
        """
        self._stream, stored = open_store(self._location).open(self._location.key)
        if self.size not in (None, stored.size):
            raise ContentCheckError(f"the source has {stored.size} bytes, the vendor says {self.size}")
        if stored.size == 0:
            raise ContentCheckError("the source has a file of 0 bytes")
        self.size, self.media_type = stored.size, stored.content_type

    def parts(self, pool: BufferPool, part_size: int) -> Generator[Part, None, None]:
        """
        Yield the object in parts of ``part_size`` bytes (the last one may be shorter), in order.

        :raises SourceError: it cannot be read to its end.
        """
        offset = 0
        while not self.complete:
            buffer = pool.take(part_size)
            assert buffer is not None  # take() waits
            try:
                length = self._fill(memoryview(buffer), offset)
            except BaseException:
                pool.give(buffer)
                raise
            offset += length
            self.complete = offset == self.size
            yield Part(offset - length, buffer, length)

    def read_head(self, count: int) -> bytes:
        """Return the first bytes, at most ``count``, without reading on."""
        self.open()
        assert self._stream is not None  # open() sets it
        return self._stream.read(count)

    def close(self) -> None:
        """Close the object."""
        if self._stream is not None:
            self._stream.close()

    def describe(self) -> str:
        """Say how the file was read."""
        return f"from {clean_label(self._location.uri, longest=1024)}"

    def _fill(self, view: memoryview, offset: int) -> int:
        assert self._stream is not None  # open() comes first
        filled = 0
        while filled < len(view) and offset + filled != self.size:
            data = self._stream.read(min(len(view) - filled, 1024 * 1024))
            if not data:
                raise SourceError(
                    f"{clean_label(self._location.uri, longest=1024)} ended at byte {offset + filled} of {self.size}"
                )
            view[filled : filled + len(data)] = data
            filled += len(data)
            self._on_bytes(len(data))
        return filled
