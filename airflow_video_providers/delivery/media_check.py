# SPDX-License-Identifier: Apache-2.0
"""
Is it the media it should be, and is it all of it? Checked beside the stream, at no cost and without decoding.

First bytes must be those of a known format of the wanted kind: an error page with status 200 fails here, before
anything is written. MP4 boxes must tile the file, a zip must end with its directory, a WebM segment must be all there.
Where the server gives no length, only a format that shows its own end is accepted.
"""

from __future__ import annotations

import logging
import struct
from typing import Literal

from airflow_video_providers.delivery.boxes import Boxes
from airflow_video_providers.delivery.ebml import segment_end
from airflow_video_providers.delivery.formats import FIRST_BYTES, Format, find_format, fitting_media_type, page_of
from airflow_video_providers.exceptions import ContentCheckError

__all__ = ["FIRST_BYTES", "Checks", "MediaCheck"]

log = logging.getLogger(__name__)

Checks = Literal["strict", "length"]

_BOX_NEEDED = {"mp4": b"moov", "quicktime": b"moov", "3gpp": b"moov", "m4a": b"moov", "avif": b"meta", "heic": b"meta"}
_ZIP_END = b"PK\x05\x06"
_TAIL = 65_557  # the longest end of a zip: 22 bytes and a comment of 65535


class MediaCheck:
    """
    The running check of one file: ``start`` with its first bytes, ``feed`` all bytes in order, ``finish`` at the end.

    :param kind: the kind of output, which decides the formats that are accepted.
    :param checks: ``length``: what ``strict`` refuses is only logged, error pages excepted.
    """

    def __init__(self, kind: str, checks: Checks = "strict") -> None:
        self.kind = kind
        self.checks = checks
        self.format: Format | None = None
        self.size = 0
        self.in_doubt = False
        """Whether something was found that ``strict`` refuses."""
        self._boxes: Boxes | None = None
        self._segment_end: int | None = None
        self._tail = bytearray()

    def start(self, head: bytes) -> None:
        """
        Check the first bytes (at least 512, or the whole of a smaller file).

        :raises ContentCheckError: they are not of this kind of file.
        """
        self.format = find_format(head, self.kind)
        if self.format is None:
            page, other = page_of(head), find_format(head)
            what = page or (f"a file in the format {other.name}" if other else "no known media format")
            error = ContentCheckError(f"the source sent {what} instead of the {self.kind}")
            if page:
                raise error
            self._refuse(error, ' (checks="length" stores it all the same)')
            return
        needed = _BOX_NEEDED.get(self.format.name)
        self._boxes = Boxes(needed) if needed else None
        if self.format.name in ("webm", "matroska"):
            self._segment_end = segment_end(head)

    def media_type(self, *said: str | None) -> str:
        """
        Return the media type, once the check has started.

        :param said: by others, see :func:`.formats.fitting_media_type`.
        """
        known = [] if self.format is None else [self.format]
        return fitting_media_type(known, *said) or "application/octet-stream"

    def feed(self, view: memoryview) -> None:
        """
        Take the next bytes.

        :raises ContentCheckError: they cannot be of such a file.
        """
        if self._boxes is not None:
            try:
                self._boxes.feed(view)
            except ContentCheckError as error:
                self._refuse(error)
                self._boxes = None
        if self.format is not None and self.format.name in ("zip", "jpeg", "png"):
            self._tail = (self._tail + view[-_TAIL:])[-_TAIL:]
        self.size += len(view)

    def finish(self) -> None:
        """
        Check the whole.

        :raises ContentCheckError: it is not the whole of the file that it began as.
        """
        try:
            self._check_whole()
        except ContentCheckError as error:
            self._refuse(error)

    @property
    def shows_its_end(self) -> bool:
        """Whether :meth:`finish` proves that nothing is missing, also where nobody says the length."""
        if self.in_doubt:
            return False
        if self._boxes is not None:
            return self._boxes.shows_its_end
        if self._segment_end is not None:
            return self._segment_end == self.size
        name = self.format.name if self.format else None
        if name == "jpeg":
            return bytes(self._tail).rstrip(b"\x00").endswith(b"\xff\xd9")
        if name == "png":
            return b"IEND" in self._tail[-16:]
        return name == "zip" and self._zip_ends()

    def _check_whole(self) -> None:
        if self._boxes is not None:
            self._boxes.finish()
            self._tell_of_trailer(self._boxes.trailer)
        elif self._segment_end is not None:
            if self.size < self._segment_end:
                raise ContentCheckError(f"the file has {self.size} bytes, its segment says {self._segment_end}")
            self._tell_of_trailer(self.size - self._segment_end)
        elif self.format is not None and self.format.name == "zip" and not self._zip_ends():
            raise ContentCheckError(f"the zip of {self.size} bytes is cut: its directory is missing at the end")

    def _tell_of_trailer(self, size: int) -> None:
        if size and self.format is not None:
            log.info("The %s file has %d bytes behind its last box; they are kept", self.format.name, size)

    def _refuse(self, error: ContentCheckError, advice: str = "") -> None:
        if self.checks == "strict":
            raise ContentCheckError(f"{error}{advice}") from None
        self.in_doubt = True
        log.warning('%s; stored all the same, since checks="length"', error)

    def _zip_ends(self) -> bool:
        position = self._tail.rfind(_ZIP_END)
        if position < 0 or len(self._tail) < position + 22:
            return False
        (comment,) = struct.unpack_from("<H", self._tail, position + 20)
        return position + 22 + int(comment) == len(self._tail)
