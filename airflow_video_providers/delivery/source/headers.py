# SPDX-License-Identifier: Apache-2.0
"""The headers of a response that a download depends on, read as RFC 9110 allows them to be written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Numbers of at most 19 digits: no file is longer, and int() refuses thousands of them.
_RANGE = re.compile(r"\s*bytes\s+([0-9]{1,19})\s*-\s*([0-9]{1,19})\s*/\s*([0-9]{1,19}|\*)\s*", re.IGNORECASE)
_UNSATISFIED = re.compile(r"\s*bytes\s+\*\s*/\s*([0-9]{1,19})\s*", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,19}")
# What object stores keep of an upload, or of a character set, and hand out as if it were a coding of the body.
_NO_CODINGS = frozenset({"", "identity", "none", "binary", "utf-8", "utf8", "aws-chunked"})


@dataclass(frozen=True)
class ContentRange:
    """The bytes from ``first`` up to ``end``, not included, of ``size`` in all (None: the server does not say)."""

    first: int
    end: int
    size: int | None


def content_range(headers: Mapping[str, str]) -> ContentRange | None:
    """Return the range that a 206 response holds; None where the header is missing or holds no such range."""
    match = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None:
        return None
    found = ContentRange(int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3]))
    return found if found.first < found.end <= (found.end if found.size is None else found.size) else None


def unsatisfied_size(headers: Mapping[str, str]) -> int | None:
    """Return the length of the file as a 416 response says it, or None."""
    match = _UNSATISFIED.fullmatch(headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def content_length(headers: Mapping[str, str]) -> int | None:
    """Return the length of the body; the same length said twice is one length (RFC 9110, 8.6)."""
    said = {part.strip() for part in headers.get("Content-Length", "").split(",")}
    text = said.pop() if len(said) == 1 else ""
    return int(text) if _LENGTH.fullmatch(text) else None


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Tell whether the body comes in chunks, whose last one marks its end."""
    return "chunked" in headers.get("Transfer-Encoding", "").lower()


def content_codings(headers: Mapping[str, str]) -> list[str]:
    """Return the codings of the body in lower case, without those that are none."""
    names = (part.strip().lower() for part in headers.get("Content-Encoding", "").split(","))
    return [name for name in names if name not in _NO_CODINGS]


@dataclass(frozen=True)
class Validator:
    """
    What tells one version of a file from another: its ETag, else its time of change; without both nothing does.

    A weak ETag does not: two versions that share one mean the same, but need not be the same bytes (RFC 9110, 8.8.1).
    """

    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Validator:
        """Take what the headers of a response tell."""
        etag = headers.get("ETag", "").strip()
        weak = etag[:2] in ("W/", "w/")
        return cls(None if weak or not etag else etag, headers.get("Last-Modified", "").strip() or None)

    @property
    def if_range(self) -> str | None:
        """The value of an If-Range header."""
        return self.etag or self.modified

    def same(self, other: Validator) -> bool | None:
        """Tell whether it is the same version; None where that cannot be known."""
        if self.etag and other.etag:
            return self.etag == other.etag
        return self.modified == other.modified if self.modified and other.modified else None


NO_VERSION = Validator(None, None)
