# SPDX-License-Identifier: Apache-2.0
"""
The connections beneath a session, with the bounds that requests and urllib3 do not have.

- A response's headers, and where that is asked for its body too, must have arrived within a total time, and a streamed
  body must keep a least rate: each byte of a dripped response would start a read timeout anew.
- Interim responses (1xx) are skipped, at most a few; http.client takes all but 100 for the final one.
- Headers are read on behind a line that is none, and trailers are not read without end.
- A link is opened only where its policy lets it lead, judged by the address that is connected to.
- urllib3 is shown a call's URL without its query, and a link's without its path too, so that none of its log lines and
  errors can hold a signature; the request line is written from the real one.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from airflow_video_providers.api.certificates import DefaultCertificatesAdapter
from airflow_video_providers.api.header_lines import read_left_lines
from airflow_video_providers.api.links import LinkPolicy
from airflow_video_providers.text.redaction import HIDDEN, cut_queries

READ_TIMEOUTS = 3
"""How many read timeouts a response may take from its first byte to its last; the headers of a streamed one: 1."""

LEAST_RATE = 1024
"""How many bytes a second of a streamed body must arrive while it is waited for, over each read timeout."""

_MOST_INTERIM_RESPONSES = 16
_MOST_TRAILERS = 100  # as many as http.client takes of headers
_LONGEST_LINE = 64 * 1024
_MOST_ADDRESSES = 8
_PATH = re.compile(r"(?<![:/])/.*|\?.*", re.DOTALL)  # of a URL, or of a request line
_LENGTH = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class _Call:
    target: str
    whole: bool
    links: LinkPolicy | None


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


class BoundedAdapter(DefaultCertificatesAdapter):
    """
    A transport adapter whose connections are bounded.

    :param whole: the total time bounds the body too; False: only the headers, for bodies that a caller streams.
    :param links: where links may lead; None: anywhere. A proxy is not asked what it resolves a name to; names that
        only private networks have are refused then.
    """

    def __init__(self, *, whole: bool, links: LinkPolicy | None = None, **kwargs: Any) -> None:
        self._whole = whole
        self._links = links
        super().__init__(max_retries=0, **kwargs)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """
        Send a request; its URL goes out as it is, without a further round of encoding.

        :raises SourceLinkRefusedError: it is a link that leads where it may not. Nothing was sent.
        """
        proxies, url = kwargs.get("proxies"), request.url or ""
        links = self._links if self._links is not None and self._links.applies_to(url) else None
        if links is not None:
            links.check(url)
        if links is not None and select_proxy(url, proxies):
            links.check_name(url)
            links = None
        # requests would shorten a path that begins with two slashes, and for a proxy leave an empty query out.
        target, absolute = request.path_url, super().request_url(request, proxies)
        if not absolute.startswith("/"):  # for a proxy
            target = f"{urlsplit(absolute).scheme}://{urlsplit(absolute).netloc}{target}"
        token = _call.set(_Call(target, self._whole, links))
        try:
            return super().send(request, *args, **kwargs)
        finally:
            _call.reset(token)

    def close(self) -> None:
        """Close all connections now; urllib3 leaves that to the garbage collection. One in use is closed after it."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # urllib3's container refuses iteration
                with suppress(KeyError):  # another thread has dropped it
                    manager.pools[key].close()
        super().close()

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Return the URL that urllib3 logs and puts into its errors: of a link, no more than the host."""
        url = super().request_url(request, proxies)
        if not self._whole or (self._links is not None and self._links.applies_to(request.url or "")):
            return _PATH.sub(f"/{HIDDEN}", url)
        return cut_queries(url)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool for a request; direct, through a proxy or SOCKS, its connections are bounded."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _bounded(pool.ConnectionCls)
        return pool


@lru_cache(maxsize=16)
def _bounded(kind: type[HTTPConnection]) -> type[HTTPConnection]:
    if issubclass(kind, _BoundedConnection):
        return kind
    return type(f"Bounded{kind.__name__}", (_BoundedConnection, kind), {})


class _BoundedResponse(http.client.HTTPResponse):
    """
    A response whose parts are bounded while they are read.

    ``http.client`` has no public place for that between the status line and the body, so its own methods are
    overridden. An interpreter that no longer calls one of them fails the tests of the bounds.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        call = _call.get()
        self._whole = call is None or call.whole
        self._reads = _TimedReads(sock, self.fp.detach(), READ_TIMEOUTS if self._whole else 1)
        self.fp = io.BufferedReader(self._reads)

    def begin(self) -> None:
        super().begin()
        if read_left_lines(self.headers):
            self.will_close = self._check_close()  # type: ignore[attr-defined]  # typeshed leaves it out
        self._read_framing()
        if not self._whole:
            self._reads.stream()

    def _read_framing(self) -> None:
        """Tell where the body ends, also by headers that http.client does not understand but RFC 9112 does."""
        if self.length == 0 or self.chunked:
            return
        codings = self._said("Transfer-Encoding")
        lengths = set(self._said("Content-Length"))
        if codings and codings[-1] == "chunked":  # with blanks around it, or after another coding
            self.chunked, self.chunk_left, self.length = True, None, None
        elif self.length is None and len(lengths) == 1 and _LENGTH.fullmatch(text := lengths.pop()):  # one, said twice
            self.length = int(text)
        else:
            return
        self.will_close = self._check_close()  # type: ignore[attr-defined]  # typeshed leaves it out

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise http.client.LineTooLong("chunk size")
        self._reads.discount(len(line) + len(b"\r\n"))
        try:
            size = int(line.partition(b";")[0], 16)
            if size < 0:
                raise ValueError("a chunk of negative size")
        except ValueError:  # http.client makes it the error for a size it cannot read
            self._close_conn()  # type: ignore[attr-defined]  # typeshed leaves it out
            raise
        return size

    def _read_and_discard_trailer(self) -> None:
        for _ in range(_MOST_TRAILERS + 1):
            line = self.fp.readline(_LONGEST_LINE + 1)
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("trailer line")
            if line in (b"\r\n", b"\n", b""):
                return
        raise http.client.HTTPException(f"more than {_MOST_TRAILERS} trailers")

    def _said(self, name: str) -> list[str]:
        values = ",".join(self.headers.get_all(name) or ())
        return [part.strip().lower() for part in values.split(",") if part.strip()]

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM_RESPONSES):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {_MOST_INTERIM_RESPONSES} interim responses")


