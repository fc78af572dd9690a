# SPDX-License-Identifier: Apache-2.0
"""
One GET of a link: redirects followed by hand, the answer judged, its body read into our own memory.

No credentials are ever sent: the link is the credential. Its query is never in a log or an error.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from airflow_video_providers.api.errors import parse_retry_after
from airflow_video_providers.api.session import ClientSettings, prepare_session
from airflow_video_providers.exceptions import SourceError

_READ_BYTES = 1024 * 1024  # larger reads cost less, but what came of one is lost when the connection breaks
_CAREFUL_READ_BYTES = 64 * 1024
_MOST_REDIRECTS = 5
_LINK_IS_DEAD = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_UNSATISFIED_RANGE = re.compile(r"bytes \*/(\d+)")


class BrokenError(Exception):
    """The source broke off; worth another try. ``retry_after``: seconds that the server asked for."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadLinkError(Exception):
    """The link answers 401, 403, 404 or 410: a fresh one may work."""


class PastTheEndError(Exception):
    """The server answers 416; ``size`` is the file's length, where it says so."""

    def __init__(self, size: int | None) -> None:
        super().__init__(f"the range begins after the end of the file ({size} bytes)")
        self.size = size


@dataclass(frozen=True)
class Validator:
    """
    What tells one version of a file from another: its ETag, else its time of change; without both nothing does.

    A weak ETag does not: two versions that share one mean the same, but need not be the same bytes (RFC 9110, 8.8.1).
    """

    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Validator:
        """Take what the headers of an answer tell."""
        etag = headers.get("ETag")
        return cls(None if etag and etag.startswith("W/") else etag, headers.get("Last-Modified"))

    @property
    def if_range(self) -> str | None:
        """The value of an If-Range header."""
        return self.etag or self.modified

    def same(self, other: Validator) -> bool | None:
        """Tell whether it is the same version; None where that cannot be known."""
        if self.etag and other.etag:
            return self.etag == other.etag
        return self.modified == other.modified if self.modified and other.modified else None


class Answer:
    """
    A good answer (200 or 206) whose body is still to be read.

    :ivar start: where its first byte is in the file.
    :ivar size: bytes of the whole file, or None where the server does not say.
    :ivar framed: the server marks the end of the body (a length, or chunks), so that a cut is noticed.
    """

    def __init__(self, response: requests.Response) -> None:
        headers = response.headers
        self._response = response
        self.partial = response.status_code == HTTPStatus.PARTIAL_CONTENT
        self.media_type = headers.get("Content-Type")
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip"):
            raise SourceError(f"the source sent the file in the encoding {encoding!r}, which was not asked for")
        self.encoded = encoding.endswith("gzip")
        self._inflate = _gunzip() if self.encoded else None
        self.validator = Validator.of(headers)
        self.start, self.size = 0, None
        chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        length = headers.get("Content-Length")
        self.framed = chunked or length is not None
        if self.partial:
            match = _CONTENT_RANGE.match(headers.get("Content-Range", ""))
            if match is None:
                raise SourceError("the source answered 206 without saying which bytes it sends")
            self.start = int(match[1])
            self.size = None if match[3] == "*" else int(match[3])
            self.framed = self.size is not None
        elif length is not None and length.isdigit() and not chunked:
            self.size = int(length)
        if self.encoded:
            self.size = None  # the length counts the packed bytes

    def read_into(self, view: memoryview) -> int:
        """
        Read until the view is full or the body ends.

        :return: bytes read; fewer than asked only at the end of the body.
        :raises BrokenError: the connection broke.
        """
        filled = 0
        for filled in self.pieces(view):  # noqa: B007  # the last value counts
            pass
        return filled

    def pieces(self, view: memoryview, *, careful: bool = False) -> Iterator[int]:
        """
        Do the same, but tell after each piece how much of the view is filled, so that a cut loses little.

        :param careful: in pieces of 64 KiB, not 1 MiB: for a source that has already broken off.
        """
        filled, most = 0, _CAREFUL_READ_BYTES if careful else _READ_BYTES
        while filled < len(view):
            data = self._read(min(most, len(view) - filled))
            if not data:
                return
            view[filled : filled + len(data)] = data
            filled += len(data)
            yield filled

    def _read(self, size: int) -> bytes:
        with broken_if_cut():
            if self._inflate is None:
                return self._response.raw.read(size, decode_content=False)
            return self._unpack(self._inflate, size)

    def _unpack(self, inflate: zlib._Decompress, size: int) -> bytes:
        while True:
            packed = inflate.unconsumed_tail or inflate.unused_data
            packed = packed or self._response.raw.read(_READ_BYTES, decode_content=False)
            if inflate.eof:
                if not packed:
                    return b""
                inflate = self._inflate = _gunzip()  # a stream can have several members
            data = inflate.decompress(packed, size)
            if data:
                return data
            if not packed and not inflate.eof:
                raise BrokenError("the gzip stream is cut")

    def interrupt(self) -> None:
        """Wake a thread that is blocked reading the body; its read fails."""
        with suppress(OSError, ValueError, RuntimeError):
            self._response.raw.shutdown()

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        self._response.close()


