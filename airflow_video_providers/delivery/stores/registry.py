# SPDX-License-Identifier: Apache-2.0
"""
Find the store that serves the scheme of a URI.

Each module or package in this folder that defines ``STORE`` is a store. It is imported when a DAG is parsed, so that it
imports a cloud's client only when it opens a bucket. Another distribution adds a store by an entry point of the group
``airflow_video_providers.stores`` that is named after the scheme and leads to a :class:`StoreType`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from airflow_video_providers.delivery import stores
from airflow_video_providers.delivery.stores.base import ObjectStore
from airflow_video_providers.exceptions import VideoConfigurationError

if TYPE_CHECKING:
    from airflow_video_providers.delivery.destination import Location

_GROUP = "airflow_video_providers.stores"
_LONGEST_KEY = 1024


def key_problem(key: str) -> str | None:
    """Return what is wrong with a key in a cloud's store, or None."""
    size = len(key.encode())
    return f"the key is too long: {size} bytes, at most {_LONGEST_KEY}" if size > _LONGEST_KEY else None


@dataclass(frozen=True)
class StoreType:
    """
    A kind of object store.

    :param schemes: of its URIs; stored objects are named with the first.
    :param open: returns the store of a bucket, given the id of an Airflow connection or None.
    :param extra: the extra of this distribution that installs the store's client.
    :param has_bucket: False: URIs have the form ``scheme:///key``.
    :param folds_case: two keys that differ only in case may be one object.
    :param key_problem: returns what is wrong with a key, or None.
    """

    schemes: tuple[str, ...]
    open: Callable[[str, str | None], ObjectStore]
    extra: str | None = None
    has_bucket: bool = True
    folds_case: bool = False
    key_problem: Callable[[str], str | None] = key_problem


@lru_cache(maxsize=1)
def _own_types() -> dict[str, StoreType]:
    modules = [import_module(f"{stores.__name__}.{found.name}") for found in pkgutil.iter_modules(stores.__path__)]
    types: list[StoreType] = [module.STORE for module in modules if hasattr(module, "STORE")]
    return {scheme: store_type for store_type in types for scheme in store_type.schemes}


def known_schemes() -> list[str]:
    """Return the scheme of each store, those of other distributions included."""
    own = {store_type.schemes[0] for store_type in _own_types().values()}
    return sorted(own.union(entry_points(group=_GROUP).names))


@lru_cache(maxsize=32)
def find_store_type(scheme: str) -> StoreType | None:
    """
    Return the kind of store that serves a scheme; None where there is none.

    :raises VideoConfigurationError: another distribution's store cannot be imported.
    """
    own = _own_types().get(scheme)
    if own is not None:
        return own
    for entry in entry_points(group=_GROUP, name=scheme):
        try:
            found: StoreType = entry.load()
        except Exception as error:
            raise VideoConfigurationError(f"the store of {scheme}:// ({entry.value}) is broken: {error}") from error
        return found
    return None


def open_store(location: Location) -> ObjectStore:
    """
    Return the store of a location, signed in as its Airflow connection says.

    :raises VideoConfigurationError: no store serves the scheme, or the package of its client is not installed.
    """
    store_type = find_store_type(location.scheme)
    if store_type is None:
        raise VideoConfigurationError(f"{location.uri}: no store serves {location.scheme}://")
    try:
        return store_type.open(location.bucket, location.conn_id)
    except ModuleNotFoundError as error:
        remedy = f": pip install 'airflow-video-providers[{store_type.extra}]'" if store_type.extra else ""
        raise VideoConfigurationError(
            f"{location.uri} needs a package that is not installed ({error.name}){remedy}"
        ) from error
