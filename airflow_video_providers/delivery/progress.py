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
            left = (size - done) / rate
            text = f"{done * 100 // size} %, about {left:.0f} s left · {amount(done)} of {amount(size)}"
        else:
            text = f"{amount(done)}, the size is not known"
        log.info("%s · %s/s · %s", text, amount(rate), self.uri)


def amount(count: float) -> str:
    """Return a number of bytes as a log shows it: ``812 B``, ``4.2 MB``."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95 or unit == "GB":
            break
    return f"{count:.1f} {unit}"
