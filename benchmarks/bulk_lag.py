# SPDX-License-Identifier: Apache-2.0
"""A trigger that measures how late the event loop of its triggerer is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

BEAT = 0.02


class LagTrigger(BaseTrigger):
    """
    Sleep 20 ms at a time, and write by how much each sleep was too long.

    :param path: where the measurements go, as JSON; ``<path>.stop`` ends the trigger.
    :param seconds: after which it ends by itself.
    """

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__()
        self.path, self.seconds = path, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "bulk_lag.LagTrigger", {"path": self.path, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        late: list[float] = []
        began = written = time.monotonic()
        Path(self.path).write_text("[]")
        while time.monotonic() - began < self.seconds and not Path(f"{self.path}.stop").exists():
            before = time.monotonic()
            await asyncio.sleep(BEAT)
            late.append(time.monotonic() - before - BEAT)
            if before - written > 5:
                written = before
                text = json.dumps(late)
                await asyncio.to_thread(Path(self.path).write_text, text)
        Path(self.path).write_text(json.dumps(late))
        yield TriggerEvent(len(late))
