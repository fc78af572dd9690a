# SPDX-License-Identifier: Apache-2.0
"""Small and large files that are what they claim to be."""

from __future__ import annotations

import io
import random
import struct
import zipfile


def mp4(size: int, seed: int = 1) -> bytes:
    """Return an MP4 of exactly ``size`` bytes: its boxes tile it, its media data is noise."""
    ftyp = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
    mvhd = struct.pack(">I4s", 108, b"mvhd") + bytes(100)
    moov = struct.pack(">I4s", 8 + len(mvhd), b"moov") + mvhd
    rest = size - len(ftyp) - len(moov) - 8
    block = random.Random(seed).randbytes(1_048_573)  # a prime length, so that no two parts are the same
    noise = (block * (rest // len(block) + 1))[:rest]
    return ftyp + moov + struct.pack(">I4s", rest + 8, b"mdat") + noise


def archive() -> bytes:
    """Return a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.jpg", b"\xff\xd8\xff" + bytes(2000) + b"\xff\xd9")
    return out.getvalue()


JPEG = b"\xff\xd8\xff\xe0" + bytes(5000) + b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(500) + b"\x00\x00\x00\x00IEND\xaeB`\x82"
WEBVTT = "WEBVTT\n\n00:00.000 --> 00:02.000\nHello\n"
SUBRIP = b"1\r\n00:00:00,000 --> 00:00:02,000\r\nHello\r\n"


def webm(body: int = 4000) -> bytes:
    """Return a WebM whose one segment says its size."""
    header = b"\x1a\x45\xdf\xa3" + bytes([0x80 | 4]) + b"\x42\x86\x81\x01"
    return header + b"\x18\x53\x80\x67" + b"\x08" + body.to_bytes(4, "big")[0:4].rjust(4, b"\x00") + bytes(body)
