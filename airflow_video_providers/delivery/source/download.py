# SPDX-License-Identifier: Apache-2.0
"""
A file behind a link that may break, stall, expire or change: its bytes in order, in parts, exactly once.

- Broken connections, stalls, 429 and 5xx: again from where it stopped, with Range and If-Range. Tries in a row without
  progress are limited, tries with progress are not.
- 401, 403, 404, 410: a fresh link from the vendor, then on from the same byte.
- A server without Range, one whose ETag changed, or one that tells no version (strong ETag, Last-Modified): read again
  from the start, and go on only if the bytes that were already handed out prove to be the same (their SHA-256); else
  the file changed, which is an error.
- Large files of a server that showed 206, the size and a version: several ranges at once, handed out in order. When one
  of them is answered with another version, or whole, what is left is read in one stream, as above.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from airflow_video_providers.delivery.buffers import BufferPool, Part
from airflow_video_providers.delivery.source.http import (
    Answer,
    BrokenError,
    DeadLinkError,
    HttpSource,
    PastTheEndError,
    Validator,
)
from airflow_video_providers.delivery.source.patience import DownloadSettings, Patience
from airflow_video_providers.delivery.source.ranges import OtherVersionError, Ranges
from airflow_video_providers.exceptions import ContentCheckError, SourceError, SourceLinkExpiredError

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

log = logging.getLogger(__name__)

_NO_VERSION = Validator(None, None)
_MOST_RENEWALS = 2  # by one request, which finds each fresh link dead


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
        self.link_refreshes = 0
        self.resumes = 0
        self.ranges = 1
        self._prefix_digest = prefix_digest
        self._on_bytes = on_bytes
        self._refresh = refresh
        self._source = HttpSource(settings.client, settings.streams)
        self._link_lock = threading.Lock()  # held while a link is minted, which takes long: a kill must not wait for it
        self._link = output.url
        self._vendor_size = output.size
        self._validator = _NO_VERSION
        self._packed = False
        self._answer: Answer | None = None
        self._stopped = threading.Event()
        self._patience = Patience(settings, self._stopped)

    @property
    def requests(self) -> int:
        """How many GETs were sent."""
        return self._source.requests

    def open(self) -> None:
        """
        Send the first request: after it, ``size`` and ``media_type`` are what is said of the file.

        :raises SourceError: the file cannot be had. :raises ContentCheckError: its length is not what the vendor says.
        """
        try:
            self._answer = self._ask(self._patience)
        except PastTheEndError:
            raise ContentCheckError("the source has a file of 0 bytes") from None
        self._validator = self._answer.validator
        self._packed = self._answer.encoded
        self.media_type = self._answer.media_type
        if self._answer.start != 0:
            raise SourceError("the source sent another part of the file than was asked for")
        self._settle_size(self._answer.size)

    def parts(self, pool: BufferPool, part_size: int) -> Generator[Part, None, None]:
        """
        Yield the file in parts of ``part_size`` bytes (the last one may be shorter), in order.

        :raises SourceError: it cannot be read to its end.
        """
        answer = self._answer
        if answer is None:
            raise SourceError("the download is not open")
        offset = 0
        if self._parallel_is_safe(answer):
            offset = yield from self._in_ranges(answer, pool, part_size)
        if not self.complete:
            yield from self._in_one_stream(pool, part_size, offset)

    def close(self) -> None:
        """Stop reading and close the connections."""
        self._stopped.set()
        if self._answer is not None:
            self._answer.close()
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
        filled = 0
        broke = False
        while True:
            try:
                if self._answer is None:
                    filled = self._reopen(start, filled)
                before = filled
                answer = self._answer
                assert answer is not None  # _reopen sets it
                for now in answer.pieces(view[before:], careful=broke):
                    self._on_bytes(before + now - filled)
                    filled = before + now
                    self._patience.progress(start + filled)
                if filled < len(view):
                    self._check_end(answer, start + filled)
                return filled
            except BrokenError as error:
                self._drop_answer()
                self.resumes += 1
                broke = True
                self._patience.wait(error, f"at byte {start + filled}")
            except PastTheEndError as error:
                end = error.size if error.size is not None else self.size
                if end != start + filled or self._declared_otherwise(end):
                    raise SourceError(f"the source shrank while it was read: {error}") from None
                self.complete = True
                return filled

    def _reopen(self, start: int, filled: int) -> int:
        """Ask for the rest; return how much of the current part stays valid."""
        # A range of a packed body cannot be unpacked; one of a file without a version could be another file's.
        position = 0 if self._packed or self._validator == _NO_VERSION else start + filled
        self._answer = answer = self._ask(self._patience, first=position)
        if answer.size is not None and self.size is not None and answer.size != self.size:
            raise SourceError(f"the source changed while it was read: {self.size} bytes before, {answer.size} now")
        self.size = self.size if self.size is not None else answer.size
        if answer.start != (position if answer.partial else 0) or answer.encoded != self._packed:
            raise SourceError("the source changed while it was read: it sent another range than was asked for")
        if answer.partial and position:
            same = self._validator.same(answer.validator)
            if same:
                return filled
            if same is not None:
                raise SourceError("the source changed while it was read: it sent another version")
            self._drop_answer()
            self._validator = _NO_VERSION
            return self._reopen(start, filled)
        # From the start, or a new version: what was handed out must be its beginning; the current part is read anew.
        self._skip_prefix(answer, start)
        self._validator = answer.validator
        self._on_bytes(-filled)
        return 0

    def _skip_prefix(self, answer: Answer, length: int) -> None:
        digest = hashlib.sha256()
        scratch = memoryview(bytearray(256 * 1024))
        left = length
        while left:
            count = answer.read_into(scratch[:left])
            if not count:
                raise SourceError(f"the source changed while it was read: it now ends before byte {length}")
            digest.update(scratch[:count])
            left -= count
        if length and digest.digest() != self._prefix_digest():
            raise SourceError("the source changed while it was read: it now begins differently")

    def _check_end(self, answer: Answer, position: int) -> None:
        """Accept the end of a body, or find that it was cut."""
        if self.size is not None and position < self.size:
            raise BrokenError(f"the source ended at byte {position} of {self.size}")
        self.complete = answer.framed or answer.encoded or self.size is not None

    def _declared_otherwise(self, end: int | None) -> bool:
        return self.size is not None and end != self.size

    # ------------------------------------------------------------------ ranges at once

    def _parallel_is_safe(self, answer: Answer) -> bool:
        return (
            self.settings.streams > 1
            and answer.partial
            and not answer.encoded
            and self._validator != _NO_VERSION
            and answer.size is not None
            and answer.size >= self.settings.parallel_from
        )

    def _in_ranges(self, first: Answer, pool: BufferPool, part_size: int) -> Generator[Part, None, int]:
        """Yield the parts; return how many bytes they were, fewer than all where ranges did not do to the end."""
        self.ranges = self.settings.streams
        self._answer = None
        ranges = Ranges(first, self._ask, self.settings, self._on_bytes)
        try:
            yield from ranges.parts(pool, part_size)
            self.complete = True
        except OtherVersionError as error:
            # Servers behind one name can differ in their ETags, not in the file: its bytes have to prove it.
            log.warning("%s: on in one stream from byte %d, if the bytes prove the same", error, ranges.handed_out)
            self._validator = _NO_VERSION
            self._patience = Patience(self.settings, self._stopped)
        finally:
            self.resumes += ranges.resumes
        return ranges.handed_out

    # ------------------------------------------------------------------ links

    def _ask(self, patience: Patience, first: int = 0, last: int | None = None) -> Answer:
        """Send a request until it is answered well, with fresh links where the link is dead."""

        def get(link: str) -> Answer:
            return self._source.get(link, first=first, last=last, if_range=self._validator.if_range)

        dead, renewed = None, 0
        while True:
            try:
                with self._link_lock:
                    link = self._usable_link()
                    if link == dead:  # else another range has already renewed it
                        renewed += 1
                        link = self._renewed_link()
                        return get(link)  # before any other range: there are links that work only once
                return get(link)
            except DeadLinkError as error:
                dead = link
                if renewed == _MOST_RENEWALS:
                    raise SourceLinkExpiredError(f"{error}, and so does a fresh one") from None
            except BrokenError as error:
                patience.wait(error, "before the first byte of an answer")

    def _usable_link(self) -> str:
        if self._link is None:
            self._mint()
        assert self._link is not None  # _mint raises otherwise
        if not self.settings.plain_http and self._link[:5].lower() == "http:":
            raise SourceError("the vendor is reached by https, but the link of the file is plain http: not followed")
        return self._link

    def _renewed_link(self) -> str:
        self.link_refreshes += 1
        log.info("The link of the file is no longer valid: asking the vendor for a fresh one")
        self._mint()
        return self._usable_link()

    def _mint(self) -> None:
        output = self._refresh()
        if not output.url:
            raise SourceError("the vendor gives no link for the file")
        self._link = output.url
        if self._vendor_size is not None and output.size is not None and output.size != self._vendor_size:
            raise SourceError(f"the vendor replaced the file: {self._vendor_size} bytes before, {output.size} now")

    def _settle_size(self, size: int | None) -> None:
        if size is not None and self._vendor_size is not None and size != self._vendor_size:
            raise ContentCheckError(f"the source offers {size} bytes, the vendor says {self._vendor_size}")
        self.size = size if size is not None else self._vendor_size

    def _drop_answer(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None
