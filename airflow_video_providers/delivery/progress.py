# SPDX-License-Identifier: Apache-2.0
"""What the log says of a transfer that runs."""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger(__name__)

_LOG_EVERY_SECONDS = 10.0


class Progress:
    """One line in the log every 10 seconds, or every 10 % where that is later than a second after the last."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.size: int | None = None
        self._done = 0
        self._tenth = 0
        self._started = self._last = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count bytes that came (below 0: that must come again). Called by all reading threads."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            tenth = self._done * 10 // self.size if self.size else 0
            if now - self._last < (1.0 if tenth > self._tenth else _LOG_EVERY_SECONDS):
                return
            self._last, self._tenth = now, tenth
            done, size, rate = self._done, self.size, max(self._done, 1) / (now - self._started)
        if size:
            log.info(
                "%s: %d of %d MB (%d %%), %.1f MB/s, %.0f s left",
                self.uri, done // 10**6, size // 10**6, done * 100 // size, rate / 1e6, (size - done) / rate,
            )  # fmt: skip
        else:
            log.info("%s: %d MB, %.1f MB/s, the size is not known", self.uri, done // 10**6, rate / 1e6)
