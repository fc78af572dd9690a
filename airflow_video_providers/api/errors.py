# SPDX-License-Identifier: Apache-2.0
"""Read a vendor's error response: its message and its cause as a class of ours."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin, urlsplit

from airflow_video_providers.api.content import text_of
from airflow_video_providers.api.retry_after import asked_wait
from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiRedirectError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
)

if TYPE_CHECKING:
    from requests import Response

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 500
_LONGEST_CODE = 100
_LONGEST_FIELD = 200
_MOST_FIELDS = 10
_TEXT_READ = 16384

# Also of a POST: proxies and servers send them for http instead of https, another host or a missing slash.
_REDIRECTS = (
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
)

_CAUSES: Mapping[int, type[VideoApiError]] = {
    HTTPStatus.UNAUTHORIZED: VideoApiAuthenticationError,
    HTTPStatus.PAYMENT_REQUIRED: VideoApiPermissionError,
    HTTPStatus.FORBIDDEN: VideoApiPermissionError,
    HTTPStatus.NOT_FOUND: VideoApiNotFoundError,
    HTTPStatus.GONE: VideoApiNotFoundError,
    HTTPStatus.REQUEST_TIMEOUT: VideoApiUnavailableError,
    HTTPStatus.TOO_MANY_REQUESTS: VideoApiQuotaError,
}
"""What a status means where the vendor's code says nothing else; 5xx: unavailable, other 4xx: an invalid request."""


class Redact(Protocol):
    """Takes secrets out of a text and cuts it to a length."""

    def __call__(self, text: str, *, longest: int | None = None) -> str:
        """Return the text to show."""


@dataclass(frozen=True)
class VendorError:
    """
    What a vendor says in an error response; an ``error_parser`` returns it.

    :param message: the vendor's message. :param code: its error code. :param fields: its messages by field.
    :param cause: what the code or the body says that went wrong, whatever the status says: ``VideoApiQuotaError`` for a
        400 that means too many renders, ``VideoApiAuthenticationError`` for a 403 that means a wrong key; None: the
        status decides.
    :param outcome_unknown: with ``cause``: the call may have had its effect, or may yet have it, such as a 409 "in
        progress" to a request with an idempotency key (cause ``VideoApiUnavailableError``).
    :param hint: what the user can do about it, in place of the text that the cause has of its own.
    """

    message: str
    code: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    cause: type[VideoApiError] | None = None
    outcome_unknown: bool = False
    hint: str | None = None


def has_effect(method: str) -> bool:
    """Tell whether a call of this method may change something at the vendor."""
    return method not in ("GET", "HEAD")


def parse_error(body: Any) -> VendorError:
    """Read the error forms in common use: ``message``, ``error`` (text or object), ``detail`` (text or list)."""
    if not isinstance(body, dict):
        return VendorError(message=str(body))
    detail = body.get("detail")
    if isinstance(detail, list):
        return VendorError(message="the request was refused", fields=_by_field(detail))
    error = body.get("error")
    if isinstance(error, dict):
        message = error.get("error_message") or error.get("message") or json.dumps(error)
        code = error.get("error_code") or error.get("code")
        return VendorError(message=str(message), code=None if code is None else str(code))
    code = body.get("code") or body.get("error_code")
    message = body.get("message") or error or detail or body.get("error_description") or json.dumps(body)
    return VendorError(message=str(message), code=None if code is None else str(code))


