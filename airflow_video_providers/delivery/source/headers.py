# SPDX-License-Identifier: Apache-2.0
"""The headers of a response that a download depends on, read as RFC 9110 allows them to be written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_video_providers.api.content import content_codings

# Numbers of at most 19 digits: no file is longer, and int() refuses thousands of them.
# Hosts write the unit as `bytes 0-4/5`, which is right, and as `bytes=0-4/5` or `bytes: 0-4/5`, which is not.
_RANGE = re.compile(
    r"\s*bytes(?:\s+|\s*[=:]\s*)([0-9]{1,19})\s*-\s*([0-9]{1,19})\s*/\s*([0-9]{1,19}|\*)\s*", re.IGNORECASE
)
_UNSATISFIED = re.compile(r"\s*bytes\s+\*\s*/\s*([0-9]{1,19})\s*", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class ContentRange:
    """The bytes from ``first`` up to ``end``, not included, of ``size`` in all (None: the server does not say)."""

    first: int
    end: int
    size: int | None


def content_range(headers: Mapping[str, str]) -> ContentRange | None:
    """Return the range that a 206 response holds; None where the header is missing or holds no such range."""
    match = _RANGE.fullmatch(_said_once(headers, "Content-Range"))
    if match is None:
        return None
    found = ContentRange(int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3]))
    return found if found.first < found.end <= (found.end if found.size is None else found.size) else None


def unsatisfied_size(headers: Mapping[str, str]) -> int | None:
    """Return the length of the file as a 416 response says it, or None."""
    match = _UNSATISFIED.fullmatch(_said_once(headers, "Content-Range"))
    return int(match[1]) if match else None


def content_length(headers: Mapping[str, str]) -> int | None:
    """Return the length of the body; the same length said twice is one length (RFC 9110, 8.6)."""
    text = _said_once(headers, "Content-Length")
    return int(text) if _LENGTH.fullmatch(text) else None


def _said_once(headers: Mapping[str, str], name: str) -> str:
    """Return the value of a header that holds one; the same one said twice is one, different ones are none."""
    said = {part.strip() for part in headers.get(name, "").split(",")}
    return said.pop() if len(said) == 1 else ""


def is_chunked(headers: Mapping[str, str]) -> bool:
    """Tell whether the body comes in chunks, whose last one marks its end."""
    return "chunked" in headers.get("Transfer-Encoding", "").lower()


def codings_of(headers: Mapping[str, str]) -> list[str]:
    """Return the codings of the body in lower case, those of its transfer included, except chunks."""
    transfer = (part.strip().lower() for part in headers.get("Transfer-Encoding", "").split(","))
    of_transfer = [name for name in transfer if name not in ("", "chunked", "identity")]
    return [*content_codings(headers.get("Content-Encoding", "")), *of_transfer]


@dataclass(frozen=True)
class Validator:
    """
    What tells one version of a file from another: its ETag, else its time of change; without both nothing does.

    A weak ETag does not: two versions that share one mean the same, but need not be the same bytes (RFC 9110, 8.8.1).
    Two that differ are two versions, though, whatever the time of change says, which is in whole seconds.
    """

    etag: str | None
    modified: str | None
    weak: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Validator:
        """Take what the headers of a response tell."""
        etag = headers.get("ETag", "").strip()
        is_weak = etag[:2] in ("W/", "w/")
        modified = headers.get("Last-Modified", "").strip() or None
        return cls(None if is_weak else etag or None, modified, etag[2:] if is_weak else None)

    @property
    def if_range(self) -> str | None:
        """The value of an If-Range header."""
        return self.etag or self.modified

    def same(self, other: Validator) -> bool | None:
        """Tell whether it is the same version; None where that cannot be known."""
        if self.etag and other.etag:
            return self.etag == other.etag
        if self.weak and other.weak and self.weak != other.weak:
            return False
        return self.modified == other.modified if self.modified and other.modified else None


NO_VERSION = Validator(None, None)
