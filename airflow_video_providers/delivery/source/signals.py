# SPDX-License-Identifier: Apache-2.0
"""Signals between the modules of a download. They are internal: none of them leaves it."""

from __future__ import annotations


class BrokenError(Exception):
    """
    The source broke off, or is not ready yet; another try may help.

    :param retry_after: seconds that the server asked to wait.
    :param stalled: the try has waited for the source already, so that the next one need not.
    """

    def __init__(self, message: str, retry_after: float | None = None, *, stalled: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.stalled = stalled


class DeadLinkError(Exception):
    """
    The response to the link is 401, 403, 404 or 410, or 400 "expired"; a fresh one may work.

    :param said_expired: the response says that the link has expired.
    :ivar fresh: the link was minted for this very request.
    """

    def __init__(self, link: str, status: int, *, said_expired: bool = False) -> None:
        super().__init__(f"the host of the file responded {status}")
        self.link = link
        self.status = status
        self.said_expired = said_expired
        self.fresh = False


class PastTheEndError(Exception):
    """The server responds 416: the file has no byte there; ``size`` is the file's length, where the server says so."""

    def __init__(self, size: int | None) -> None:
        super().__init__(f"it ends at byte {size}" if size is not None else "it has no more bytes")
        self.size = size


class UnusableRangeError(Exception):
    """The server answers a Range with what cannot be used; without a Range it may send the file."""


class RangesEndedError(Exception):
    """
    What is left of the file has to be read in one stream.

    :param other_version: a range was answered with another version, another range, or the whole file.
    """

    def __init__(self, message: str, *, other_version: bool = False) -> None:
        super().__init__(message)
        self.other_version = other_version
