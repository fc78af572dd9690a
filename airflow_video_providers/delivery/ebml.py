# SPDX-License-Identifier: Apache-2.0
"""The headers of Matroska and WebM files (RFC 8794, RFC 9559): what they are, and where they end."""

from __future__ import annotations

EBML = b"\x1a\x45\xdf\xa3"
_DOC_TYPE = b"\x42\x82"
_ANYWHERE = (b"\xec", b"\xbf")  # Void and CRC-32
_SEGMENT = b"\x18\x53\x80\x67"


def doc_type(head: bytes) -> str | None:
    """Return the DocType of an EBML file, ``webm`` or ``matroska``; None where its header names none."""
    header = _vint(head, 4) if head.startswith(EBML) else None
    if header is None:
        return None
    position, end = header[0], min(header[0] + header[1], len(head))
    while position < end:
        name = head[position : position + _width(head[position])]
        content = _vint(head, position + len(name))
        if content is None:
            return None
        if name == _DOC_TYPE:
            return head[content[0] : content[0] + content[1]].rstrip(b"\0").decode("latin-1")
        position = content[0] + content[1]
    return None


def segment_end(head: bytes) -> int | None:
    """Return where the one segment of a file ends, as its headers say it; None where they do not."""
    header = _vint(head, 4)
    if header is None:
        return None
    header_end = header[0] + header[1]
    while head[header_end : header_end + 1] in _ANYWHERE:
        filler = _vint(head, header_end + 1)
        if filler is None:
            return None
        header_end = filler[0] + filler[1]
    if head[header_end : header_end + 4] != _SEGMENT:
        return None
    segment = _vint(head, header_end + 4)
    return None if segment is None else segment[0] + segment[1]


def _width(first: int) -> int:
    return 9 - first.bit_length()


def _vint(head: bytes, position: int) -> tuple[int, int] | None:
    """Read an EBML size: where its content begins and how long that is; None where it is unknown or out of reach."""
    if position >= len(head) or head[position] == 0:
        return None
    width = _width(head[position])
    raw = head[position : position + width]
    if len(raw) < width:
        return None
    value = int.from_bytes(raw, "big") & ((1 << (7 * width)) - 1)
    return None if value == (1 << (7 * width)) - 1 else (position + width, value)
