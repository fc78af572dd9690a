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

from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, TypeVar, cast, overload
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from requests.auth import AuthBase
from tenacity import Retrying, retry_if_exception, stop_before_delay
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
    parse_retry_after,
    refusal,
    unreadable,
)
from airflow_video_providers.api.guard import SendGuard
from airflow_video_providers.api.links import LinkPolicy
from airflow_video_providers.api.pacing import Pacer
from airflow_video_providers.api.paths import endpoint_text, fill_path, query_of
from airflow_video_providers.api.retries import (
    is_worth_repeating,
    log_retry,
    pause_before_retry,
    root_cause,
    was_never_sent,
)
from airflow_video_providers.api.session import prepare_session
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoProviderError,
)
from airflow_video_providers.text.redaction import clean_document, redact

__all__ = ["ClientSettings", "VendorError", "VideoApiClient", "parse_error", "parse_retry_after"]

T = TypeVar("T")

_SHORTEST_SECRET = 3
_HOSTS = 4
_CALL_OPTIONS = frozenset({"json", "data", "files", "headers", "repeatable", "once"})
_CONNECTIONS = 128  # an upper bound, above any number of threads that share a hook

# What sending raises of an address that cannot be used: nothing was sent. InvalidHeader is not among them: it speaks of
# the answer's headers, since the request's own are checked before.
_NO_ADDRESS = (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, LocationValueError)


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
    :param decoder: turns the content of a response into what the models take; raises ``ContentError``.
    :param error_decoder: turns an error answer into what ``error_parser`` takes; on ValueError it is shown as text.
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
        self.origin = _origin(base_url)
        self.auth = auth
        self.settings = settings or ClientSettings()
        # A very short one is no secret, and its letters are in every message.
        self.secrets = [secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET]
        self.error_parser = error_parser
        self.causes: dict[int, type[VideoApiError]] = {}
        """What a status means for this vendor, where that is not the usual: Synthesia's 403 is a wrong key."""
        self.decoder = decoder
        self.error_decoder = error_decoder
        self.headers = dict(headers or {})
        self.pacer: Pacer | None = None
        self.links = LinkPolicy(base_url, allow_private=self.settings.allow_private_links)
        self.session = _Session()
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": _user_agent()}
        self.session.headers.update(headers)
        self.adapter = prepare_session(
            self.session, hosts=_HOSTS, connections=_CONNECTIONS, whole=True, links=self.links
        )

    # ------------------------------------------------------------------ calls

    @overload
    def fetch(self, model: type[T], method: str, path: str, /, **options: Any) -> T: ...

    @overload
    def fetch(self, model: None, method: str, path: str, /, **options: Any) -> None: ...

    def fetch(
        self,
        model: type[T] | None,
        method: str,
        path: str,
        /,
        *,
        envelope: str | None = None,
        params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> T | None:
        """
        Send one call and return its response, validated as ``model``.

        :param model: a pydantic model, or any type that pydantic knows, e.g. ``list[Voice]`` or ``dict[str, Any]``;
            None: the response's content is not read, and None is returned.
        :param path: below the base URL, or a full URL; ``{name}`` is filled by the keyword of that name, as one segment
            of the path (``{name:path}``: with its slashes). With the method it names the call in messages.
        :param envelope: the field of the response that holds what ``model`` describes, e.g. ``data``.
        :param params: the query; a parameter that is None is left out.
        :param kwargs: the ids of the path, and what :meth:`call` takes: ``json data files headers repeatable once``.
        :raises VideoApiError: the subclass is the cause; ``outcome_unknown``: the call may have had its effect.
        """
        options = {name: kwargs.pop(name) for name in _CALL_OPTIONS & kwargs.keys()}
        endpoint = endpoint_text(method, path)
        path = fill_path(path, kwargs)
        if model is None:
            self.call(method, path, endpoint=endpoint, params=query_of(params), **options)
            return None
        data = self.call_json(method, path, endpoint=endpoint, params=query_of(params), **options)
        if data is None and (envelope or _takes_fields(model)):
            data = {}  # so that the error names the field that is missing, if one is needed at all
        unknown = has_effect(method)
        if envelope:
            data = self.parse(dict[str, Any], data, endpoint=endpoint, outcome_unknown=unknown)
            if envelope not in data:
                raise VideoApiUnreadableAnswerError(
                    f"the answer lacks what the vendor documents ({envelope}: Field required)",
                    vendor=self.vendor,
                    endpoint=endpoint,
                    outcome_unknown=unknown,
                )
            data = data[envelope]
        return self.parse(model, data, endpoint=endpoint, outcome_unknown=unknown)

    def get_json(self, path: str, *, endpoint: str, params: Mapping[str, Any] | None = None) -> Any:
        """GET ``path`` and return the decoded JSON."""
        return self.call_json("GET", path, endpoint=endpoint, params=params)

    def call_json(self, method: str, path: str, *, endpoint: str, with_secrets: bool = False, **kwargs: Any) -> Any:
        """
        Send one call and return the decoded JSON, cleaned; None for a response without content.

        :param with_secrets: the response may repeat a secret that is needed, such as a token: none is taken out.
        """
        response = self.call(method, path, endpoint=endpoint, **kwargs)
        if response.status_code == HTTPStatus.NO_CONTENT or not response.content:
            return None
        try:
            return clean_document(self.decoder(response.content), () if with_secrets else self.secrets)
        except ValueError as error:
            raise self._unreadable(response, error, method, endpoint) from None

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
        :param kwargs: ``params json data files headers`` as in ``requests``.
        :raises VideoApiError: the subclass is the cause; ``outcome_unknown``: the call may have had its effect.
        """
        if repeatable is None:
            repeatable = method in ("GET", "HEAD")
        if once:
            return self._send(method, path, endpoint, redirect_expected, kwargs)
        retrying = Retrying(
            reraise=True,
            retry=retry_if_exception(lambda error: is_worth_repeating(error, repeatable=repeatable)),
            wait=pause_before_retry,
            stop=stop_before_delay(self.settings.retry_deadline),
            before_sleep=log_retry,
        )
        return retrying(self._send, method, path, endpoint, redirect_expected, kwargs)

    def parse(self, model: type[T], data: Any, *, endpoint: str, outcome_unknown: bool = False) -> T:
        """
        Validate ``data`` as ``model``, a pydantic model or any type that pydantic knows.

        :raises VideoApiUnreadableAnswerError: a field is missing or wrong; it is named.
        """
        try:
            return cast(T, _adapter(cast(Hashable, model)).validate_python(data))
        except ValidationError as error:
            name = getattr(model, "__name__", str(model))
            problems = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or name}: {item['msg']}" for item in error.errors()
            )
            raise VideoApiUnreadableAnswerError(
                f"the answer lacks what the vendor documents ({self.redact(problems, longest=LONGEST_MESSAGE)})",
                vendor=self.vendor,
                endpoint=endpoint,
                outcome_unknown=outcome_unknown,
            ) from None

    def url(self, path: str) -> str:
        """Return the full URL of ``path`` below the base URL; a full URL stays as it is."""
        return path if path.startswith(("http://", "https://")) else f"{self.base_url}/{path.lstrip('/')}"

    def redact(self, text: str, *, longest: int | None = None) -> str:
        """Remove secrets and the query of links from a text, and cut it to ``longest`` characters."""
        return redact(text, self.secrets, longest=longest)

    def close(self) -> None:
        """Close the pooled connections."""
        self.session.close()

    def guarded(self, guard: SendGuard) -> AbstractContextManager[None]:
        """Have ``guard`` told of each send of this thread that may have an effect, until the ``with`` block ends."""
        return self.adapter.guarded_by(guard)

    # ------------------------------------------------------------------ one try

    def _send(self, method: str, *args: Any) -> requests.Response:
        try:
            return self._once(method, *args)
        except VideoApiError as error:
            if has_effect(method) and (guard := self.adapter.guard) is not None:
                guard.after_failure(error)
            raise

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
        if self.pacer is not None and _origin(url) == self.origin:
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
                raise self._unreadable(response, error, method, endpoint) from None
        except (HTTPError, HTTPException, OSError) as error:
            response.close()
            response._content = b""
            if good:
                raise self._unreachable(error, method, endpoint) from None
        else:
            response._content = content

    def _unreadable(
        self, response: requests.Response, error: ValueError, method: str, endpoint: str
    ) -> VideoApiUnreadableAnswerError:
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
        at_home = _origin(url) == self.origin
        headers = {**(self.headers if at_home else {}), **(headers or {})}
        auth = self.auth if at_home else None
        request = self.session.prepare_request(requests.Request(method, url, headers=headers, auth=auth, **kwargs))
        for value in request.headers.values():
            # http.client finds this too, but names the value in its error.
            raw = value if isinstance(value, bytes) else value.encode("latin-1")
            if any(byte in raw for byte in b"\r\n\0"):
                raise requests.exceptions.InvalidHeader("control characters in a header")
        return request

    def _unwritable(self, error: Exception, endpoint: str) -> VideoApiError:
        # The text of the error is left out: it can name the value of a header.
        return VideoApiInvalidRequestError(
            f"nothing was sent: the request cannot be written as HTTP ({type(error).__name__}); check the host, the "
            "proxy, the CA bundle and the key of the connection, and the values of the request",
            vendor=self.vendor,
            endpoint=endpoint,
        )

    def _unclear(self, error: Exception, method: str, endpoint: str) -> VideoApiError:
        """Say that the exchange broke at a point that cannot be told: a call may have had its effect."""
        return VideoApiUnreadableAnswerError(
            f"the answer cannot be read as HTTP ({type(error).__name__})",
            vendor=self.vendor,
            endpoint=endpoint,
            outcome_unknown=has_effect(method),
        )

    def _unreachable(self, error: Exception, method: str, endpoint: str) -> VideoApiError:
        never_sent = was_never_sent(error)
        scheme, host, port = self.origin
        text = "could not connect to" if never_sent else "no answer from"
        return VideoApiUnavailableError(
            f"{text} {scheme}://{host}:{port} ({self.redact(root_cause(error), longest=LONGEST_MESSAGE)})",
            vendor=self.vendor,
            endpoint=endpoint,
            outcome_unknown=not never_sent and has_effect(method),
        )


class _Session(requests.Session):
    """A session that never looks where a redirect leads: an odd target must not turn an answer into an error."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


def check_base_url(url: str, vendor: str) -> None:
    """
    Refuse what is no full base URL, without showing credentials in it.

    :raises VideoConfigurationError: scheme, host or port are missing or wrong, or it holds credentials.
    """
    shown = f"***@{url.rpartition('@')[2]}" if "@" in url else url
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise VideoConfigurationError(
            f"{vendor}: the host of the connection must be a full base URL such as https://api.example.com/v1, "
            f"not {shown!r}"
        )
    if parts.username is not None or parts.password is not None:
        raise VideoConfigurationError(
            f"{vendor}: the host of the connection must not hold a user name or a password ({shown!r}); they have "
            "fields of their own"
        )


@lru_cache(maxsize=256)
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _takes_fields(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel) and not issubclass(model, RootModel)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return (parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme))


def _user_agent() -> str:
    from airflow import __version__ as airflow_version

    from airflow_video_providers import __version__

    return f"airflow-video-providers/{__version__} apache-airflow/{airflow_version}"
