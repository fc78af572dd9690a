# SPDX-License-Identifier: Apache-2.0
"""One module (or package) a vendor, named like its connection type and found by itself; each has a ``VENDOR``."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_video_providers.simulator.vendor import Vendor

VENDORS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
"""The names of all vendors."""


def load_vendors() -> dict[str, Vendor]:
    """Import all vendors' modules, and return their ``VENDOR`` by name."""
    return {name: import_module(f"{__name__}.{name}").VENDOR for name in VENDORS}
