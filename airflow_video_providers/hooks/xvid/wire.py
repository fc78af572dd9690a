# SPDX-License-Identifier: Apache-2.0
"""How Xvid writes: values in a query, links in an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def encoded(params: Mapping[str, Any]) -> dict[str, str]:
    """Return a query as Xvid reads it; values of None are left out."""
    return {name: text_of(value) for name, value in params.items() if value is not None}


def text_of(value: Any) -> str:
    """Return one value as text: lists with commas, truths in small letters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(item) for item in value)
    return str(value)


def links_in(value: Any, *, api: str) -> list[str]:
    """Return every link in a decoded answer, but for those that point back into the API: they want a token."""
    if isinstance(value, str):
        is_link = value.startswith(("https://", "http://")) and not value.startswith(f"{api}/")
        return [value] if is_link else []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [link for item in value for link in links_in(item, api=api)]
    return []
