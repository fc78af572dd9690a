# SPDX-License-Identifier: Apache-2.0
"""Where a redirect leads, byte for byte: the signature of a link may cover its very text."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

BLANKS = "".join(map(chr, range(33)))
"""What may stand around a URL and is none of it."""

_REFERENCE = re.compile(r"(?:([a-z][a-z0-9+.-]*):)?(//[^/?#\\]*)?([^?#]*)(\?[^#]*)?", re.IGNORECASE | re.DOTALL)


def redirect_target(url: str, location: str) -> str:
    """
    Return the URL that a redirect of ``url`` leads to (RFC 3986, 5.2), without its fragment.

    Double slashes, an empty query and all escapes stay as they are, unlike with ``urllib.parse.urljoin``. Dot segments
    are resolved only where the path does not begin with a slash.

    :param location: the header, each byte of it as one character, as http.client gives it.
    :raises ValueError: it is malformed.
    """
    text = location.encode("latin-1").decode("utf-8", "surrogateescape").strip(BLANKS).partition("#")[0]
    target = _resolve(url, text)
    urlsplit(target)
    return target


def _resolve(url: str, reference: str) -> str:
    scheme, authority, path, query = _split(reference)
    if scheme:
        return reference
    base_scheme, base_authority, base_path, base_query = _split(url)
    if authority:
        return f"{base_scheme}:{reference}"
    if not path:
        path, query = base_path, query or base_query
    elif not path.startswith("/"):
        path = _without_dots(base_path[: base_path.rfind("/") + 1] + path)
    return f"{base_scheme}:{base_authority}{path}{query}"


def _split(url: str) -> tuple[str, ...]:
    match = _REFERENCE.match(url)
    assert match is not None  # it matches any text
    return match.groups(default="")


def _without_dots(path: str) -> str:
    """Return an absolute path without the segments ``.`` and ``..``; empty segments are segments like any other."""
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
