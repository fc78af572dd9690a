# SPDX-License-Identifier: Apache-2.0
"""Faults on demand: which requests and callbacks they strike, and how often."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

CALLBACK = "callback"
"""The operation of a call to a receiver of the user's; ``*`` does not include it, since it is no request."""

EXPIRED_LINKS: ContextVar[bool] = ContextVar("expired_links", default=False)
"""Set while a request is answered whose links shall be expired from the start."""


@dataclass
class Fault:
    """One fault: where it strikes, how often, and what it does (``effect``)."""

    vendor: str
    operation: str
    effect: dict[str, Any]
    times: int | None = 1
    after: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(4))

    def strikes(self, vendor: str, operations: tuple[str, ...]) -> bool:
        """Return whether this fault hits this request or callback; count down ``after`` and ``times``."""
        everywhere = self.operation == "*" and CALLBACK not in operations
        if self.vendor not in ("*", vendor) or not (everywhere or self.operation in operations):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0