def _by_field(detail: list[Any]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for item in detail:
        place, text = (item.get("loc"), item.get("msg", item)) if isinstance(item, dict) else (None, item)
        parts = place if isinstance(place, (list, tuple)) else [] if place is None else [place]
        name = ".".join(str(part) for part in parts if part != "body") or "body"
        fields[name] = f"{fields[name]}; {text}" if name in fields else str(text)
    return fields


def refusal(
    response: Response,
    *,
    vendor: str,
    endpoint: str,
    decode: Callable[[bytes], Any],
    parser: Callable[[Any], VendorError],
    redact: Redact,
    causes: Mapping[int, type[VideoApiError]] | None = None,
    rate_window: float | None = None,
) -> VideoApiError:
    """
    Return the error for a response other than 2xx, secrets removed.

    :param decode: reads the body; raises ValueError for one in another form, which is then shown as text.
    :param parser: reads message and code from what ``decode`` returned.
    :param causes: what a status means for this vendor, where that is not the usual.
    :param rate_window: seconds of the vendor's fixed window of requests: the wait after a 429 that asks for none.
    """
    status = response.status_code
    effect = has_effect(response.request.method or "")
    said = _read(response, decode, parser)
    arguments: dict[str, Any] = {
        "vendor": vendor,
        "endpoint": endpoint,
        "status": status,
        "code": None if said.code is None else redact(said.code, longest=_LONGEST_CODE),
        "retry_after": asked_wait(response, rate_window=rate_window),
        "hint": said.hint,
    }
    message = redact(said.message, longest=LONGEST_MESSAGE)
    cause = said.cause or (causes or {}).get(status) or _CAUSES.get(status)
    if cause is None and status >= 500:
        cause = VideoApiUnavailableError
    if cause is VideoApiInvalidRequestError:
        return VideoApiInvalidRequestError(message, fields=_shown(said.fields, redact), **arguments)
    if cause is not None:
        unknown = said.outcome_unknown
        if said.cause is None and cause is VideoApiUnavailableError:
            refused = status == HTTPStatus.SERVICE_UNAVAILABLE and arguments["retry_after"] is not None
            unknown = effect and not refused
        return cause(message, outcome_unknown=unknown, **arguments)
    if status in _REDIRECTS or (status == HTTPStatus.SEE_OTHER and not effect):
        target = _target(response)
        return VideoApiRedirectError(f"redirected to {redact(target, longest=LONGEST_MESSAGE)}", **arguments)
    if status < 400:
        # 303 says "it is made, look there"; the others say no more about what became of the request.
        return unreadable(
            response,
            "a status that the vendor does not document",
            vendor=vendor,
            endpoint=endpoint,
            redact=redact,
            outcome_unknown=effect,
        )
    return VideoApiInvalidRequestError(message, fields=_shown(said.fields, redact), **arguments)


def _shown(fields: Mapping[str, str], redact: Redact) -> dict[str, str]:
    return {
        redact(name, longest=_LONGEST_CODE): redact(text, longest=_LONGEST_FIELD)
        for name, text in list(fields.items())[:_MOST_FIELDS]
    }


def _target(response: Response) -> str:
    """Return scheme and host of the Location; its path and query may be anybody's secret."""
    try:
        parts = urlsplit(urljoin(response.url, response.headers.get("Location") or "//"))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "a place that is not named"
    except ValueError:
        return "a malformed location"


def unreadable(
    response: Response, problem: str, *, vendor: str, endpoint: str, redact: Redact, outcome_unknown: bool
) -> VideoApiUnreadableAnswerError:
    """Return the error for a response that is not what the vendor documents; its content is not shown."""
    media_type = response.headers.get("Content-Type", "no content type").split(";")[0]
    return VideoApiUnreadableAnswerError(
        f"{problem} ({redact(media_type, longest=_LONGEST_CODE)}, {len(response.content)} bytes)",
        vendor=vendor,
        endpoint=endpoint,
        status=response.status_code,
        outcome_unknown=outcome_unknown,
    )


def _read(response: Response, decode: Callable[[bytes], Any], parser: Callable[[Any], VendorError]) -> VendorError:
    try:
        return parser(decode(response.content))
    except ValueError:
        pass  # not in the vendor's form: a page of some proxy
    except Exception as error:
        # Whatever is odd about the body, the status is known and must not be lost.
        log.warning("the error response could not be read (%s); its text is shown", type(error).__name__)
    text = " ".join(re.sub(r"<[^<>]*>", " ", text_of(response.content)[:_TEXT_READ]).split())
    return VendorError(message=text or response.reason or "no message")
