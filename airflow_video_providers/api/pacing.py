# SPDX-License-Identifier: Apache-2.0
"""
The rate that a vendor documents, kept for all calls of an account in this process.

A rate limit of the vendor stays possible, since other processes use the account too; it is the exception then.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque

log = logging.getLogger(__name__)

_WORTH_A_LINE = 5.0


class Pacer:
    """
    Lets at most ``burst`` calls begin in any ``burst / requests_per_second`` seconds, in the order in which they ask.

    :param requests_per_second: the rate over a longer time.
    :param burst: how many calls may begin at once.
    """

    def __init__(self, requests_per_second: float, burst: int = 1) -> None:
        self._window = burst / requests_per_second
        self._begun: deque[float] = deque(maxlen=burst)
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next place and return how many seconds the call must wait for it."""
        with self._lock:
            now = time.monotonic()
            full = len(self._begun) == self._begun.maxlen
            begin = max(now, self._begun[0] + self._window) if full else now
            self._begun.append(begin)
        return begin - now

    def wait(self) -> None:
        """Hold the thread until its call may begin."""
        seconds = self.reserve()
        if seconds > _WORTH_A_LINE:
            log.info("A call waits %.0f s, to keep the rate that the vendor documents", seconds)
        if seconds > 0:
            time.sleep(seconds)


_pacers: dict[tuple[str, str, float, int], Pacer] = {}
_lock = threading.Lock()


def shared_pacer(base_url: str, credentials: str, *, requests_per_second: float, burst: int) -> Pacer:
    """Return the pacer of an account in this process; connections with the same credentials share one."""
    account = hashlib.sha256(credentials.encode(errors="surrogatepass")).hexdigest()
    with _lock:
        return _pacers.setdefault((base_url, account, requests_per_second, burst), Pacer(requests_per_second, burst))
