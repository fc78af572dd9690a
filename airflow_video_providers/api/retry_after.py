# SPDX-License-Identifier: Apache-2.0
"""How long a vendor asks to wait: ``Retry-After``, the headers of a rate limit, or its fixed window of requests."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests import Response

_LONGEST_WAIT = 30 * 86400.0
_IN_MILLISECONDS = 1e11  # as seconds since 1970 the year 5138


def asked_wait(response: Response, *, rate_window: float | None = None) -> float | None:
    """
    Return the seconds that the vendor asks to wait; after a 429 also by the headers of a rate limit.

    :param rate_window: seconds of the fixed window in which the vendor counts requests: after a 429 without such a
        header, another window has surely begun then.
    """
    headers = response.headers
    asked = parse_retry_after(headers.get("Retry-After"))
    if asked is None and response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        for name in ("RateLimit-Reset", "X-RateLimit-Reset"):
            if (value := headers.get(name)) and (reset := _reset(value)) is not None:
                return reset
        return rate_window
    return asked


def _reset(value: str) -> float | None:
    """Read the end of a rate limit's window: seconds from now, or seconds or milliseconds since 1970."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    if seconds > _IN_MILLISECONDS:
        seconds /= 1000
    if seconds > _LONGEST_WAIT:
        seconds -= datetime.now(timezone.utc).timestamp()
    return min(max(0.0, seconds), _LONGEST_WAIT) if math.isfinite(seconds) else None


def parse_retry_after(value: str | None) -> float | None:
    """
    Return the seconds, 30 days at most, that a Retry-After asks for (a number or a date); None if unreadable.

    Of a header that was sent several times, the longest wait.
    """
    if not value:
        return None
    try:
        seconds = max(float(part) for part in value.split(","))
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (TypeError, ValueError, OverflowError):
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
        seconds = (when - datetime.now(timezone.utc)).total_seconds()
    if not math.isfinite(seconds):
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT)
