# SPDX-License-Identifier: Apache-2.0
"""The journal of deliveries: what survives a killed try, and a clear, in Airflow's task state store."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from airflow.sdk import Context


class Journal(Protocol):
    """Keeps one small JSON value for each destination."""

    def load(self, uri: str) -> dict[str, Any]:
        """Return what was saved, or an empty dictionary."""

    def save(self, uri: str, record: dict[str, Any]) -> None:
        """Save a value."""


class MemoryJournal(dict[str, dict[str, Any]]):
    """A journal that lives as long as the process: for use outside of a task."""

    def load(self, uri: str) -> dict[str, Any]:
        """Return what was saved."""
        return self.get(uri, {})

    def save(self, uri: str, record: dict[str, Any]) -> None:
        """Save a value."""
        self[uri] = record


class TaskJournal:
    """A journal under the task instance."""

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
    store = context.get("task_state_store")
    return MemoryJournal() if store is None else TaskJournal(store)


def _key(uri: str) -> str:
    # A key of the store may be shorter than a URI.
    return f"video_transfer_{hashlib.sha256(uri.encode()).hexdigest()[:24]}"
