# SPDX-License-Identifier: Apache-2.0
"""
One HTTP session for one connection: what every vendor's hook sends its calls through.

- The credentials go to the origin (scheme, host, port) of the API alone. No redirect is followed.
- Every call has a connect and a read timeout.
- A call that may be repeated (GET, HEAD, or one that the caller marks ``repeatable``) is tried again on 429, 5xx and
  connection errors, with exponential backoff, jitter and the vendor's Retry-After, until ``retry_deadline`` is over.
- Any other call is tried again only when it provably had no effect: the connection was never made, or the vendor
  refused it (429, 503 with Retry-After).
- Each cause has its own exception; its text is the vendor's, with secrets removed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_random_exponential
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError, SSLError

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)

log = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BaseModel)

_QUERY = re.compile(r"(?<=\w)\?[^\s\"'<>]+")
_LONGEST_MESSAGE = 500
_SHORTEST_SECRET = 3


@dataclass(frozen=True)
class VendorError:
    """
    What a vendor says in an error answer: its code, its message, its messages by field.

    ``refused_credentials``: the answer blames the key or token, whatever its status; for vendors that use 403 for it.
    """

    message: str
    code: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    refused_credentials: bool = False


@dataclass(frozen=True)
class ClientSettings:
    """
    How a connection talks to its vendor; read from the connection's extras of the same names.

    :param connect_timeout: seconds to wait for the connection (default 10).
    :param read_timeout: seconds to wait for each part of an answer (default 60).
    :param retry_deadline: seconds over which a repeatable call is tried again in all (default 120).
    :param proxy: URL of a proxy for http and https, or None for the environment's.
    :param verify: True (the environment's ``REQUESTS_CA_BUNDLE`` counts), False, or the path of a CA bundle.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    retry_deadline: float = 120.0
    proxy: str | None = None
    verify: bool | str = True


def parse_error(body: Any) -> VendorError:
    """Read the error forms in common use: ``message``, ``error`` (text or object), ``detail`` (text or list)."""
    if not isinstance(body, dict):
        return VendorError(message=str(body))
    detail = body.get("detail")
    if isinstance(detail, list):
        fields = {
            ".".join(str(part) for part in item.get("loc", ()) if part != "body") or "body": str(item.get("msg", item))
            for item in detail
            if isinstance(item, dict)
        }
        return VendorError(message="the request was refused", fields=fields)
    error = body.get("error")
    if isinstance(error, dict):
        message = error.get("error_message") or error.get("message") or json.dumps(error)
        code = error.get("error_code") or error.get("code")
        return VendorError(message=str(message), code=None if code is None else str(code))
    code = body.get("code") or body.get("error_code")
    message = body.get("message") or error or detail or body.get("error_description") or json.dumps(body)
    return VendorError(message=str(message), code=None if code is None else str(code))


class VideoApiClient:
    """
    The HTTP session of one connection.

    :param vendor: connection type, for messages.
    :param base_url: where the API lives, scheme and path included; endpoints are paths below it.
    :param auth: adds the credentials to a request; called for the API's own origin only.
    :param settings: timeouts, proxy, TLS.
    :param secrets: texts that must never appear in a message.
    :param headers: sent with every call to the API's origin.
    :param error_parser: reads the vendor's error answer.
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
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise VideoConfigurationError(
                f"{vendor}: the host of the connection must be a full base URL such as "
                f"https://api.example.com/v1, not {base_url!r}"
            )
        self.vendor = vendor
        self.base_url = base_url.rstrip("/")
        self.origin = _origin(base_url)
        self.auth = auth
        self.settings = settings or ClientSettings()
        # A very short one is no secret, and its letters are in every message.
        self.secrets = [secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET]
        self.error_parser = error_parser
        self.session = requests.Session()
        # Credentials come from the connection alone, never a .netrc. Proxies of the environment are honoured below.
        self.session.trust_env = False
        self.session.headers.update({"Accept": "application/json", **(headers or {})})
        self.session.headers["User-Agent"] = _user_agent()
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=16, max_retries=0)
        self.session.mount("https://", adapter)
        self.session.mount("http://", adapter)

    # ------------------------------------------------------------------ calls

    def get_json(self, path: str, *, endpoint: str, params: Mapping[str, Any] | None = None) -> Any:
        """GET ``path`` and return the decoded JSON."""
        return self.call_json("GET", path, endpoint=endpoint, params=params)

    def call_json(self, method: str, path: str, *, endpoint: str, **kwargs: Any) -> Any:
        """Send one call and return the decoded JSON; None for an answer without content."""
        response = self.call(method, path, endpoint=endpoint, **kwargs)
        if response.status_code == HTTPStatus.NO_CONTENT or not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise self._unreadable(
                response, endpoint, "the answer is not JSON", outcome_unknown=method != "GET"
            ) from None

    def call(
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        repeatable: bool | None = None,
        once: bool = False,
        redirect_expected: bool = False,
        **kwargs: Any,
    ) -> requests.Response:
        """
        Send one call and return the 2xx answer (or the 3xx one, where ``redirect_expected``).

        :param path: below the base URL, or a full URL. Credentials are added for the API's origin only.
        :param endpoint: how messages name the call, e.g. ``GET /jobs/{id}``.
        :param repeatable: whether a second call does no harm; default: GET and HEAD only. A DELETE is not: between two
            tries a running job may finish, and deleting a finished one can delete its files.
        :param once: never try again, not even after a refusal: the body is a stream that has been read, or the caller
            must look before it tries again.
        :param kwargs: ``params json data files headers stream`` as in ``requests``.
        :raises VideoApiError: the subclass is the cause; ``outcome_unknown``: the call may have had its effect.
        """
        if repeatable is None:
            repeatable = method in ("GET", "HEAD")
        if once:
            return self._once(method, path, endpoint, redirect_expected, kwargs)
        retrying = Retrying(
            reraise=True,
            retry=retry_if_exception(lambda error: _worth_repeating(error, repeatable=repeatable)),
            wait=_wait,
            stop=stop_before_delay(self.settings.retry_deadline),
            before_sleep=_log_retry,
        )
        return retrying(self._once, method, path, endpoint, redirect_expected, kwargs)

    def parse(self, model: type[Model], data: Any, *, endpoint: str, outcome_unknown: bool = False) -> Model:
        """Validate ``data`` as ``model``; a missing or wrong field is named in the error."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or model.__name__}: {item['msg']}"
                for item in error.errors()
            )
            raise VideoApiUnreadableAnswerError(
                f"the answer lacks what the vendor documents ({problems})",
                vendor=self.vendor,
                endpoint=endpoint,
                outcome_unknown=outcome_unknown,
            ) from None

    def url(self, path: str) -> str:
        """Return the full URL of ``path`` below the base URL; a full URL stays as it is."""
        return path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"

    def redact(self, text: str) -> str:
        """Remove secrets and the query of links from a text."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return _QUERY.sub("?***", text)

    def close(self) -> None:
        """Close the pooled connections."""
        self.session.close()

    # ------------------------------------------------------------------ one try

    def _once(
        self, method: str, path: str, endpoint: str, redirect_expected: bool, kwargs: dict[str, Any]
    ) -> requests.Response:
        url = self.url(path)
        settings = self.settings
        try:
            response = self.session.request(
                method,
                url,
                auth=self.auth if _origin(url) == self.origin else None,
                timeout=(settings.connect_timeout, settings.read_timeout),
                allow_redirects=False,
                proxies=_proxies(url, settings.proxy),
                verify=os.environ.get("REQUESTS_CA_BUNDLE") or True if settings.verify is True else settings.verify,
                **kwargs,
            )
        except requests.RequestException as error:
            raise self._unreachable(error, method, endpoint) from None
        if response.is_redirect and redirect_expected:
            return response
        if 200 <= response.status_code < 300:
            return response
        with response:
            raise self._refused(response, method, endpoint)

    def _unreachable(self, error: requests.RequestException, method: str, endpoint: str) -> VideoApiError:
        if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
            return VideoApiInvalidRequestError(self.redact(str(error)), vendor=self.vendor, endpoint=endpoint)
        never_sent = _never_sent(error)
        scheme, host, port = self.origin
        text = "could not connect to" if never_sent else "no answer from"
        return VideoApiUnavailableError(
            f"{text} {scheme}://{host}:{port} ({self.redact(_root_cause(error))})",
            vendor=self.vendor,
            endpoint=endpoint,
            outcome_unknown=not never_sent and method != "GET",
        )

    def _refused(self, response: requests.Response, method: str, endpoint: str) -> VideoApiError:
        status = response.status_code
        try:
            vendor_error = self.error_parser(response.json())
        except ValueError:
            text = re.sub(r"<[^>]*>", " ", response.text[:4096])
            vendor_error = VendorError(message=" ".join(text.split()) or response.reason or "no message")
        arguments: dict[str, Any] = {
            "vendor": self.vendor,
            "endpoint": endpoint,
            "status": status,
            "code": vendor_error.code,
            "retry_after": parse_retry_after(response.headers.get("Retry-After")),
        }
        message = self.redact(vendor_error.message)[:_LONGEST_MESSAGE]
        if status == HTTPStatus.UNAUTHORIZED or vendor_error.refused_credentials:
            return VideoApiAuthenticationError(message, **arguments)
        if status in (HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN):
            return VideoApiPermissionError(message, **arguments)
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return VideoApiNotFoundError(message, **arguments)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return VideoApiQuotaError(message, **arguments)
        if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
            refused = status == HTTPStatus.SERVICE_UNAVAILABLE and arguments["retry_after"] is not None
            return VideoApiUnavailableError(message, outcome_unknown=method != "GET" and not refused, **arguments)
        if 300 <= status < 400:
            return self._unreadable(response, endpoint, "an unexpected redirect, which is not followed")
        fields = {name: self.redact(text) for name, text in vendor_error.fields.items()}
        return VideoApiInvalidRequestError(message, fields=fields, **arguments)

    def _unreadable(
        self, response: requests.Response, endpoint: str, problem: str, *, outcome_unknown: bool = False
    ) -> VideoApiUnreadableAnswerError:
        media_type = response.headers.get("Content-Type", "no content type").split(";")[0]
        return VideoApiUnreadableAnswerError(
            f"{problem} ({media_type}, {len(response.content)} bytes)",
            vendor=self.vendor,
            endpoint=endpoint,
            status=response.status_code,
            outcome_unknown=outcome_unknown,
        )


_backoff = wait_random_exponential(multiplier=1, max=30)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, VideoApiError) else None
    # Jitter on top of what the vendor asked, so that many tasks do not come back in the same instant.
    return _backoff(state) if asked is None else asked + min(1.0, _backoff(state))


def _log_retry(state: RetryCallState) -> None:
    log.warning("%s; trying again in %.1f s", state.outcome and state.outcome.exception(), state.upcoming_sleep)


def _worth_repeating(error: BaseException, *, repeatable: bool) -> bool:
    if not isinstance(error, (VideoApiQuotaError, VideoApiUnavailableError)):
        return False
    return repeatable or not error.outcome_unknown


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (seconds or a date); None if absent or unreadable."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())


def _never_sent(error: BaseException) -> bool:
    """Tell whether the connection was never made, so that the vendor cannot have seen the request."""
    reason: Any = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(reason, (ProxyError, SSLError)) and reason.args:
        # Both can also strike an open connection: what lies beneath is the proof.
        reason = reason.args[-1]
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError, socket.gaierror, ssl.SSLCertVerificationError))


def _root_cause(error: BaseException) -> str:
    reason: Any = error.args[0] if error.args else error
    if isinstance(reason, MaxRetryError) and reason.reason is not None:
        reason = reason.reason
    return f"{type(error).__name__}: {str(reason).split(': ', 1)[-1]}"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return (parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme))


def _proxies(url: str, proxy: str | None) -> dict[str, str]:
    if proxy:
        return {"http": proxy, "https": proxy}
    return requests.utils.get_environ_proxies(url)


def _user_agent() -> str:
    from airflow import __version__ as airflow_version

    from airflow_video_providers import __version__

    return f"airflow-video-providers/{__version__} apache-airflow/{airflow_version}"
