# SPDX-License-Identifier: Apache-2.0
"""What a source of a file offers to the flow that stores it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

from airflow_video_providers.delivery.buffers import BufferPool, Part


class Source(Protocol):
    """
    A file that is read once, in order.

    :ivar size: its length in bytes, once it is open; None where nobody says.
    :ivar media_type: as its host says.
    :ivar complete: the host marked the end of the file, and it was reached.
    """

    size: int | None
    media_type: str | None
    complete: bool

    def open(self) -> None:
        """Send the first request."""

    def parts(self, pool: BufferPool, part_size: int) -> Generator[Part, None, None]:
        """Yield the file in parts of ``part_size`` bytes (the last one may be shorter), in order."""

    def read_head(self, count: int) -> bytes:
        """Return the first bytes, at most ``count``; in place of :meth:`open`."""

    def close(self) -> None:
        """Stop reading and close the connections."""

    def describe(self) -> str:
        """Say how the file was read: requests, ranges, and what had to be done again."""


class MakeSource(Protocol):
    """Makes the source of a flow."""

    def __call__(self, prefix_digest: Callable[[], bytes], on_bytes: Callable[[int], None]) -> Source:
        """
        Return the source.

        :param prefix_digest: SHA-256 of all bytes handed out so far, for a source that is read again from its start.
        :param on_bytes: told how many bytes came; below 0: how many must come again.
        """
