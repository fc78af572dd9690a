# SPDX-License-Identifier: Apache-2.0
"""The journal of deliveries in Airflow's task state store: it outlives a killed try, and a clear."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_video_providers.delivery.delivery import Journal


class TaskJournal:
    """One value for each destination, under the task instance."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def load(self, uri: str) -> dict[str, Any]:
        """Return what an earlier try saved."""
        return cast("dict[str, Any]", self._store.get(_key(uri)) or {})

    def save(self, uri: str, record: dict[str, Any]) -> None:
        """Save a value."""
        self._store.set(_key(uri), record)


def open_journal(context: Context) -> Journal:
    """Return the task's journal; outside of Airflow one that lives as long as the process."""
    from airflow_video_providers.delivery.delivery import MemoryJournal

    store = context.get("task_state_store")
    return MemoryJournal() if store is None else TaskJournal(store)


def _key(uri: str) -> str:
    # A key of the store may be shorter than a URI.
    return f"video_transfer_{hashlib.sha256(uri.encode()).hexdigest()[:24]}"
