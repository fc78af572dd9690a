# SPDX-License-Identifier: Apache-2.0
"""The manifest of a bulk task: a line of JSON for each item, beside the videos, replaced as a whole while it runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from airflow_video_providers.bulk.ledger import Entry, ItemState
from airflow_video_providers.delivery.destination import Location, parse_location
from airflow_video_providers.delivery.stores.base import ObjectAttributes, ObjectStore
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.exceptions import VideoConfigurationError

EVERY_SECONDS = 60.0
"""How often the manifest is replaced while the task runs."""
_MEDIA_TYPE = "application/x-ndjson"
_LONGEST_ERROR = 500


def default_manifest(destination: str, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """
    Return where a task's manifest is by default: below the fixed part of the destination.

    :raises VideoConfigurationError: the destination has no fixed part.
    """
    fixed = fixed_folder(destination)
    if fixed.count("/") < 3:
        raise VideoConfigurationError(
            f"destination {destination!r} has no fixed folder for the manifest: give manifest."
        )
    shard = "" if map_index < 0 else f".{map_index}"
    safe = run_id.replace("/", "_").replace(":", "_").replace("+", "_")
    return f"{fixed}_manifests/{dag_id}/{safe}/{task_id}{shard}.jsonl"


def fixed_folder(destination: str) -> str:
    """Return the part of a destination that is the same for all items, up to its last slash."""
    fixed = destination.partition("{")[0]
    return fixed[: fixed.rfind("/") + 1]


class Manifest:
    """
    Writes the manifest.

    :param uri: where it is, e.g. ``s3://my_aws@bucket/_manifests/dag/run/task.jsonl``.
    """

    def __init__(self, uri: str) -> None:
        self.location: Location = parse_location(uri)
        self._store: ObjectStore | None = None
        self._written_at = float("-inf")

    @property
    def uri(self) -> str:
        """Its URI, without the connection's id."""
        return self.location.uri

    @property
    def console_url(self) -> str | None:
        """Its page in the web console of its cloud; None where there is none."""
        return self._open().console_url(self.location.key)

    def write(self, entries: Iterable[Entry]) -> None:
        """
        Replace the manifest: readers see the old one or the new one, whole.

        :raises DestinationError: the store refused.
        """
        store = self._open()
        data = "".join(f"{json.dumps(manifest_line(entry), ensure_ascii=False)}\n" for entry in entries).encode()
        store.put(self.location.key, data, ObjectAttributes(content_type=_MEDIA_TYPE), replace=True)
        self._written_at = time.monotonic()

    def _open(self) -> ObjectStore:
        if self._store is None:
            self._store = open_store(self.location)
        return self._store

    def is_due(self) -> bool:
        """Tell whether a minute has passed since it was written."""
        return time.monotonic() - self._written_at >= EVERY_SECONDS


def manifest_line(entry: Entry) -> dict[str, Any]:
    """Return what the manifest says of an item: plain JSON."""
    state = entry.state
    if state is ItemState.PENDING and entry.record is not None and entry.record.state == "intended":
        state = ItemState.RUNNING  # a request is under way
    return {
        "id": entry.item_id,
        "job_id": entry.job_id,
        "state": state.value,
        "files": [
            {name: file.get(name) for name in ("uri", "kind", "label", "size", "sha256")} for file in entry.files
        ],
        "error": None if entry.error is None else entry.error[:_LONGEST_ERROR],
        "submitted_at": _iso(entry.submitted_at),
        "finished_at": _iso(entry.finished_at),
        "cost": None if entry.cost is None else entry.cost.model_dump(mode="json"),
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
