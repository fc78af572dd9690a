# SPDX-License-Identifier: Apache-2.0
"""
A file behind a link that may break, stall, expire or change: its bytes in order, in parts, exactly once.

- Broken connections, stalls, 429, 5xx, and files that are not there yet (202, 204, 409, 423, 425, 0 bytes): again from
  where it stopped, with Range and If-Range. Tries in a row without progress are limited, tries with progress are not.
- 401, 403, 404, 410, and 400 where it says "expired" (S3 and GCS): a fresh link from the vendor, then on from the same
  byte. A fresh link that is dead too is tried again with the same patience, since the file may not be there yet. So is
  the link that there is, and the vendor asked again, where the vendor gives none but an error that may pass.
- A server without Range, one whose ETag changed, or one that tells no version (strong ETag, Last-Modified): read again
  from the start, and go on only if the bytes that were already handed out prove to be the same (their SHA-256); else
  the file changed, which is an error.
- A host that sends at most so much in one response is asked for the rest at once.
- Large files of a server that showed 206, the size and a version: several ranges at once, handed out in order. When one
  of them cannot be had, or is responded with another version, or whole, what is left is read in one stream, as above.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from airflow_video_providers.delivery.buffers import BufferPool, Part
from airflow_video_providers.delivery.source.headers import NO_VERSION
from airflow_video_providers.delivery.source.http import HttpSource
from airflow_video_providers.delivery.source.links import PASSING_VENDOR_ERRORS, Links
from airflow_video_providers.delivery.source.patience import DownloadSettings, Patience
from airflow_video_providers.delivery.source.ranges import Ranges
from airflow_video_providers.delivery.source.response import FileResponse
from airflow_video_providers.delivery.source.signals import (
    BrokenError,
    DeadLinkError,
    PastTheEndError,
    RangesEndedError,
)
from airflow_video_providers.exceptions import ContentCheckError, SourceError

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

log = logging.getLogger(__name__)

_BEFORE_A_BYTE = "before the first byte of a response"
_NO_LINK = "the vendor gives no link now"


class Download:
    """
    One file, read once.

    :param output: what the vendor offers; its size, where given, must match.
    :param refresh: mints a fresh link; raises what the vendor's hook raises when the file is gone.
    :param settings: patience and width.
    :param prefix_digest: SHA-256 of all bytes handed out so far, asked only when a file is read again from its start.
    :param on_bytes: told how many bytes came, by any of the reading threads; below 0: how many must come again.
    """

    def __init__(
        self,
        output: VideoOutput,
        refresh: Callable[[], VideoOutput],
        settings: DownloadSettings,
        prefix_digest: Callable[[], bytes],
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.settings = settings
        self.size: int | None = output.size
        self.media_type: str | None = None
        """As the server says."""
        self.complete = False
        """Whether the server marked the end of the file itself (or its length is known and was reached)."""
        self.resumes = 0
        self.ranges = 1
        self._prefix_digest = prefix_digest
        self._on_bytes = on_bytes
        self._source = HttpSource(settings.client, settings.streams, settings.links)
        self._links = Links(output, refresh, plain_http=settings.plain_http)
        self._vendor_size = output.size
        self._validator = NO_VERSION
        self._packed = False
        self._response: FileResponse | None = None
        self._stopped = threading.Event()
        self._patience = Patience(settings, self._stopped)

    @property
    def requests(self) -> int:
        """How many GETs were sent."""
        return self._source.requests

    def describe(self) -> str:
        """Say how the file was read."""
        return (
            f"{self.requests} request(s), {self.ranges} range(s) at once, {self.resumes} resumed, "
            f"{self._links.refreshes} link refresh(es)"
        )

    def open(self) -> None:
        """
        Send the first request: after it, ``size`` and ``media_type`` are what is said of the file.

        :raises SourceError: the file cannot be had. :raises ContentCheckError: its length is not what the vendor says.
        """
        response = self._ask_first()
        self._validator = response.validator
        self._packed = response.packed
        self.media_type = response.media_type
        if response.size is not None and self._vendor_size is not None and response.size != self._vendor_size:
            raise ContentCheckError(f"the source offers {response.size} bytes, the vendor says {self._vendor_size}")
        self.size = self._vendor_size if response.size is None else response.size

    def read_head(self, count: int) -> bytes:
        """
        Return the first bytes, at most ``count``, without asking for more; in place of :meth:`open`.

        :raises SourceError: they cannot be read. :raises ContentCheckError: there are none.
        """
        head = bytearray(count)
        while True:
            try:
                return bytes(head[: self._ask_first(count - 1).read_into(memoryview(head))])
            except BrokenError as error:
                self._patience.wait(error, "at its first bytes")
            finally:
                self._drop_response()

    def parts(self, pool: BufferPool, part_size: int) -> Generator[Part, None, None]:
        """
        Yield the file in parts of ``part_size`` bytes (the last one may be shorter), in order.

        :raises SourceError: it cannot be read to its end.
        """
        response = self._response
        if response is None:
            raise SourceError("the download is not open")
        offset = 0
        if self._parallel_is_safe(response):
            offset = yield from self._in_ranges(response, pool, part_size)
        if not self.complete:
            yield from self._in_one_stream(pool, part_size, offset)

    def close(self) -> None:
        """Stop reading and close the connections."""
        self._stopped.set()
        self._drop_response()
        self._source.close()

    # ------------------------------------------------------------------ one stream

    def _in_one_stream(self, pool: BufferPool, part_size: int, offset: int) -> Iterator[Part]:
        while True:
            buffer = pool.take(part_size)
            assert buffer is not None  # take() waits
            try:
                length = self._fill(offset, memoryview(buffer))
            except BaseException:
                pool.give(buffer)
                raise
            if length == 0:
                pool.give(buffer)
                return
            offset += length
            yield Part(offset - length, buffer, length)
            if length < part_size:
                return

    def _fill(self, start: int, view: memoryview) -> int:
        """Fill the view with the bytes from ``start`` on; fewer only at the end of the file."""
        filled = least = 0
        broke = cut = False
        while True:
            try:
                if self._response is None:
                    filled = self._reopen(start, filled, cut=cut)
                before = filled
                response = self._response
                assert response is not None  # _reopen sets it
                least = max(least, response.end or 0)
                for now in response.pieces(view[before:], careful=broke):
                    self._on_bytes(before + now - filled)
                    filled = before + now
                    self._patience.progress(start + filled)
                if filled == len(view) or self._has_ended(response, start + filled):
                    return filled
                self._drop_response()  # to ask for what is left
                cut = False
                self._patience.check_rate(start + filled)
            except BrokenError as error:
                self._drop_response()
                self.resumes += 1
                broke = cut = True
                self._patience.wait(error, f"at byte {start + filled}")
            except PastTheEndError as error:
                end = start + filled
                if error.size not in (None, end) or self.size not in (None, end) or end < least:
                    raise SourceError(f"the source shrank while it was read: {error}") from None
                self.complete = True
                return filled

    def _reopen(self, start: int, filled: int, *, cut: bool) -> int:
        """
        Ask for the rest; return how much of the current part stays valid.

        :param cut: the last response broke off, so that the file does not end there.
        """
        # A range of a packed body cannot be unpacked; one of a file without a version could be another file's.
        position = 0 if self._packed or self._validator == NO_VERSION else start + filled
        may_be_end = not cut if self.size is None else position == self.size
        self._response = response = self._ask(self._patience, first=position, may_be_end=may_be_end)
        if response.size is not None and self.size is not None and response.size != self.size:
            raise SourceError(f"the source changed while it was read: {self.size} bytes before, {response.size} now")
        self.size = self.size if self.size is not None else response.size
        if response.start:
            if not response.packed and self._validator.same(response.validator):
                return filled
            # Servers behind one name can differ in ETag or coding, not in the file: its bytes have to prove it.
            self._validator = NO_VERSION
            raise BrokenError("the source does not show that it still sends the same version of the file")
        # From the start, or a new version: what was handed out must be its beginning; the current part is read anew.
        self._skip_prefix(response, start)
        self._validator, self._packed = response.validator, response.packed
        self._on_bytes(-filled)
        return 0

    def _skip_prefix(self, response: FileResponse, length: int) -> None:
        digest = hashlib.sha256()
        scratch = memoryview(bytearray(256 * 1024))
        left = length
        while left:
            count = response.read_into(scratch[:left])
            if not count:
                if response.end not in (None, response.size):
                    raise _unproven(response.end)
                raise SourceError(f"the source changed while it was read: it now ends before byte {length}")
            digest.update(scratch[:count])
            left -= count
        if length and digest.digest() != self._prefix_digest():
            raise SourceError("the source changed while it was read: it now begins differently")

    def _has_ended(self, response: FileResponse, position: int) -> bool:
        """
        Tell whether the end of a body is that of the file; else the host sends at most so much in one response.

        :raises BrokenError: the body was cut.
        """
        if self.size is not None and position >= self.size:
            self.complete = True
            return True
        if response.partial and not response.packed and position != response.end:
            raise BrokenError(f"the source ended at byte {position} of {response.end}")
        if response.partial and not response.packed and self._validator != NO_VERSION:
            return False  # where the size is not known, a response of 416 tells that this was the end
        if self.size is None:
            self.complete = response.framed and (not response.partial or response.packed)
            return True
        if response.partial and not response.packed:
            raise _unproven(position - response.start)
        raise BrokenError(f"the source ended at byte {position} of {self.size}")

    # ------------------------------------------------------------------ ranges at once

    def _parallel_is_safe(self, response: FileResponse) -> bool:
        return (
            self.settings.streams > 1
            and response.partial
            and not response.packed
            and self._validator != NO_VERSION
            and response.size is not None
            and response.size >= self.settings.parallel_from
        )

    def _in_ranges(self, first: FileResponse, pool: BufferPool, part_size: int) -> Generator[Part, None, int]:
        """Yield the parts; return how many bytes they were, fewer than all where ranges did not do to the end."""
        self.ranges = self.settings.streams
        self._response = None
        ranges = Ranges(first, self._ask, self.settings, self._on_bytes)
        try:
            yield from ranges.parts(pool, part_size)
            self.complete = True
        except RangesEndedError as error:
            log.warning("ranges have ended, on in one stream from byte %d: %s", ranges.handed_out, error)
            if error.other_version:
                self._validator = NO_VERSION  # as for one stream: the bytes have to prove that it is the same file
            self._patience = Patience(self.settings, self._stopped)
        finally:
            self.resumes += ranges.resumes
        return ranges.handed_out

    # ------------------------------------------------------------------ links

    def _ask_first(self, last: int | None = None) -> FileResponse:
        """Send the first request; an empty file may be one that is not there yet."""
        while True:
            try:
                self._response = response = self._ask(self._patience, last=last)
                if response.size != 0:
                    return response
                self._drop_response()
            except PastTheEndError:
                pass
            empty = "the source has a file of 0 bytes"
            self._patience.wait(BrokenError(empty), "so far", instead=ContentCheckError(empty))

    def _ask(
        self, patience: Patience, first: int = 0, last: int | None = None, *, may_be_end: bool = False
    ) -> FileResponse:
        """Send a request until a good response comes, with fresh links where the link is dead."""

        def get(link: str) -> FileResponse:
            if_range = self._validator.if_range
            return self._source.get(link, first=first, last=last, if_range=if_range, may_be_end=may_be_end)

        dead: DeadLinkError | None = None
        while True:
            try:
                return self._links.use(get, instead_of=dead.link if dead else None)
            except DeadLinkError as error:
                dead = error
                if error.fresh:  # the file may not be there yet
                    patience.wait(BrokenError(str(error)), _BEFORE_A_BYTE, instead=self._links.believe(error))
                else:
                    log.info("%s: asking the vendor for a fresh one", error)
            except BrokenError as error:
                dead = None
                patience.wait(error, _BEFORE_A_BYTE)
            except PASSING_VENDOR_ERRORS as error:
                dead = None  # no fresh one in its place: it may work again, where a host allows only one connection
                patience.wait(BrokenError(_NO_LINK, error.retry_after), f"({error})", instead=error)

    def _drop_response(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def _unproven(most: int) -> SourceError:
    return SourceError(
        f"the source sends at most {most} bytes at once and names no version of the file (a strong ETag or "
        "Last-Modified) that stays: nothing proves that what it sends next is of the same file"
    )
