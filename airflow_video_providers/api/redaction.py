# SPDX-License-Identifier: Apache-2.0
"""What is taken out of a text before a person or a log sees it: secrets, and the query of links."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

_QUERY = re.compile(r"\?[^\s\"'<>]+")


def cut_queries(text: str) -> str:
    """Take out the query of every link, whatever stands before it: it may be a signature."""
    return _QUERY.sub("?***", text)


def redact(text: str, secrets: Iterable[str], *, longest: int | None = None) -> str:
    """Take out secrets, as they are and percent-encoded, and the query of links; then cut the text to ``longest``."""
    for secret in secrets:
        text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return cut_queries(text)[:longest]
