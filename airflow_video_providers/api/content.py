# SPDX-License-Identifier: Apache-2.0
"""The content of a response, read and inflated under a limit: what is small on the wire must not become large here."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response

LARGEST_RESPONSE = 16 * 1024 * 1024
LARGEST_ERROR = 64 * 1024

_READ_BYTES = 64 * 1024
_MOST_VALUES = 1_000_000
_MOST_MEMBERS = 1000
_LONGEST_NUMBER = 40
_DIGITS = bytes(0x30 if chr(byte) in "0123456789" else byte for byte in range(256))
_LONG_NUMBER = b"0" * _LONGEST_NUMBER
# Those that IANA registers, but `identity`. Any other name is none: object stores keep what an upload said, such as
# `aws-chunked`, `binary`, `utf-8` or `video/mp4`, and hand it out as if it were a coding of the body.
_DICTIONARY_CODINGS = ("dcb", "dcz")
_CODINGS = frozenset(
    ("aes128gcm", "br", "compress", "deflate", "exi", "gzip", "pack200-gzip", "x-compress", "x-gzip", "zstd")
).union(_DICTIONARY_CODINGS)


class ContentError(ValueError):
    """The content cannot be used; the text says why."""


def read_content(response: Response, limit: int) -> tuple[bytes, bool]:
    """
    Read a streamed response and inflate it.

    :return: at most ``limit`` bytes, and whether there is more; the connection is closed then.
    :raises ContentError: its Content-Encoding was not asked for, or the content is not in it.
    """
    inflate = _inflater(response.headers.get("Content-Encoding", ""))
    parts: list[bytes] = []
    received = size = 0
    while size <= limit and received <= limit:
        packed = response.raw.read(_READ_BYTES, decode_content=False)
        if not packed:
            break
        received += len(packed)
        data = packed if inflate is None else inflate(packed, limit + 1 - size)
        size += len(data)
        parts.append(data)
    response.close()  # gives the connection back where the content was read to its end
    return b"".join(parts)[:limit], size > limit or received > limit


def content_codings(header: str) -> list[str]:
    """Return the codings that a Content-Encoding names, in lower case; names that are no codings are left out."""
    names = (part.strip().lower() for part in header.split(","))
    return [name for name in names if name in _CODINGS]


def _inflater(header: str) -> Callable[[bytes, int], bytes] | None:
    """Return a function that inflates piece after piece, each to at most N bytes; None where the content is plain."""
    codings = content_codings(header)
    if not codings:
        return None
    if codings not in (["gzip"], ["x-gzip"]):
        raise ContentError("its Content-Encoding was not asked for")
    member = zlib.decompressobj(wbits=31)
    members = 1

    def inflate(packed: bytes, most: int) -> bytes:
        nonlocal member, members
        parts: list[bytes] = []
        try:
            while packed and most > 0:
                if member.eof:  # a stream can have several members
                    member, members = zlib.decompressobj(wbits=31), members + 1
                    if members > _MOST_MEMBERS:
                        raise ContentError(f"its gzip has more than {_MOST_MEMBERS} members")
                parts.append(member.decompress(packed, most))
                most -= len(parts[-1])
                packed = member.unconsumed_tail or member.unused_data
        except zlib.error:
            raise ContentError("it is not the gzip that it says") from None
        return b"".join(parts)

    return inflate


def text_of(content: bytes) -> str:
    """Return content as text, whatever its encoding."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def decode_json(content: bytes) -> Any:
    """
    Return decoded JSON whose numbers are finite: NaN, infinities and numbers of more than 40 digits become None.

    :raises ContentError: it is not JSON, nested too deep, or holds more than a million values.
    """
    if content.count(b",") + content.count(b"[") + content.count(b"{") > _MOST_VALUES:
        raise ContentError(f"it holds more than {_MOST_VALUES} values")
    # A function of ours for each number takes as long as all the rest. In UTF-16 a zero byte follows each digit.
    has_long_numbers = b"\0" in content or _LONG_NUMBER in content.translate(_DIGITS)
    try:
        return json.loads(
            content,
            parse_constant=lambda _: None,
            parse_float=_finite,
            parse_int=_short if has_long_numbers else None,
        )
    except (ValueError, RecursionError):
        raise ContentError("it is not JSON") from None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _short(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST_NUMBER else None
