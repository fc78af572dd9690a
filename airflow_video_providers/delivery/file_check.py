# SPDX-License-Identifier: Apache-2.0
"""All that is checked of one file before it is published: its media, its length, its digests, the limit of its size."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from airflow_video_providers.delivery.formats import media_type_of_name
from airflow_video_providers.delivery.media_check import FIRST_BYTES, Checks, MediaCheck
from airflow_video_providers.exceptions import ContentCheckError

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

MOST_BYTES = 100 * 1024**3
"""The default limit of a file whose length is said before it is read."""
MOST_BYTES_UNSAID = 512 * 1024**2
"""The default limit of a file whose length nobody says."""


class FileCheck:
    """
    The running check of one file.

    :param output: as the vendor offers it: kind, and where it says them size and MD5.
    :param max_bytes: a larger file is refused; None: 100 GiB, or 512 MiB where nobody says the length.
    :param checks: see :class:`MediaCheck`.
    """

    def __init__(self, output: VideoOutput, *, max_bytes: int | None = None, checks: Checks = "strict") -> None:
        self.size = 0
        self.sha256 = hashlib.sha256()
        self._output = output
        self._max_bytes = max_bytes
        self._source_size: int | None = None
        self._md5 = hashlib.md5(usedforsecurity=False) if output.md5 else None
        self._media = MediaCheck(output.kind, checks)

    def expect(self, size: int | None) -> None:
        """
        Take the length that the source says.

        :raises ContentCheckError: it is above the limit.
        """
        self._source_size = size
        if size is not None:
            self._check_limit(size)

    def inspect(self, view: memoryview) -> None:
        """
        Check the next bytes; the first ones must be at least 512, or the whole file.

        :raises ContentCheckError: they are not of this file, or more than there should be.
        """
        if self.size == 0:
            self._media.start(bytes(view[:FIRST_BYTES]))
        self._media.feed(view)
        self.size += len(view)
        if self._output.size is not None and self.size > self._output.size:
            raise ContentCheckError(f"more than {self._output.size} bytes came, which is what the vendor says")
        self._check_limit(self.size)

    def hash(self, view: memoryview) -> None:
        """Add the next bytes to the digests; may run in another thread than :meth:`inspect`, in the same order."""
        self.sha256.update(view)
        if self._md5 is not None:
            self._md5.update(view)

    def media_type(self, of_the_source: str | None = None) -> str:
        """Return the media type: what the vendor or the source says where it fits the file, else that of its format."""
        named = media_type_of_name(self._output.name or "", self._output.kind)
        return self._media.media_type(self._output.media_type, of_the_source, named)

    @property
    def in_doubt(self) -> bool:
        """Whether something was found that ``strict`` refuses: tells of the whole file after :meth:`verify`."""
        return self._media.in_doubt

    def verify(self, *, complete: bool) -> None:
        """
        Check that this is the whole file; only then it may be published.

        :param complete: the source marked the end of the file.
        :raises ContentCheckError: it is not, or nothing proves it.
        """
        self._media.finish()
        for expected, who in ((self._output.size, "the vendor"), (self._source_size, "the source")):
            if expected is not None and expected != self.size:
                raise ContentCheckError(f"{self.size} bytes came, {who} says {expected}")
        if self._md5 is not None and self._md5.hexdigest() != str(self._output.md5).lower():
            raise ContentCheckError(
                f"the MD5 of the file is {self._md5.hexdigest()}, the vendor says {self._output.md5}"
            )
        if not (complete or self._md5 or self._output.size is not None or self._media.shows_its_end):
            name = self._media.format.name if self._media.format else "unknown"
            raise ContentCheckError(
                f"nothing tells where this {name} file ends: the server gives no length, so it may be cut"
            )

    def _check_limit(self, size: int) -> None:
        said = self._output.size is not None or self._source_size is not None
        limit = self._max_bytes or (MOST_BYTES if said else MOST_BYTES_UNSAID)
        if size > limit:
            how = "max_bytes allows" if self._max_bytes else "the default of max_bytes, set it to allow more, is"
            unsaid = "" if said else ", whose length nobody says,"
            raise ContentCheckError(f"the file{unsaid} has {size} bytes or more; {how} {limit}")
