# SPDX-License-Identifier: Apache-2.0
"""
Is it the media it should be, and is it all of it? Checked beside the stream, at no cost and without decoding.

First bytes must be those of a known format of the wanted kind: an error page with status 200 fails here, before
anything is written. MP4 and MOV boxes must tile the file exactly and hold ``moov`` (ISO/IEC 14496-12, section 4.2), a
zip must end with its directory, a WebM segment must fill the file where it says its size. Where the server gives no
length, only a format that shows its own end is accepted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from airflow_video_providers.exceptions import ContentCheckError

FIRST_BYTES = 512
"""How many bytes at most are needed to tell the format."""

_BOX_TYPES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot", b"uuid")
_ZIP_END = b"PK\x05\x06"
_TAIL = 65_557  # the longest end of a zip: 22 bytes and a comment of 65535


def _is_subrip(head: bytes) -> bool:
    text = head.decode("utf-8-sig", "replace").replace("\r\n", "\n").lstrip()
    first, _, rest = text.partition("\n")
    return first.strip().isdigit() and "-->" in rest.partition("\n")[0]


def _is_transport_stream(head: bytes) -> bool:
    return len(head) >= 377 and head[0] == head[188] == head[376] == 0x47


_FORMATS: list[tuple[str, str, str, Callable[[bytes], bool]]] = [
    ("mp4", "video", "video/mp4", lambda head: head[4:8] in _BOX_TYPES),
    ("webm", "video", "video/webm", lambda head: head.startswith(b"\x1a\x45\xdf\xa3")),
    ("avi", "video", "video/x-msvideo", lambda head: head.startswith(b"RIFF") and head[8:12] == b"AVI "),
    ("flv", "video", "video/x-flv", lambda head: head.startswith(b"FLV\x01")),
    ("ogg", "video", "video/ogg", lambda head: head.startswith(b"OggS")),
    ("mpeg", "video", "video/mpeg", lambda h: h.startswith(b"\x00\x00\x01\xba") or _is_transport_stream(h)),
    ("jpeg", "thumbnail", "image/jpeg", lambda head: head.startswith(b"\xff\xd8\xff")),
    ("png", "thumbnail", "image/png", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n")),
    ("gif", "thumbnail", "image/gif", lambda head: head.startswith((b"GIF87a", b"GIF89a"))),
    ("webp", "thumbnail", "image/webp", lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP"),
    ("webvtt", "subtitles", "text/vtt", lambda head: head.removeprefix(b"\xef\xbb\xbf").startswith(b"WEBVTT")),
    ("subrip", "subtitles", "application/x-subrip", _is_subrip),
    ("zip", "archive", "application/zip", lambda head: head.startswith((b"PK\x03\x04", _ZIP_END))),
    ("gzip", "archive", "application/gzip", lambda head: head.startswith(b"\x1f\x8b\x08")),
    ("tar", "archive", "application/x-tar", lambda head: head[257:262] == b"ustar"),
]
_FITTING = {"video": "video/", "thumbnail": "image/"}
_QUICKTIME = b"ftypqt  "


def describe(head: bytes) -> str:
    """Say in words what bytes that are not media look like."""
    text = head.lstrip().lower()
    if not head:
        return "nothing at all"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if text.startswith((b"<?xml", b"<error", b"<")):
        return "an XML document"
    if text.startswith((b"{", b"[")):
        return "a JSON document"
    for name, kind, _, matches in _FORMATS:
        if matches(head):
            return f"a {name} file ({kind})"
    return "no known media format"


class MediaCheck:
    """
    The running check of one file: ``start`` with its first bytes, ``feed`` all bytes in order, ``finish`` at the end.

    :param kind: the kind of output, which decides the formats that are accepted.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.format: str | None = None
        self._media_type = "application/octet-stream"
        self.size = 0
        self._next_box = 0
        self._header = bytearray()
        self._seen: set[bytes] = set()
        self._open_ended = False
        self._webm_size: int | None = None
        self._tail = bytearray()

    def start(self, head: bytes) -> None:
        """
        Look at the first bytes (at least 512, or the whole of a smaller file).

        :raises ContentCheckError: they are not of this kind of file.
        """
        for name, kind, media_type, matches in _FORMATS:
            if kind == self.kind and matches(head):
                self.format = name
                self._media_type = "video/quicktime" if head[4:12] == _QUICKTIME else media_type
                break
        else:
            raise ContentCheckError(f"the source sent {describe(head)} instead of the {self.kind}")
        if self.format == "webm":
            self._webm_size = _webm_size(head)

    def media_type(self, *said: str | None) -> str:
        """
        Return the media type, once the check has started.

        :param said: by others, e.g. a header. The first that fits this kind of file counts (``video/*`` for a video),
            else that of the format: many stores say ``binary/octet-stream``, or ``text/html``, of everything.
        """
        fitting = _FITTING.get(self.kind)
        for text in said:
            plain = (text or "").split(";")[0].strip().lower()
            if fitting and plain.startswith(fitting) and plain.isascii() and plain.isprintable():
                return plain
        return self._media_type

    def feed(self, view: memoryview) -> None:
        """Take the next bytes."""
        if self.format == "mp4":
            self._walk(view)
        if self.format in ("zip", "jpeg", "png"):
            self._tail = (self._tail + view[-_TAIL:])[-_TAIL:]
        self.size += len(view)

    def finish(self) -> None:
        """
        Check the whole.

        :raises ContentCheckError: it is not the whole of the file that it began as.
        """
        if self.format == "mp4":
            self._finish_boxes()
        elif self.format == "zip" and not self._zip_ends():
            raise ContentCheckError(f"the zip of {self.size} bytes is cut: its directory is missing at the end")
        elif self._webm_size is not None and self._webm_size != self.size:
            raise ContentCheckError(f"the WebM file has {self.size} bytes, its segment says {self._webm_size}")

    @property
    def shows_its_end(self) -> bool:
        """Whether :meth:`finish` proves that nothing is missing, also where the server gave no length."""
        if self.format == "mp4":
            # Fragments can be cut between two of them; only their index, which comes last, shows that none is missing.
            fragments_end = b"moof" not in self._seen or b"mfra" in self._seen
            return not self._open_ended and b"mdat" in self._seen and fragments_end
        if self.format == "webm":
            return self._webm_size is not None
        if self.format == "jpeg":
            return bytes(self._tail).rstrip(b"\x00").endswith(b"\xff\xd9")
        if self.format == "png":
            return b"IEND" in self._tail[-16:]
        return self.format == "zip"

    # ------------------------------------------------------------------ MP4 and MOV

    def _walk(self, view: memoryview) -> None:
        """Step from box to box; only their headers are read."""
        start, end = self.size, self.size + len(view)
        while self._next_box < end and not self._open_ended:
            position = self._next_box + len(self._header)
            wanted = 16 if self._header[:4] == b"\x00\x00\x00\x01" else 8
            taken = view[position - start : position - start + wanted - len(self._header)]
            if not taken:
                return
            self._header += taken
            if len(self._header) < 8:
                return
            length, kind = struct.unpack_from(">I4s", self._header)
            if length == 1:
                if len(self._header) < 16:
                    continue
                (length,) = struct.unpack_from(">Q", self._header, 8)
            if length == 0:
                self._open_ended = True
            elif length < len(self._header):
                raise ContentCheckError(f"broken MP4: a box at byte {self._next_box} has the length {length}")
            self._seen.add(kind)
            self._next_box += length
            self._header.clear()

    def _finish_boxes(self) -> None:
        if not self._open_ended and (self._next_box != self.size or self._header):
            raise ContentCheckError(
                f"the MP4 is not whole: its boxes end at byte {self._next_box}, the file at byte {self.size}"
            )
        if b"moov" not in self._seen:
            raise ContentCheckError(f"the MP4 of {self.size} bytes has no moov box: it cannot be played")

    def _zip_ends(self) -> bool:
        position = self._tail.rfind(_ZIP_END)
        if position < 0 or len(self._tail) < position + 22:
            return False
        (comment,) = struct.unpack_from("<H", self._tail, position + 20)
        return position + 22 + int(comment) == len(self._tail)


def _webm_size(head: bytes) -> int | None:
    """Return the size of a WebM file as its header and its one segment say it; None where they do not."""
    first = _vint(head, 4)
    if first is None:
        return None
    header_end = first[0] + first[1]
    if head[header_end : header_end + 4] != b"\x18\x53\x80\x67":
        return None
    segment = _vint(head, header_end + 4)
    return None if segment is None else segment[0] + segment[1]


def _vint(head: bytes, position: int) -> tuple[int, int] | None:
    """Read an EBML size: where its content begins and how long that is; None where it is unknown or out of reach."""
    if position >= len(head) or head[position] == 0:
        return None
    width = 9 - head[position].bit_length()
    raw = head[position : position + width]
    if len(raw) < width:
        return None
    value = int.from_bytes(raw, "big") & ((1 << (7 * width)) - 1)
    return None if value == (1 << (7 * width)) - 1 else (position + width, value)
