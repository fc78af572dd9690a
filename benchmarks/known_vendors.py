# SPDX-License-Identifier: Apache-2.0
"""The vendors that benchmarks run with: found in the provider info, with what their hooks say that they can do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from airflow.sdk.module_loading import import_string

from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.hooks.base import KeySupport, VideoHook


@dataclass(frozen=True)
class Vendor:
    """
    One vendor, as its hook describes it.

    :param sure: whether a try always finds out what became of a lost response: the vendor can be searched exactly, or
        replays an idempotency key.
    :param can_cancel: whether a running job can be cancelled.
    :param can_list: whether one request asks for many jobs.
    :param calls_back: whether nothing but its callback tells what became of a lost response.
    :param paced: whether the package keeps a rate of requests that the vendor documents.
    """

    name: str
    sure: bool
    can_cancel: bool
    can_list: bool
    paced: bool
    calls_back: bool = False


def find_vendors(chosen: Collection[str] = ()) -> dict[str, Vendor]:
    """Return the vendors of the provider by name; those that are chosen, if any are."""
    found = {}
    for kind in get_provider_info()["connection-types"]:
        name = kind["connection-type"]
        if not chosen or name in chosen:
            hook: type[VideoHook] = import_string(kind["hook-class-name"])
            sure = hook.key_support is KeySupport.EXACT or hook.replay_seconds is not None
            paced = hook.requests_per_second is not None
            calls_back = hook.takes_callback and not sure and hook.key_support is KeySupport.NONE
            found[name] = Vendor(name, sure, hook.can_cancel, hook.can_list, paced, calls_back)
    return found


def vendor_with_list() -> str:
    """Return a vendor that tells of many jobs in one request, and documents no rate of requests."""
    return next(name for name, vendor in reversed(find_vendors().items()) if vendor.can_list and not vendor.paced)


def vendor_without_list() -> str:
    """Return a vendor that is asked for each job by itself, and documents no rate of requests."""
    return next(name for name, vendor in find_vendors().items() if not vendor.can_list and not vendor.paced)
