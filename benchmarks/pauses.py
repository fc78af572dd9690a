# SPDX-License-Identifier: Apache-2.0
"""Pauses that are cut short, where what counts is requests and not time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


@contextlib.contextmanager
def short_pauses(longest: float) -> Iterator[None]:
    """Cut each pause of this process to so many seconds."""
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, longest))
    try:
        yield
    finally:
        time.sleep = sleep
