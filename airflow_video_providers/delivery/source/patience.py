# SPDX-License-Identifier: Apache-2.0
"""How patiently a file is read: tries in a row without progress are limited, tries with progress are not."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass, field

from airflow_video_providers.api.links import LinkPolicy
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.api.transport import LEAST_RATE
from airflow_video_providers.delivery.source.signals import BrokenError
from airflow_video_providers.exceptions import SourceError, VideoProviderError

log = logging.getLogger(__name__)

PARALLEL_FROM = 64 * 1024 * 1024
_PROGRESS = 64 * 1024
_LONGEST_BACKOFF = 30.0
_LONGEST_WAIT = 120.0


@dataclass(frozen=True)
class DownloadSettings:
    """
    How patiently and how widely a file is read.

    :param client: timeouts, proxy, TLS of the vendor's connection.
    :param attempts: tries in a row without progress (64 KiB) before giving up (default 6).
    :param backoff: seconds before the second try, doubled each time, at most 30, with jitter (default 1).
    :param streams: ranges read at once where that is safe (default 4; 1 turns it off).
    :param parallel_from: bytes from which ranges are worth it (default 64 MiB).
    :param plain_http: whether a link may be http; not where the vendor itself is reached by https.
    :param links: where links and redirects may lead (default: anywhere).
    :param store_conn_id: the Airflow connection for files that the vendor wrote into a bucket (default: none, so that
        the cloud's own credentials are used).
    """

    client: ClientSettings = field(default_factory=ClientSettings)
    attempts: int = 6
    backoff: float = 1.0
    streams: int = 4
    parallel_from: int = PARALLEL_FROM
    plain_http: bool = True
    links: LinkPolicy | None = None
    store_conn_id: str | None = None


class Patience:
    """
    Tries in a row without progress, and the waits between them.

    :param stopped: ends a wait.
    :param attempts: overrides those of the settings.
    """

    def __init__(self, settings: DownloadSettings, stopped: threading.Event, attempts: int | None = None) -> None:
        self.settings = settings
        self.attempts = attempts or settings.attempts
        self.failures = 0
        self._furthest = 0
        self._since = time.monotonic()
        self._stopped = stopped

    def progress(self, filled: int) -> None:
        """Count bytes beyond the furthest point so far: what is only read again is no progress."""
        if filled - self._furthest >= _PROGRESS:
            self._furthest = filled
            self._since = time.monotonic()
            self.failures = 0

    def check_rate(self, filled: int) -> None:
        """
        Check the rate over several responses, of a host that sends at most so much in each of them.

        :raises BrokenError: less than 1 KiB a second has come since the last progress, over one read timeout.
        """
        waited = time.monotonic() - self._since
        if waited >= self.settings.client.read_timeout and filled - self._furthest < LEAST_RATE * waited:
            raise BrokenError("the source stalled: next to no bytes in each response", stalled=True)

    def wait(self, error: BrokenError, where: str, *, instead: VideoProviderError | None = None) -> None:
        """
        Wait before the next try.

        :param instead: raised where there were too many tries, rather than what broke.
        :raises SourceError: there were too many tries without progress, or the transfer was stopped.
        """
        self.failures += 1
        if self.failures >= self.attempts:
            if instead is not None:
                raise instead from None
            raise SourceError(f"{error} {where}; given up after {self.failures} tries without progress") from None
        pause = self._pause(error)
        log.warning("%s %s; trying again in %.1f s", error, where, pause)
        if self._stopped.wait(pause):
            raise SourceError("the transfer was stopped") from None

    def _pause(self, error: BrokenError) -> float:
        doublings = 0 if error.stalled else self.failures - 1
        pause = min(_LONGEST_BACKOFF, self.settings.backoff * 2.0**doublings) * random.uniform(0.5, 1.0)
        return pause if error.retry_after is None else min(_LONGEST_WAIT, max(pause, error.retry_after))
