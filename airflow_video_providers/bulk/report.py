# SPDX-License-Identifier: Apache-2.0
"""What a bulk task tells of its items: counts, the summary that it returns, the line of its log."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

from airflow_video_providers.bulk.ledger import ItemState, Ledger
from airflow_video_providers.jobs import JobCost


class Report:
    """
    Counts the items of a ledger.

    :param manifest: the URI of the manifest.
    :param max_failures: how many items may fail, a whole number or a share of all below 1.
    """

    def __init__(self, ledger: Ledger, *, manifest: str, max_failures: float) -> None:
        self._ledger, self._manifest, self._max_failures = ledger, manifest, max_failures
        self._began, self._before = time.monotonic(), self.count(ItemState.SUCCEEDED)

    def count(self, *states: ItemState) -> int:
        """Return how many items are in these states."""
        return sum(1 for _ in self._ledger.in_state(*states))

    @property
    def failures(self) -> int:
        """How many items count as failed."""
        return self.count(ItemState.FAILED, ItemState.AMBIGUOUS, ItemState.CANCELLED)

    @property
    def most_failures(self) -> int:
        """How many items may fail."""
        share = self._max_failures
        is_share = isinstance(share, float) and share < 1
        # 0.29 of 100 are 29, which the product of two floats falls short of.
        return int(share * len(self._ledger.entries) + 1e-9) if is_share else int(share)

    def failed_too_many(self) -> bool:
        """Tell whether more items failed than are allowed."""
        return self.failures > self.most_failures

    def could_retry(self) -> bool:
        """Tell whether a retry may change anything: an item failed for a reason that may pass, or was never tried."""
        return any(
            entry.delivery_failed
            or entry.state in (ItemState.CANCELLED, ItemState.PENDING)
            or (entry.state is ItemState.FAILED and not entry.is_hopeless)
            for entry in self._ledger.entries
            if entry.state is not ItemState.SUCCEEDED
        )

    def summary(self) -> dict[str, Any]:
        """Return the counts: plain JSON."""
        entries = self._ledger.entries
        return {
            "requested": len(entries),
            "succeeded": self.count(ItemState.SUCCEEDED),
            "failed": self.count(ItemState.FAILED),
            "ambiguous": self.count(ItemState.AMBIGUOUS),
            "cancelled": self.count(ItemState.CANCELLED),
            "bytes": self.delivered()[0],
            "cost": _total(entry.cost for entry in entries),
            "manifest": self._manifest,
        }

    def delivered(self) -> tuple[int, int]:
        """Return how many bytes, and how many files, were delivered."""
        sizes = [int(file.get("size") or 0) for entry in self._ledger.entries for file in entry.files]
        return sum(sizes), len(sizes)

    def describe(self) -> str:
        """Return one line: what is done, active and failed, how fast, and how long it still takes."""
        total, done = len(self._ledger.entries), self.count(ItemState.SUCCEEDED)
        text = f"{done} of {total} done"
        parts = {
            "active": self.count(ItemState.RUNNING),
            "to deliver": self.count(ItemState.RENDERED),
            "failed": self.count(ItemState.FAILED),
            "ambiguous": self.count(ItemState.AMBIGUOUS),
            "cancelled": self.count(ItemState.CANCELLED),
        }
        text += "".join(f", {count} {name}" for name, count in parts.items() if count)
        minutes = (time.monotonic() - self._began) / 60
        left = total - done - self.failures
        if done > self._before and minutes > 0.1 and left:
            rate = (done - self._before) / minutes
            text += f"; {rate:.1f} a minute, about {left / rate:.0f} min left"
        return text


def _total(costs: Iterable[JobCost | None]) -> dict[str, Any] | None:
    """Return the sum of costs of one unit; None where there are none, or of several units."""
    known = [(cost.amount, cost.unit) for cost in costs if cost is not None and cost.amount is not None]
    if len({unit for _, unit in known}) != 1:
        return None
    return {"amount": round(math.fsum(amount for amount, _ in known), 6), "unit": known[0][1]}
