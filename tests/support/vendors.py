# SPDX-License-Identifier: Apache-2.0
"""The vendors of the package, found as Airflow finds them: a test of all vendors names none."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from airflow.sdk.module_loading import import_string

from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.hooks.base import KeySupport, VideoHook

HOOKS: dict[str, type[VideoHook]] = {
    entry["connection-type"]: import_string(entry["hook-class-name"])
    for entry in get_provider_info()["connection-types"]
}
"""The class of each vendor's hook, by its connection type."""


def schemas_of(vendor: str) -> ModuleType:
    """Return the module of a vendor's models."""
    return import_module(f"airflow_video_providers.hooks.{vendor}.schemas")


def vendors_that(**facts: object) -> list[str]:
    """Return the vendors whose hooks have these class attributes, e.g. ``can_cancel=True``."""
    return [name for name, hook in HOOKS.items() if all(getattr(hook, fact) == value for fact, value in facts.items())]


ONE = vendors_that(key_support=KeySupport.EXACT, can_list=True, can_cancel=True)[0]
"""A vendor that can do most, for tests of what does not depend on the vendor."""

LISTED = vendors_that(can_list=True)
"""The vendors that tell of many jobs in one request."""

LONE = vendors_that(can_list=False, requests_per_second=None)
"""The vendors that are asked for each job by itself, and document no rate of requests."""


def one_of_each_kind(*facts: str) -> list[str]:
    """Return a vendor for each combination of these class attributes that there is."""
    kinds: dict[tuple[object, ...], str] = {}
    for name, hook in HOOKS.items():
        kinds.setdefault(tuple(getattr(hook, fact) for fact in facts), name)
    return list(kinds.values())