def _gunzip() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)


@contextmanager
def broken_if_cut() -> Iterator[None]:
    """Turn every way in which a connection can fail into one error, without the link in its text."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, zlib.error) as error:
        raise BrokenError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    names = {type(error).__name__, *(type(part).__name__ for part in error.args if isinstance(part, BaseException))}
    if any("Timeout" in name for name in names):
        return "the source stalled: no bytes within the read timeout"
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS connection to the source failed: check the certificate, or the connection's ca_bundle"
    return f"the connection to the source broke ({', '.join(sorted(names))})"


class HttpSource:
    """
    Sends GETs for links; can be used by several threads.

    :param settings: timeouts, proxy and TLS, as of the vendor's connection.
    :param connections: how many connections are kept.
    """

    def __init__(self, settings: ClientSettings, connections: int = 1) -> None:
        self.settings = settings
        self.requests = 0
        self._session = requests.Session()
        prepare_session(self._session, hosts=connections, connections=connections)

    def get(self, url: str, *, first: int = 0, last: int | None = None, if_range: str | None = None) -> Answer:
        """
        Ask for the bytes from ``first`` to ``last`` (both counted from 0, ``last`` included; None: to the end).

        :raises BrokenError: try again. :raises DeadLinkError: try a fresh link. :raises PastTheEndError: 416.
        :raises SourceError: no further try can help.
        """
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Range": f"bytes={first}-{'' if last is None else last}",
        }
        if if_range:
            headers["If-Range"] = if_range
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send(url, headers)
            if not response.is_redirect:
                return self._judge(response)
            location = response.headers["Location"]
            response.close()
            url = _redirected(url, location)
        raise SourceError(f"the source redirects more than {_MOST_REDIRECTS} times")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _send(self, url: str, headers: dict[str, str]) -> requests.Response:
        parts = _split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(f"the link of the file is no http or https link but {parts.scheme or 'relative'}")
        self.requests += 1
        options = self.settings.for_request(url)
        with broken_if_cut():
            return self._session.get(url, headers=headers, stream=True, allow_redirects=False, **options)

    def _judge(self, response: requests.Response) -> Answer:
        status = response.status_code
        if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return Answer(response)
        headers = response.headers
        response.close()
        if status in _LINK_IS_DEAD:
            raise DeadLinkError(f"the link answers {status}")
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            match = _UNSATISFIED_RANGE.match(headers.get("Content-Range", ""))
            raise PastTheEndError(int(match[1]) if match else None)
        if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or status >= 500:
            raise BrokenError(f"the source answers {status}", parse_retry_after(headers.get("Retry-After")))
        raise SourceError(f"the source answers {status}")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        raise SourceError("the link of the file is malformed") from None
    return parts


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError:
        raise SourceError("the source redirects to a malformed link") from None
    before, after = _split(url).scheme, _split(target).scheme
    if after not in ("http", "https"):
        raise SourceError(f"the source redirects to a {after}: link, which is not followed")
    if before == "https" and after == "http":
        raise SourceError("the source redirects from https to http, which is not followed")
    return target