class _BoundedConnection(HTTPConnection):
    response_class = _BoundedResponse

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        call = _call.get()
        super().putrequest(method, url if call is None else call.target, *args, **kwargs)

    def _new_conn(self) -> socket.socket:
        call = _call.get()
        if call is None or call.links is None:
            return super()._new_conn()
        # Resolved once: each address is checked and then connected to as it is.
        name = self._dns_host
        failure: Exception | None = None
        try:
            for address in self._resolve(name, call.links):
                self._dns_host = address
                try:
                    return super()._new_conn()
                except (NewConnectionError, ConnectTimeoutError) as error:
                    failure = error
        finally:
            self._dns_host = name
        raise failure or NewConnectionError(self, "the name has no address")

    def _resolve(self, name: str, links: LinkPolicy) -> list[str]:
        try:
            found = socket.getaddrinfo(name, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NewConnectionError(self, f"Failed to resolve the name: {error}") from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))[:_MOST_ADDRESSES]
        for address in addresses:
            links.check_address(address, host=name)
        return addresses


class _TimedReads(io.RawIOBase):
    """The bytes of a socket: each read within its timeout, and all of them before a deadline or at a least rate."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, timeouts: int) -> None:
        self._sock = sock
        self._raw = raw
        self._timeout = sock.gettimeout()
        self._deadline = None if self._timeout is None else time.monotonic() + timeouts * self._timeout
        self._waited = 0.0
        self._received = 0

    def stream(self) -> None:
        """Ask for a least rate from now on, no longer for an end before the deadline."""
        self._deadline = None
        self._sock.settimeout(self._timeout)

    def discount(self, count: int) -> None:
        """Leave bytes out of the rate that are none of the body, such as the sizes of chunks and what follows them."""
        self._received -= count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._timeout is None:
            return self._raw.readinto(buffer)
        started = time.monotonic()
        if self._deadline is not None:
            if started >= self._deadline:
                raise TimeoutError("the response is too slow")
            self._sock.settimeout(min(self._timeout, self._deadline - started))
            return self._raw.readinto(buffer)
        count = self._raw.readinto(buffer)
        self._received += count or 0
        self._waited += time.monotonic() - started  # how long the caller takes in between is not the source's fault
        if self._waited >= self._timeout and count:
            if self._received < LEAST_RATE * self._waited:
                raise TimeoutError("the response is too slow")
            self._waited, self._received = 0.0, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
