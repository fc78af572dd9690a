# SPDX-License-Identifier: Apache-2.0
"""Serve a part of a file: HTTP ranges (RFC 9110), and bodies that are read in a thread."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool

CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class UnsatisfiableRangeError(Exception):
    """The range lies outside the file."""


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """
    Return the first byte and the one after the last of a ``Range`` header; None: the whole file.

    A header with several ranges, or one that is not understood, means the whole file, as the RFC permits.

    :raises UnsatisfiableRangeError: no byte of the file is in the range.
    """
    match = _RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last bytes, by their number
        start, end = max(0, size - int(match[2])), size
    else:
        start = int(match[1])
        end = min(size, int(match[2]) + 1) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or start >= end:
        raise UnsatisfiableRangeError
    return start, end


def move_to(stream: BinaryIO, start: int) -> None:
    """
    Go to a byte of a stream that stands at its start.

    A store of another distribution can have streams that only go forward: these are read up to there.
    """
    if start and stream.seekable():
        stream.seek(start)
        return
    while start > 0:
        data = stream.read(min(start, CHUNK))
        if not data:
            return
        start -= len(data)


async def body(stream: BinaryIO, start: int, length: int) -> AsyncIterator[bytes]:
    """Yield a part of a stream, and close it at the end, also when the client has gone."""
    try:
        await run_in_threadpool(move_to, stream, start)
        while length > 0:
            data = await run_in_threadpool(stream.read, min(CHUNK, length))
            if not data:
                raise OSError("the stored file ended too early")  # breaks the connection: the client sees it
            length -= len(data)
            yield data
    finally:
        stream.close()
