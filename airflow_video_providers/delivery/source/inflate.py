# SPDX-License-Identifier: Apache-2.0
"""A gzip body, unpacked within bounds: what is small on the wire must not cost much here."""

from __future__ import annotations

import zlib

from airflow_video_providers.delivery.source.signals import BrokenError
from airflow_video_providers.exceptions import ContentCheckError

_FREE_BYTES = 64 * 1024 * 1024
_MOST_INFLATION = 20
_FREE_MEMBERS = 1000
_BYTES_A_MEMBER = 1024
_STEP = 16 * 1024  # what follows a member is copied once for each, so it must be little


class Inflater:
    """
    Unpacks a gzip body of one or several members, piece after piece.

    Media is packed already: beyond the first 64 MiB a body that grows more than twentyfold is refused, and so is one of
    thousands of members that hold next to nothing.
    """

    def __init__(self) -> None:
        self._member = _new_member()
        self._members = 1
        self._packed = self._unpacked = 0
        self._body = memoryview(b"")
        self._position = 0

    @property
    def is_hungry(self) -> bool:
        """Whether more of the body is needed before anything can be unpacked."""
        return self._position == len(self._body) and not self._tail

    @property
    def _tail(self) -> bytes:
        return (
            b"" if self._member.eof else self._member.unconsumed_tail
        )  # both are set where a member ends at the limit

    def feed(self, packed: bytes) -> None:
        """Take the next bytes of the body; all that was fed before has been unpacked."""
        self._packed += len(packed)
        self._body, self._position = memoryview(packed), 0

    def unpack(self, most: int) -> bytes:
        """
        Return at most ``most`` bytes; none where more of the body is needed.

        :raises zlib.error: the body is no gzip. :raises ContentCheckError: it grows beyond all measure.
        """
        while not self.is_hungry:
            packed = self._tail
            if not packed:
                packed = bytes(self._body[self._position : self._position + _STEP])
                self._position += len(packed)
            if self._member.eof:
                self._next_member()
            data = self._member.decompress(packed, most)
            self._position -= len(self._member.unused_data)
            if data:
                self._count(len(data))
                return data
        return b""

    def end(self) -> None:
        """
        Accept the end of the body.

        :raises BrokenError: it lies within a member.
        """
        if not self._member.eof:
            raise BrokenError("the gzip stream is cut")

    def _next_member(self) -> None:
        self._members += 1
        if self._members > _FREE_MEMBERS + self._unpacked // _BYTES_A_MEMBER:
            raise ContentCheckError(f"the source sent a gzip body of {self._members} members that hold next to nothing")
        self._member = _new_member()

    def _count(self, size: int) -> None:
        self._unpacked += size
        if self._unpacked > _FREE_BYTES + _MOST_INFLATION * self._packed:
            raise ContentCheckError(
                f"the source sent a gzip body, which was not asked for, of {self._packed} bytes that grow to more than "
                f"{self._unpacked}: refused"
            )


def _new_member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)
