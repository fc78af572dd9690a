# SPDX-License-Identifier: Apache-2.0
"""The vendors' documents in ``tests/recorded``, as responses of a local server."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.local_api import Answer

RECORDED = Path(__file__).parents[1] / "recorded"


def document(vendor: str, name: str, status: int = 200) -> Answer:
    """Return a response with a vendor's document."""
    return Answer(status=status, json=json.loads((RECORDED / vendor / f"{name}.json").read_text("utf-8")))
