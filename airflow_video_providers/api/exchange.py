# SPDX-License-Identifier: Apache-2.0
"""
One exchange with a vendor: one request, and one response within bounds, or the error that says what happened.

The credentials go to the origin (scheme, host, port) of the API alone. No redirect is followed.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from http.client import HTTPException
from typing import Any

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, LocationValueError

from airflow_video_providers.api.content import (
    LARGEST_ERROR,
    LARGEST_RESPONSE,
    ContentError,
    decode_json,
    read_content,
)
from airflow_video_providers.api.errors import (
    LONGEST_MESSAGE,
    VendorError,
    has_effect,
    parse_error,
    refusal,
    unreadable,
)
from airflow_video_providers.api.guard import SendGuard
from airflow_video_providers.api.links import LinkPolicy
from airflow_video_providers.api.pacing import Pacer
from airflow_video_providers.api.paths import origin_of
from airflow_video_providers.api.retries import root_cause, was_never_sent
from airflow_video_providers.api.session import prepare_session
from airflow_video_providers.api.settings import ClientSettings, check_base_url
from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoProviderError,
)
from airflow_video_providers.text.redaction import redact

_PLAIN_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_SHORTEST_SECRET = 3
_SENT = 8  # where each request has credentials of its own, such as a signature
_HOSTS = 4
_CONNECTIONS = 128  # an upper bound, above any number of threads that share a hook

# What sending raises of an address that cannot be used: nothing was sent. InvalidHeader is not among them: it speaks of
# the response's headers, since the request's own are checked before.
_NO_ADDRESS = (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, LocationValueError)


class Exchange:
    """
    The HTTP session of one connection, one call at a time.

    :param vendor: connection type, for messages.
    :param base_url: where the API lives, scheme and path included; endpoints are paths below it.
    :param auth: adds the credentials to a request; called for the API's own origin only.
    :param settings: timeouts, proxy, TLS.
    :param secrets: texts that must never appear in a message.
    :param headers: sent with every call to the API's origin.
    :param error_parser: reads the vendor's error response.
    :param decoder: turns the content of a response into what the models take; raises ``ContentError``.
    :param error_decoder: turns an error response into what ``error_parser`` takes; on ValueError it is shown as text.
    :ivar pacer: keeps the rate that the vendor documents, for each call to the API's origin; None: there is none.
    """

    def __init__(
        self,
        *,
        vendor: str,
        base_url: str,
        auth: AuthBase | None = None,
        settings: ClientSettings | None = None,
        secrets: Iterable[str | None] = (),
        headers: Mapping[str, str] | None = None,
        error_parser: Callable[[Any], VendorError] = parse_error,
        decoder: Callable[[bytes], Any] = decode_json,
        error_decoder: Callable[[bytes], Any] = decode_json,
    ) -> None:
        check_base_url(base_url, vendor)
        self.vendor = vendor
        self.base_url = base_url.rstrip("/")
        self.origin = origin_of(base_url)
        self.auth = auth
        self.settings = settings or ClientSettings()
        # A very short one is no secret, and its letters are in every message.
        self.secrets = [secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET]
        self._sent: deque[str] = deque(maxlen=_SENT)
        self.error_parser = error_parser
        self.causes: dict[int, type[VideoApiError]] = {}
        """What a status means for this vendor, where that is not the usual: e.g. 403 for a wrong key."""
        self.decoder = decoder
        self.error_decoder = error_decoder
        self.headers = dict(headers or {})
        self.pacer: Pacer | None = None
        self.rate_window: float | None = None
        """Seconds of the vendor's fixed window of requests: the wait after a 429 that names none."""
        self.links = LinkPolicy(base_url, allow_private=self.settings.allow_private_links)
        self._closed = False
        self.session = _Session()
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": _user_agent()}
        self.session.headers.update(headers)
        self.adapter = prepare_session(
            self.session, hosts=_HOSTS, connections=_CONNECTIONS, whole=True, links=self.links
        )

    def url(self, path: str) -> str:
        """Return the full URL of ``path`` below the base URL; a full URL stays as it is."""
        return path if path.lower().startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"

    def redact(self, text: str, *, longest: int | None = None) -> str:
        """Remove secrets and the query of links from a text, and cut it to ``longest`` characters."""
        return redact(text, self.hidden, longest=longest)

    @property
    def hidden(self) -> list[str]:
        """What is taken out of every text: the secrets, and the credentials as they were sent."""
        return [*self.secrets, *self._sent]

    def close(self) -> None:
        """Close the pooled connections; a call that another thread still makes closes its own when it ends."""
        self._closed = True
        self.session.close()

    def guarded(self, guard: SendGuard) -> AbstractContextManager[None]:
        """Have ``guard`` told of each send of this thread that may have an effect, until the ``with`` block ends."""
        return self.adapter.guarded_by(guard)

    def send(self, method: str, *args: Any) -> requests.Response:
        """Send one request and return its response, read into memory; the guard is told where it fails."""
        try:
            return self._once(method, *args)
        except VideoApiError as error:
            if has_effect(method) and (guard := self.adapter.guard) is not None:
                guard.after_failure(error)
            raise
        finally:
            if self._closed:
                self.session.close()

    def _once(
        self, method: str, path: str, endpoint: str, redirect_expected: bool, kwargs: dict[str, Any]
    ) -> requests.Response:
        url = self.url(path)
        try:
            options = self.settings.for_request(url)
            request = self._prepare(method, url, **kwargs)
        except VideoProviderError:
            raise
        except (ValueError, TypeError, OSError) as error:
            raise self._unwritable(error, endpoint) from None
        if self.pacer is not None and origin_of(url) == self.origin:
            self.pacer.wait()  # before the guard, which takes note that the request is sent now
        try:
            response = self.session.send(request, allow_redirects=False, stream=True, **options)
        except _NO_ADDRESS as error:
            raise self._unwritable(error, endpoint) from None
        except requests.exceptions.InvalidHeader as error:
            raise self._unclear(error, method, endpoint) from None
        except requests.RequestException as error:
            raise self._unreachable(error, method, endpoint) from None
        except VideoProviderError:
            raise
        except (ValueError, OSError, HTTPException) as error:
            if hasattr(request.body, "read"):
                raise  # of the caller's own stream, perhaps half sent
            raise self._unclear(error, method, endpoint) from None
        if response.is_redirect and redirect_expected:
            response.close()
            return response
        self._read(response, method, endpoint)
        if 200 <= response.status_code < 300:
            return response
        raise refusal(
            response,
            vendor=self.vendor,
            endpoint=endpoint,
            decode=self.error_decoder,
            parser=self.error_parser,
            causes=self.causes,
            rate_window=self.rate_window,
            redact=self.redact,
        )

    def _read(self, response: requests.Response, method: str, endpoint: str) -> None:
        """Read the content into memory, within bounds; what is left of an error's content is not read."""
        good = 200 <= response.status_code < 300
        try:
            content, more = read_content(response, LARGEST_RESPONSE if good else LARGEST_ERROR)
            if good and more:
                raise ContentError(f"it is larger than {LARGEST_RESPONSE // 2**20} MiB")
        except ContentError as error:
            response.close()
            response._content = b""
            if good:
                raise self.unreadable(response, error, method, endpoint) from None
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            response.close()
            response._content = b""
            if good:
                raise self._unreachable(error, method, endpoint) from None
        else:
            response._content = content

    def unreadable(
        self, response: requests.Response, error: ValueError, method: str, endpoint: str
    ) -> VideoApiUnreadableAnswerError:
        """Return the error for a response whose content cannot be used."""
        return unreadable(
            response,
            f"the response cannot be used: {error}",
            vendor=self.vendor,
            endpoint=endpoint,
            redact=self.redact,
            outcome_unknown=has_effect(method),
        )

    def _prepare(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **kwargs: Any
    ) -> requests.PreparedRequest:
        at_home = origin_of(url) == self.origin
        headers = {**(self.headers if at_home else {}), **(headers or {})}
        auth = self.auth if at_home else None
        request = self.session.prepare_request(requests.Request(method, url, headers=headers, auth=auth, **kwargs))
        if not at_home and not kwargs.get("params") and _PLAIN_URL.fullmatch(url):
            request.url = url  # requests would encode it anew, but the signature of a link may cover its very text
        if auth is not None:
            self._hide_credentials(request)
        for value in request.headers.values():
            # http.client finds this too, but names the value in its error.
            raw = value if isinstance(value, bytes) else value.encode("latin-1")
            if any(byte in raw for byte in b"\r\n\0"):
                raise requests.exceptions.InvalidHeader("control characters in a header")
        return request

    def _hide_credentials(self, request: requests.PreparedRequest) -> None:
        """Take note of what was made of the secrets, such as the Base64 of a name and a password."""
        value: str | bytes = request.headers.get("Authorization") or ""
        credential = (value if isinstance(value, str) else value.decode("latin-1")).rpartition(" ")[2]
        if len(credential) >= _SHORTEST_SECRET and credential not in self.hidden:
            self._sent.append(credential)

    def _unwritable(self, error: Exception, endpoint: str) -> VideoApiError:
        # The text of the error is left out: it can name the value of a header.
        return VideoApiInvalidRequestError(
            f"nothing was sent: the request cannot be written as HTTP ({type(error).__name__}); check the host, the "
            "proxy, the CA bundle and the key of the connection, and the values of the request",
            vendor=self.vendor,
            endpoint=endpoint,
        )

    def _unclear(self, error: Exception, method: str, endpoint: str) -> VideoApiError:
        """Build the error for a call that failed at an unknown point and may have taken effect."""
        return VideoApiUnreadableAnswerError(
            f"the response cannot be read as HTTP ({type(error).__name__})",
            vendor=self.vendor,
            endpoint=endpoint,
            outcome_unknown=has_effect(method),
        )

    def _unreachable(self, error: Exception, method: str, endpoint: str) -> VideoApiError:
        never_sent = was_never_sent(error)
        scheme, host, port = self.origin
        text = "could not connect to" if never_sent else "no response from"
        return VideoApiUnavailableError(
            f"{text} {scheme}://{host}:{port} ({self.redact(root_cause(error), longest=LONGEST_MESSAGE)})",
            vendor=self.vendor,
            endpoint=endpoint,
            outcome_unknown=not never_sent and has_effect(method),
        )


class _Session(requests.Session):
    """A session that never reads where a redirect leads: an odd target must not turn a response into an error."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


def _user_agent() -> str:
    from airflow import __version__ as airflow_version

    from airflow_video_providers import __version__

    return f"airflow-video-providers/{__version__} apache-airflow/{airflow_version}"
