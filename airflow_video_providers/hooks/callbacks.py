# SPDX-License-Identifier: Apache-2.0
"""
What proves that a callback is genuine: tokens of our own, vendors' signatures, and how headers and body are read.

A vendor that signs overrides :meth:`VideoHook.verify_callback` with the parts below. One that does not is given an
address with a token that nobody can guess: HMAC-SHA256 of the connection and the submission key under the connection's
extra ``callback_secret``. Whatever is refused is refused by a :class:`VideoCallbackRefusedError` whose text repeats
nothing of the callback.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoCallbackRefusedError,
    VideoConfigurationError,
)
from airflow_video_providers.jobs import LONGEST_ID, CallbackHint
from airflow_video_providers.text.redaction import is_clean

KEY_HEADER = "X-Video-Callback-Key"
"""Where a server hands in the parameter ``key`` of the address that was called."""
TOKEN_HEADER = "X-Video-Callback-Token"
"""Where a server hands in the parameter ``token`` of the address that was called."""
KEY_PARAMETER = "airflow_submission_key"
"""The parameter of a callback address of the user's own that carries the submission key."""
LONGEST_CALLBACK = 1024 * 1024
"""Bytes of the longest body that is read."""
CLOCK_WINDOW = 300.0
"""How far the time that a callback is signed with may lie from now, in seconds, in the past and in the future."""

_LONGEST_HEADER = 4096
_MILLISECOND_DIGITS = 13
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_MOST_CANDIDATES = 4
_DOMAIN = "airflow-video-callback"  # so that no signature of a vendor under the same secret is one of our tokens


# ---------------------------------------------------------------- reading


def read_header(headers: Mapping[str, str], name: str) -> str | None:
    """
    Return a header, whatever the case of its name, without white space around it; None: it is not there.

    :raises VideoCallbackRefusedError: it is there with two different values, or too long.
    """
    wanted = name.lower()
    values = {str(value).strip() for found, value in headers.items() if str(found).lower() == wanted}
    if len(values) > 1 or any(len(value) > _LONGEST_HEADER for value in values):
        raise VideoCallbackRefusedError(f"The header {name} must be there once and short.", status=400)
    return values.pop() if values else None


def check_size(body: bytes) -> None:
    """
    Refuse a body that is longer than :data:`LONGEST_CALLBACK`.

    :raises VideoCallbackRefusedError: with status 413.
    """
    if len(body) > LONGEST_CALLBACK:
        raise VideoCallbackRefusedError(f"The body is longer than {LONGEST_CALLBACK} bytes.", status=413)


