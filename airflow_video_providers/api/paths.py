# SPDX-License-Identifier: Apache-2.0
"""Paths and queries of a call, written so that no id can lead to another endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_video_providers.exceptions import VideoConfigurationError

_PLACEHOLDER = re.compile(r"\{(\w+)(:path)?\}")


def id_in_path(value: str | None) -> str:
    """
    Return an id as one segment of a path, percent-encoded.

    :raises VideoConfigurationError: there is no id, or it would name another path, such as ``..``.
    """
    try:
        segment = "" if value is None else quote(str(value), safe="")
    except UnicodeEncodeError:  # a lone surrogate
        segment = ""
    if segment in ("", ".", "..", "None"):  # "None": a template wrote it
        raise VideoConfigurationError(f"{value!r} is not an id; was it templated from an XCom that is not there?")
    return segment


def fill_path(pattern: str, ids: Mapping[str, Any]) -> str:
    """
    Return a path pattern with its ids filled in, each percent-encoded.

    :param pattern: e.g. ``/jobs/{id}``; ``{model:path}`` takes an id of several segments and keeps its slashes.
    :raises VideoConfigurationError: an id is missing, or would name another path.
    :raises TypeError: the names of the ids are not those of the pattern.
    """
    if {match[1] for match in _PLACEHOLDER.finditer(pattern)} != ids.keys():
        raise TypeError(f"the path {pattern!r} does not take {', '.join(ids) or 'no ids'}")

    def fill(match: re.Match[str]) -> str:
        value = ids[match[1]]
        if match[2] and isinstance(value, str):
            return "/".join(id_in_path(segment) for segment in value.split("/"))
        return id_in_path(value)

    return _PLACEHOLDER.sub(fill, pattern)


def endpoint_text(method: str, pattern: str) -> str:
    """Return how messages name a call, e.g. ``GET /jobs/{id}``."""
    return f"{method} {pattern.replace(':path}', '}')}"


def query_of(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a query without the parameters that are None; true and false are written in small letters."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in (params or {}).items()
        if value is not None
    }


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """
    Return scheme, host and port of a URL.

    :raises ValueError: it is malformed.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
