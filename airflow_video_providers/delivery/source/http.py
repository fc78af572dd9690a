# SPDX-License-Identifier: Apache-2.0
"""
Send the GETs of a download: redirects are followed by hand, and each response is a body to read or a signal.

No credentials of the vendor are ever sent: the link is the credential. Its query is never in a log or an error.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from http import HTTPStatus

import requests

from airflow_video_providers import __version__
from airflow_video_providers.api.links import LinkPolicy
from airflow_video_providers.api.retry_after import parse_retry_after
from airflow_video_providers.api.session import prepare_session
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.source.headers import unsatisfied_size
from airflow_video_providers.delivery.source.response import FileResponse, broken_if_cut
from airflow_video_providers.delivery.source.signals import (
    BrokenError,
    DeadLinkError,
    PastTheEndError,
    UnusableRangeError,
)
from airflow_video_providers.delivery.source.urls import FileUrl, follow, parse_link
from airflow_video_providers.exceptions import SourceError

log = logging.getLogger(__name__)

_GOOD = (HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION, HTTPStatus.PARTIAL_CONTENT)
_MOST_REDIRECTS = 5
_ERROR_BYTES = 4096
_LINK_IS_DEAD = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_NOT_READY = (
    HTTPStatus.ACCEPTED,
    HTTPStatus.NO_CONTENT,
    HTTPStatus.CONFLICT,
    HTTPStatus.LOCKED,
    HTTPStatus.TOO_EARLY,
)
# Of hosts that do not take the header at all, rather than ignore it as RFC 9110 wants.
_REFUSES_RANGES = (HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class HttpSource:
    """
    Sends GETs for links; can be used by several threads.

    :param settings: timeouts, proxy and TLS, as of the vendor's connection.
    :param connections: how many connections are kept.
    :param links: where links and redirects may lead; None: anywhere.
    """

    def __init__(self, settings: ClientSettings, connections: int = 1, links: LinkPolicy | None = None) -> None:
        self.settings = settings
        self.requests = 0
        self._takes_ranges = True
        self._session = requests.Session()
        prepare_session(self._session, hosts=connections, connections=connections, links=links)

    def get(
        self,
        link: str,
        *,
        first: int = 0,
        last: int | None = None,
        if_range: str | None = None,
        may_be_end: bool = False,
    ) -> FileResponse:
        """
        Ask for the bytes from ``first`` to ``last`` (both counted from 0, ``last`` included; None: to the end).

        :param may_be_end: the file may end right before ``first``, so that a response of 416 that says no size means
            that; else the host refuses the range.
        :return: a body that begins at ``first``, or the whole file.
        :raises BrokenError: try again. :raises DeadLinkError: try a fresh link.
        :raises PastTheEndError: the file has no byte ``first``. :raises SourceError: no further try can help.
        """
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Range": f"bytes={first}-{'' if last is None else last}",
            "User-Agent": f"airflow-video-providers/{__version__}",
        }
        if if_range:
            headers["If-Range"] = if_range
        if self._takes_ranges:
            try:
                return self._follow(link, headers, first)
            except UnusableRangeError as error:
                log.info("%s; asking for the whole file", error)
            except PastTheEndError as error:
                if error.size == 0 or (first and (may_be_end if error.size is None else error.size <= first)):
                    raise
                log.info("the source responds with 416 to a range of the file; asking for the whole file")
            self._takes_ranges = False
        try:
            return self._follow(link, {name: value for name, value in headers.items() if "Range" not in name}, 0)
        except UnusableRangeError as error:
            raise SourceError(str(error)) from None
        except PastTheEndError:  # not even the first byte is there
            raise PastTheEndError(0) from None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _follow(self, link: str, headers: dict[str, str], first: int) -> FileResponse:
        url = parse_link(link)
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send(url, headers)
            if not response.is_redirect:
                return _judge(response, link, first=first, timeout=self.settings.read_timeout)
            url = follow(url, response.headers["Location"])
            response.close()
        raise SourceError(f"the source redirects more than {_MOST_REDIRECTS} times")

    def _send(self, url: FileUrl, headers: dict[str, str]) -> requests.Response:
        try:
            request = _FileRequest(url, headers)
            options = self.settings.for_request(str(request.url))
        except (requests.exceptions.InvalidURL, UnicodeError, ValueError):
            raise SourceError("the link of the file is malformed") from None
        self.requests += 1
        with broken_if_cut():
            return self._session.send(request, stream=True, allow_redirects=False, **options)


class _FileRequest(requests.PreparedRequest):
    """A GET whose request line holds the link's own text, which ``requests`` would otherwise encode anew."""

    def __init__(self, url: FileUrl, headers: dict[str, str]) -> None:
        super().__init__()
        self.prepare(method="GET", url=f"{url.scheme}://{url.authority}/", headers=headers)
        self._target = url.target
        self.url = f"{str(self.url).removesuffix('/')}{url.target}"

    @property
    def path_url(self) -> str:
        return self._target


def _judge(response: requests.Response, link: str, *, first: int, timeout: float) -> FileResponse:
    """Return the body that a response holds, or raise what it means instead."""
    status = response.status_code
    if status in _GOOD:
        return _body(response, first, timeout)
    headers = response.headers
    said_expired = status in (*_LINK_IS_DEAD, HTTPStatus.BAD_REQUEST) and b"expired" in _error_text(response)
    response.close()
    if status in _LINK_IS_DEAD or said_expired:
        raise DeadLinkError(link, status, said_expired=said_expired)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise PastTheEndError(unsatisfied_size(headers))
    if status in _REFUSES_RANGES and "Range" in response.request.headers:
        raise UnusableRangeError(f"the source responds with {status} to a range")
    retry_after = parse_retry_after(headers.get("Retry-After"))
    if status in _NOT_READY:
        raise BrokenError(f"the source responds with {status}: the file is not there yet", retry_after)
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise BrokenError(f"the source responds with {status}", retry_after)
    raise SourceError(f"the source responds with {status}")


def _body(response: requests.Response, first: int, timeout: float) -> FileResponse:
    try:
        return FileResponse(response, first=first, timeout=timeout)
    except BaseException:
        response.close()
        raise


def _error_text(response: requests.Response) -> bytes:
    """Return the beginning of an error page in lower case; nothing where it cannot be read."""
    with suppress(BrokenError), broken_if_cut():
        return response.raw.read(_ERROR_BYTES, decode_content=False).lower()
    return b""