def read_document(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """
    Return the JSON object that a callback brings.

    :raises VideoCallbackRefusedError: 413: too long; 415: the content type is not JSON; 400: no JSON object in UTF-8.
    """
    check_size(body)
    kind = (read_header(headers, "Content-Type") or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise VideoCallbackRefusedError("The content type must be application/json.", status=415)
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise VideoCallbackRefusedError("The body must be a JSON object in UTF-8.", status=400)
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError("not a number of JSON")


def part_of(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object under a name; an empty one where there is none."""
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def make_hint(*, job_id: Any = None, key: Any = None, links: Iterable[Any] = ()) -> CallbackHint:
    """
    Return what a verified callback names; an id that cannot be one is None, as it names no job of ours.

    :param links: of a callback that names no job: the UUIDs of their paths, the first four, are candidates.
    """
    paths = (link.partition("?")[0].partition("#")[0] for link in links if isinstance(link, str))
    found = dict.fromkeys(uuid for path in paths for uuid in _UUID.findall(path))
    return CallbackHint(job_id=_id(job_id), key=_id(key), candidates=tuple(found)[:_MOST_CANDIDATES])


def _id(value: Any) -> str | None:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return None
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        return None
    return text if text.strip() and len(text) <= LONGEST_ID and is_clean(text) else None


# ---------------------------------------------------------------- tokens of our own


def make_token(secret: str, *, conn_id: str, key: str | None, context: str = "") -> str:
    """
    Return the token of an address: HMAC-SHA256 in hex; with a context, a dot and the context after it.

    :param secret: the connection's ``callback_secret``.
    :param key: the submission key; None: of the address that an account has for all its jobs.
    :param context: what the hook wants to know of a job when its callback comes; bound into the token, not secret.
    """
    digest = _digest(secret, conn_id=conn_id, key=key, context=context)
    return f"{digest}.{base64.urlsafe_b64encode(context.encode()).decode().rstrip('=')}" if context else digest


def check_token(secret: str, token: str | None, *, conn_id: str, key: str | None) -> str:
    """
    Check a token that came with a callback, and return its context.

    :param key: the submission key that came with it; None: none did, as at the address of an account.
    :raises VideoCallbackRefusedError: it is missing, or of another connection, key or secret: 401.
    """
    digest, _, encoded = (token or "").partition(".")
    context = _decoded(encoded)
    if context is None or not is_same(digest, [_digest(secret, conn_id=conn_id, key=key, context=context)]):
        raise forged()
    return context


def check_address_token(secret: str, headers: Mapping[str, str], *, conn_id: str) -> tuple[str | None, str]:
    """
    Check the token of the address that was called; return the submission key (None: an account's) and the context.

    :raises VideoCallbackRefusedError: it is missing, or of another connection, key or secret: 401.
    """
    key = read_header(headers, KEY_HEADER) or None
    return key, check_token(secret, read_header(headers, TOKEN_HEADER), conn_id=conn_id, key=key)


def _digest(secret: str, *, conn_id: str, key: str | None, context: str) -> str:
    text = json.dumps([_DOMAIN, conn_id, key, context])
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _decoded(encoded: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (ValueError, UnicodeError):
        return None


def make_address(base_url: str, *, conn_id: str, key: str | None = None, token: str | None = None) -> str:
    """
    Return the address that a vendor posts to: ``{base_url}/video-callbacks/{conn_id}``, with ``key`` and ``token``.

    :raises VideoConfigurationError: the base URL is no full http or https address, or has a query.
    """
    base = base_url.strip().rstrip("/")
    scheme, _, rest = base.partition("://")
    if scheme.lower() not in ("http", "https") or not rest or any(mark in rest for mark in "?#@ "):
        raise VideoConfigurationError(
            "The base URL of callbacks must be the public address of Airflow's API server, such as "
            "https://airflow.example.com, without user, query or fragment. Set the connection's extra "
            "'callback_base_url'."
        )
    return with_token(f"{base}/video-callbacks/{quote(conn_id, safe='')}", key=key, token=token)


def with_token(url: str, *, key: str | None, token: str | None) -> str:
    """Return an address with this key and token for its whole query; None: without that one."""
    query = urlencode({name: value for name, value in (("key", key), ("token", token)) if value is not None})
    return f"{url.partition('?')[0]}{'?' if query else ''}{query}"


def fill_field(request: Mapping[str, Any], field: str, value: str, *, vendor: str) -> dict[str, Any]:
    """
    Return a new request whose field holds the address of the callback.

    :raises VideoConfigurationError: the request fills the field already.
    """
    if request.get(field) not in (None, ""):
        raise VideoConfigurationError(
            f"The request fills {field!r}, which must carry the address of Airflow: leave it out, or switch the "
            f"callback of this {vendor} job off. Nothing was sent."
        )
    return {**request, field: value}


# ---------------------------------------------------------------- signatures


def with_key(address: Any, key: str | None, *, field: str) -> str:
    """
    Return a callback address of the user's with the submission key in its query, as ``airflow_submission_key``.

    :param field: of the request that holds the address.
    :raises VideoConfigurationError: it is no text. :raises SubmissionKeyConflictError: it holds another key already.
    """
    if not isinstance(address, str):
        raise VideoConfigurationError(f"{field!r} must be an address, not {type(address).__name__}.")
    if key is None:
        return address
    try:
        address.encode()
        parts = urlsplit(address)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise VideoConfigurationError(f"{field!r} is no address. Nothing was sent.") from None
    if dict(query).get(KEY_PARAMETER, key) != key:
        raise SubmissionKeyConflictError(f"The query of {field!r} already holds {KEY_PARAMETER}; leave that name free.")
    query = [(name, value) for name, value in query if name != KEY_PARAMETER]
    return urlunsplit(parts._replace(query=urlencode([*query, (KEY_PARAMETER, key)])))


def sign(secret: str, message: bytes) -> str:
    """Return HMAC-SHA256 of a message in hex."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def check_signature(secret: str, message: bytes, given: str | None) -> None:
    """
    Check that a vendor has signed a message: HMAC-SHA256 under the shared secret, in hex.

    :raises VideoCallbackRefusedError: the signature is missing or wrong: 401.
    """
    if given is None or not is_same(given.lower(), [sign(secret, message)]):
        raise forged()


def is_same(given: str, expected: Iterable[str]) -> bool:
    """Tell whether a text is one of those expected, in a time that tells nothing about how much of it is right."""
    right = False
    for text in expected:
        right |= hmac.compare_digest(given.encode(errors="replace"), text.encode(errors="replace"))
    return right


def check_time(value: str | None, *, window: float = CLOCK_WINDOW) -> str:
    """
    Return the time that a callback was signed at, as it was written: seconds or milliseconds since 1970.

    :raises VideoCallbackRefusedError: it is missing, no number, or more than ``window`` seconds from now: 401.
    """
    digits = value or ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MILLISECOND_DIGITS):
        raise VideoCallbackRefusedError("The time of the signature is missing or no number of seconds.", status=401)
    at = int(digits) / 1000 if len(digits) == _MILLISECOND_DIGITS else int(digits)
    if abs(time.time() - at) > window:
        raise VideoCallbackRefusedError(
            f"The signature is more than {window:.0f} seconds old, or from the future.", status=401
        )
    return digits


def forged() -> VideoCallbackRefusedError:
    """Return the error for a callback that proves nothing: no token or signature, or a wrong one."""
    return VideoCallbackRefusedError("The signature or token is missing or wrong.", status=401)
