# SPDX-License-Identifier: Apache-2.0
"""A good response (200 or 206) to the GET of a file, whose body is read into our own memory."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import requests
import urllib3

from airflow_video_providers.api.transport import LEAST_RATE
from airflow_video_providers.delivery.source.headers import (
    Validator,
    codings_of,
    content_length,
    content_range,
    is_chunked,
)
from airflow_video_providers.delivery.source.inflate import Inflater
from airflow_video_providers.delivery.source.signals import BrokenError, UnusableRangeError
from airflow_video_providers.exceptions import SourceError

_READ_BYTES = 1024 * 1024  # larger reads cost less, but what came of one is lost when the connection breaks
_CAREFUL_READ_BYTES = 64 * 1024
_PACKED_READ_BYTES = 8 * 1024  # after each the rate is checked, which a body of empty blocks would else keep up


class FileResponse:
    """
    A response whose body is still to be read.

    :param first: the byte of the file that was asked for; a range that begins elsewhere is none that can be used.
    :param timeout: seconds over which a packed body must yield a least rate of the file (a plain one: the transport).
    :ivar start: where its first byte is in the file.
    :ivar end: where its last byte is, plus one; None where the server does not say.
    :ivar size: bytes of the whole file, or None where the server does not say.
    :ivar framed: the server marks the end of the body (a length, or chunks), so that a cut is noticed.
    :ivar packed: the body is a gzip, whose bytes are counted unpacked.
    """

    def __init__(self, response: requests.Response, *, first: int, timeout: float) -> None:
        headers = response.headers
        self._response = response
        self.partial = response.status_code == HTTPStatus.PARTIAL_CONTENT
        self.media_type = headers.get("Content-Type")
        self.validator = Validator.of(headers)
        codings = codings_of(headers)
        if codings not in ([], ["gzip"], ["x-gzip"]):
            raise SourceError(f"the source sent the file in the encoding {codings[0][:40]!r}, which was not asked for")
        self.packed = bool(codings)
        self._taken = 0
        self._inflater = Inflater() if codings else None
        self._timeout, self._waited, self._unpacked = timeout, 0.0, 0
        self.start, self.end, self.size = 0, None, None
        if self.partial:
            found = content_range(headers)
            if found is None:
                raise UnusableRangeError("the source responded with 206, but without saying which bytes it sends")
            if found.first != first:
                raise UnusableRangeError("the source responded with 206, but with another range than was asked for")
            self.start, self.end, self.size = found.first, found.end, found.size
            self.framed = True
        elif is_chunked(headers):
            self.framed = True
        else:
            self.end = self.size = content_length(headers)
            self.framed = self.size is not None
        if self.packed:
            self.size = self.end = None  # both count the packed bytes

    def read_into(self, view: memoryview) -> int:
        """
        Read until the view is full or the body ends.

        :return: bytes read; fewer than asked only at the end of the body.
        :raises BrokenError: the connection broke.
        """
        return max(self.pieces(view), default=0)

    def pieces(self, view: memoryview, *, careful: bool = False) -> Iterator[int]:
        """
        Do the same, but tell after each piece how much of the view is filled, so that a cut loses little.

        :param careful: in pieces of 64 KiB, not 1 MiB: for a source that has already broken off.
        """
        filled, most = 0, _CAREFUL_READ_BYTES if careful else _READ_BYTES
        if self.end is not None:  # what a server sends behind the end that it names is none of the file
            view = view[: self.end - self.start - self._taken]
        while filled < len(view):
            data = self._read(min(most, len(view) - filled))
            if not data:
                return
            self._taken += len(data)
            view[filled : filled + len(data)] = data
            filled += len(data)
            yield filled

    def _read(self, size: int) -> bytes:
        with broken_if_cut():
            if self._inflater is None:
                return self._response.raw.read(size, decode_content=False)
            return self._unpack(self._inflater, size)

    def _unpack(self, inflater: Inflater, size: int) -> bytes:
        while True:
            if inflater.is_hungry:
                began = time.monotonic()
                packed = self._response.raw.read(_PACKED_READ_BYTES, decode_content=False)
                self._waited += time.monotonic() - began
                if not packed:
                    inflater.end()
                    return b""
                inflater.feed(packed)
            data = inflater.unpack(size)
            self._check_rate(len(data))
            if data:
                return data

    def _check_rate(self, unpacked: int) -> None:
        self._unpacked += unpacked
        if self._waited < self._timeout:
            return
        if self._unpacked < LEAST_RATE * self._waited:
            raise BrokenError("the source stalled: next to no bytes of the file within the read timeout", stalled=True)
        self._waited, self._unpacked = 0.0, 0

    def interrupt(self) -> None:
        """Wake a thread that is blocked reading the body; its read fails."""
        with suppress(OSError, ValueError, RuntimeError):
            self._response.raw.shutdown()

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        self._response.close()


@contextmanager
def broken_if_cut() -> Iterator[None]:
    """Turn every way in which a connection can fail into one signal, without the link in its text."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, zlib.error) as error:
        raise _broken(error) from None


def _broken(error: BaseException) -> BrokenError:
    names = {type(error).__name__, *(type(part).__name__ for part in error.args if isinstance(part, BaseException))}
    if any("ReadTimeout" in name or name == "TimeoutError" for name in names):
        return BrokenError("the source stalled: next to no bytes within the read timeout", stalled=True)
    if any("Timeout" in name for name in names):
        return BrokenError("the source could not be connected to within the connect timeout", stalled=True)
    if isinstance(error, zlib.error):
        return BrokenError("the source sent a body that is not the gzip that its header says")
    if isinstance(error, requests.exceptions.SSLError):
        return BrokenError(
            "the TLS connection to the source failed: check the certificate, or the connection's ca_bundle"
        )
    return BrokenError(f"the connection to the source broke ({', '.join(sorted(names))})")
