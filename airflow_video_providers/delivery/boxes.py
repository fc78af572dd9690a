# SPDX-License-Identifier: Apache-2.0
"""
The top-level boxes of an MP4 or one of its relatives (ISO/IEC 14496-12, section 4.2), walked while the file is read.

They must tile the file; only their headers are read, and only the types that matter are kept. What stands behind the
last box (tags, padding, what cameras add) is told from a box that was cut by its type, once the film is there.
"""

from __future__ import annotations

import struct

from airflow_video_providers.exceptions import ContentCheckError

_MOST_BOXES = 1_000_000
_OF_A_FILM = frozenset(
    b"ftyp styp pdin moov moof mfra mdat imda meta meco free skip wide uuid sidx ssix prft emsg pnot PICT udta".split()
)


class Boxes:
    """
    The running walk: :meth:`feed` takes all bytes in order, :meth:`finish` tells whether they are whole.

    :param needed: the box without which the file cannot be used: ``moov`` of a film, ``meta`` of an image.
    """

    def __init__(self, needed: bytes) -> None:
        self.needed = needed
        self.trailer = 0
        """Bytes behind the last box; known at the end."""
        self._size = 0
        self._count = 0
        self._next = 0
        self._last = (0, b"")
        self._header = bytearray()
        self._seen: set[bytes] = set()
        self._open_ended = False
        self._stopped_at: int | None = None

    def feed(self, view: memoryview) -> None:
        """
        Take the next bytes.

        :raises ContentCheckError: they hold a box that cannot be, or boxes without number.
        """
        start, self._size = self._size, self._size + len(view)
        while self._next < self._size and not self._open_ended and self._stopped_at is None:
            position = self._next + len(self._header)
            wanted = 16 if self._header[:4] == b"\x00\x00\x00\x01" else 8
            taken = view[position - start : position - start + wanted - len(self._header)]
            if not taken:
                return
            self._header += taken
            if len(self._header) < 8:
                return
            length, kind = struct.unpack_from(">I4s", self._header)
            if length == 1:
                if len(self._header) < 16:
                    continue
                (length,) = struct.unpack_from(">Q", self._header, 8)
            self._step(length, kind)

    def _step(self, length: int, kind: bytes) -> None:
        known = kind in _OF_A_FILM
        if not known and self._film_is_there and (length < len(self._header) or not kind.isalnum()):
            self._stopped_at = self._next
            return
        if length != 0 and length < len(self._header):
            raise ContentCheckError(f"broken MP4: a box at byte {self._next} has the length {length}")
        self._count += 1
        if self._count > _MOST_BOXES:
            raise ContentCheckError(f"broken MP4: more than {_MOST_BOXES} boxes")
        if known:
            self._seen.add(kind)
        self._open_ended = length == 0
        self._last = (self._next, kind)
        self._next += length
        self._header.clear()

    def finish(self) -> None:
        """
        Check the whole.

        :raises ContentCheckError: a box was cut, or the needed one is missing.
        """
        if self.needed not in self._seen:
            name = self.needed.decode()
            raise ContentCheckError(f"the MP4 of {self._size} bytes has no {name} box: it cannot be played")
        if self._open_ended:
            return
        end = self._next if self._stopped_at is None else self._stopped_at
        at, kind = self._last
        if end > self._size and kind not in _OF_A_FILM and self._film_is_there:
            end = at  # what is behind the film looked like a box, but is none
        if end > self._size or (end < self._size and not self._film_is_there):
            raise ContentCheckError(f"the MP4 is not whole: its boxes end at byte {end}, the file at byte {self._size}")
        self.trailer = self._size - end

    @property
    def shows_its_end(self) -> bool:
        """Whether :meth:`finish` proves that nothing is missing, also where nobody says the length."""
        # Fragments can be cut between two of them; only their index, which comes last, shows that none is missing.
        fragments_end = b"moof" not in self._seen or b"mfra" in self._seen
        return not self._open_ended and not self.trailer and self._film_is_there and fragments_end

    @property
    def _film_is_there(self) -> bool:
        return self.needed in self._seen and not self._seen.isdisjoint((b"mdat", b"imda"))
