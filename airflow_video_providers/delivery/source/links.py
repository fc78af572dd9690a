# SPDX-License-Identifier: Apache-2.0
"""The link of a file while it is read: minted by the vendor, shared by all readers, minted again when it dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar

from airflow_video_providers.delivery.source.patience import DownloadSettings, Patience
from airflow_video_providers.delivery.source.signals import BrokenError, DeadLinkError
from airflow_video_providers.delivery.source.urls import parse_link
from airflow_video_providers.exceptions import (
    SourceError,
    SourceLinkExpiredError,
    SourceLinkRefusedError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoOutputNotReadyError,
)

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

T = TypeVar("T")

PASSING_VENDOR_ERRORS = (
    VideoApiNotFoundError,  # some vendors say so for seconds
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
)
"""What a vendor that is asked for a fresh link may respond although it has one to give a little later."""

_REFUSED = (401, 403)
_TRIES_WHEN_ABSENT = 4


class Links:
    """
    The links of one output.

    :param output: as the vendor offers it; its size, where given, must stay.
    :param refresh: returns the output with a fresh link; raises what the vendor's hook raises when the file is gone.
    :param plain_http: whether a link may be http.
    """

    def __init__(self, output: VideoOutput, refresh: Callable[[], VideoOutput], *, plain_http: bool) -> None:
        self.refreshes = 0
        self._output = output
        self._size = output.size
        self._refresh = refresh
        self._plain_http = plain_http
        self._worked = False
        # Held while a link is minted, which takes long: a kill must not wait for it.
        self._lock = threading.Lock()

    def use(self, get: Callable[[str], T], *, instead_of: str | None) -> T:
        """
        Send a request for the current link, or for a fresh one.

        :param instead_of: a link that is dead; where another reader has replaced it already, its link is used.
        :raises BrokenError: the vendor gives no link yet. :raises SourceError: the link must not be followed.
        :raises VideoProviderError: what the vendor's hook raises; the link is not replaced then.
        """
        with self._lock:
            link = self._output.url
            if link is None or link == instead_of:
                self.refreshes += instead_of is not None
                link = self._mint()
                # Before any other reader: there are links that work only once.
                return self._get(link, get, fresh=True)
        return self._get(self._checked(link), get, fresh=False)

    def _get(self, link: str, get: Callable[[str], T], *, fresh: bool) -> T:
        try:
            response = get(link)
        except DeadLinkError as error:
            error.fresh = fresh
            raise
        self._worked = True
        return response

    def believe(self, dead: DeadLinkError) -> SourceError:
        """Return the error for a link that stayed dead, however often the vendor was asked for a fresh one."""
        if self._has_expired(dead):
            return SourceLinkExpiredError(
                f"{dead}: the link has expired, and so have the fresh ones that the vendor gave"
            )
        if dead.status in _REFUSED:
            return SourceError(
                f"{dead}, also to fresh links, though nothing says that they have expired: does the host want a "
                "sign-in, or refuse this machine's address?"
            )
        return SourceError(f"{dead}, also to fresh links: it does not have the file")

    def _has_expired(self, dead: DeadLinkError) -> bool:
        expires_at = self._output.expires_at
        over = expires_at is not None and expires_at <= datetime.now(timezone.utc)
        return dead.said_expired or over or (self._worked and dead.status in _REFUSED)

    def _mint(self) -> str:
        try:
            output = self._refresh()
        except VideoOutputNotReadyError as error:
            raise BrokenError(str(error)) from None
        if not output.url:
            raise BrokenError("the vendor gives no link for the file yet")
        if self._size is not None and output.size is not None and output.size != self._size:
            raise SourceError(f"the vendor replaced the file: {self._size} bytes before, {output.size} now")
        self._output = output
        return self._checked(output.url)

    def _checked(self, link: str) -> str:
        if parse_link(link).scheme == "http" and not self._plain_http:
            raise SourceLinkRefusedError(
                "the vendor is reached by https, but the link of the file is plain http: not followed"
            )
        return link


def wait_for_outputs(get_outputs: Callable[[], list[VideoOutput]], settings: DownloadSettings) -> list[VideoOutput]:
    """
    Return the files of a finished job; where the vendor names no link yet, ask again as patiently as a file is read.

    A vendor may also say for some seconds that it has no such video: it is asked four times.

    :raises VideoOutputNotReadyError: it never did. :raises VideoApiNotFoundError: it has no such video.
    """
    patience, absent = Patience(settings, threading.Event()), Patience(settings, threading.Event(), _TRIES_WHEN_ABSENT)
    while True:
        try:
            return get_outputs()
        except VideoOutputNotReadyError as error:
            patience.wait(BrokenError(str(error)), "yet", instead=error)
        except VideoApiNotFoundError as error:
            absent.wait(BrokenError(str(error)), "yet", instead=error)
