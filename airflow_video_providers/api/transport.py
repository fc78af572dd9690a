# SPDX-License-Identifier: Apache-2.0
"""
The connections beneath a session, with the bounds that requests and urllib3 do not have.

- A response's headers, and where that is asked for its body too, must have arrived within a total time: each byte of a
  dripped response would start a read timeout anew.
- Interim responses (1xx) are skipped, at most a few; http.client takes all but 100 for the final one.
- urllib3 is shown a URL without its query, so that none of its log lines and errors can hold a signature; the request
  line is written from the real one.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from airflow_video_providers.api.redaction import cut_queries

READ_TIMEOUTS = 3
"""How many read timeouts a response may take from its first byte to its last."""

_MOST_INTERIM_RESPONSES = 16


@dataclass(frozen=True)
class _Call:
    target: str
    whole: bool


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


class BoundedAdapter(HTTPAdapter):
    """
    A transport adapter whose connections are bounded.

    :param whole: the total time bounds the body too; False: only the headers, for bodies that a caller streams.
    """

    def __init__(self, *, whole: bool, **kwargs: Any) -> None:
        self._whole = whole
        super().__init__(max_retries=0, **kwargs)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; its URL goes out as it is, without a further round of encoding."""
        proxies = kwargs.get("proxies")
        token = _call.set(_Call(super().request_url(request, proxies), self._whole))
        try:
            return super().send(request, *args, **kwargs)
        finally:
            _call.reset(token)

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Return the URL that urllib3 logs and puts into its errors."""
        return cut_queries(super().request_url(request, proxies))

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
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reads = _TimedReads(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._reads)

    def begin(self) -> None:
        super().begin()
        call = _call.get()
        if call is not None and not call.whole:
            self._reads.deadline = None

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(_MOST_INTERIM_RESPONSES):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # not in the types
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {_MOST_INTERIM_RESPONSES} interim responses")


class _BoundedConnection(HTTPConnection):
    response_class = _BoundedResponse

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        call = _call.get()
        super().putrequest(method, url if call is None else call.target, *args, **kwargs)


class _TimedReads(io.RawIOBase):
    """The bytes of a socket, each read within its timeout and all of them before a deadline."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._timeout = sock.gettimeout()
        self.deadline = None if self._timeout is None else time.monotonic() + READ_TIMEOUTS * self._timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.deadline is not None and self._timeout is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the response is too slow")
            self._sock.settimeout(min(self._timeout, left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
