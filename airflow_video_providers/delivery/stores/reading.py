# SPDX-License-Identifier: Apache-2.0
"""Read small objects, lists and the beginnings of objects of any store within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from airflow_video_providers.delivery.stores.base import ObjectStore, StoredObject
from airflow_video_providers.exceptions import SourceError

_LONGEST_LINE = 1024 * 1024


def read_object(store: ObjectStore, key: str, *, limit: int) -> bytes:
    """
    Return the whole of a small object.

    :param limit: bytes; of a larger object nothing is returned.
    :raises SourceError: it is not there, cannot be read, or is larger.
    """
    stream, stored = store.open(key)
    with stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise SourceError(f"{key} has {max(stored.size, len(data))} bytes; at most {limit} are read")
    return data


def open_with_head(store: ObjectStore, key: str, *, size: int) -> tuple[BinaryIO, StoredObject, bytes]:
    """
    Open an object at its start; return the stream, what is stored, and its first ``size`` bytes.

    :raises SourceError: it is not there, or cannot be read.
    """
    stream, stored = store.open(key)
    try:
        head = stream.read(size)
        if stream.seekable():
            stream.seek(0)
            return stream, stored, head
    except BaseException:
        stream.close()
        raise
    stream.close()
    return (*store.open(key), head)


def read_lines(store: ObjectStore, key: str, *, limit: int = _LONGEST_LINE) -> Iterator[str]:
    r"""
    Yield the lines of a UTF-8 text with their ends, at constant memory; a byte order mark is left out.

    A line ends with ``\n`` alone, so that JSON Lines and ``csv.reader`` can both take it.

    :param limit: bytes that one line may have.
    :raises SourceError: the object cannot be read; a line is longer, or is no UTF-8. The text names the line.
    """
    stream, _ = store.open(key)
    with stream:
        for number, line in enumerate(iter(lambda: stream.readline(limit + 1), b""), start=1):
            if len(line) > limit:
                raise SourceError(f"line {number} of {key} is longer than {limit} bytes")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise SourceError(f"line {number} of {key} is no UTF-8: {error.reason}") from None
            if text:
                yield text
