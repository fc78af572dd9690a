# SPDX-License-Identifier: Apache-2.0
"""How often something may happen in a minute: refused callbacks in the log and in number, look-ups of connections."""

from __future__ import annotations

import time
from collections.abc import Callable


class PerMinute:
    """
    Counts what happens in a minute.

    :param most: how many may.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        self._began = clock()
        self._count = 0
        self._before = 0

    def allow(self) -> bool:
        """Count one more; return whether it is among those that may happen."""
        self._begin()
        self._count += 1
        return self._count <= self.most

    @property
    def is_spent(self) -> bool:
        """Whether no other may happen in this minute."""
        self._begin()
        return self._count >= self.most

    def take_surplus(self) -> int:
        """Return, once, how many in an earlier minute were too many."""
        self._begin()
        surplus, self._before = self._before, 0
        return surplus

    def _begin(self) -> None:
        now = self._clock()
        if now >= self._began + 60.0:
            self._before += max(0, self._count - self.most)
            self._began, self._count = now, 0
