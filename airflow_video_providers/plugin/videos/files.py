# SPDX-License-Identifier: Apache-2.0
"""
Find the object of a file that a task has recorded, and prove that it is the one that the task has stored.

An XCom can be written by whoever may edit XComs. So what it names is not served because it is named: the object must
carry the name of the job in its metadata, as our deliveries write it, or lie where the task's own ``destination`` says,
which nobody but the task's worker writes. Besides, its first bytes must be those of a media file.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.xcom import XComModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_video_providers.delivery.destination import PLACEHOLDERS, Location, parse_location
from airflow_video_providers.delivery.formats import FIRST_BYTES, find_format, fitting_media_type
from airflow_video_providers.delivery.stores.base import ObjectStore, StoredObject
from airflow_video_providers.delivery.stores.reading import open_with_head
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.exceptions import VideoConfigurationError, VideoTransferError
from airflow_video_providers.plugin.videos.recorded import Recorded, files_in

_STORE_SECONDS = 300.0
_MOST_STORES = 32


class NotServedError(Exception):
    """The file is not there, or not one that the page may show; the text says which, and names no secret."""


@dataclass(frozen=True)
class TaskKey:
    """The task instance that has recorded a file."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


@dataclass(frozen=True)
class Found:
    """A recorded file: what the task says of it, where it is, and what the task's ``destination`` was, where known."""

    file: Recorded
    location: Location
    destination: str | None


def find_file(session: Session, task: TaskKey, uri: str) -> Found:
    """
    Return a file that a task has recorded.

    :raises NotServedError: the task has not recorded this URI.
    """
    recorded = _value(session, task, "return_value")
    for file in files_in(recorded):
        if file.uri == uri:
            fields = _rendered_fields(session, task)
            destination = fields.get("destination")
            return _found(file, destination if isinstance(destination, str) else None)
    raise NotServedError("The task has recorded no such file.")


def _found(file: Recorded, destination: str | None) -> Found:
    try:
        location = parse_location(file.uri)
    except VideoConfigurationError:
        raise NotServedError("The file lies in no store that is known here.") from None
    base = _location_of(destination)
    conn_id = file.store_conn_id or (base.conn_id if base is not None else None)
    return Found(file, Location(location.scheme, conn_id, location.bucket, location.key), destination)


def open_file(found: Found) -> tuple[BinaryIO, StoredObject, str]:
    """
    Open a file after proving that it is the one that the task has stored; return stream, object and media type.

    :raises NotServedError: it is not there, is another object, or is no media file.
    """
    try:
        store = _stores.get(found.location)
        stream, stored, head = open_with_head(store, found.location.key, size=FIRST_BYTES)
    except (VideoTransferError, VideoConfigurationError) as error:
        raise NotServedError(f"The file cannot be read: {error}") from None
    try:
        if not (_is_named(found.file, stored) or _lies_at(found.location, found.destination)):
            raise NotServedError("The object is not the one that the task has stored.")
        format_ = find_format(head, found.file.kind)
        if format_ is None:
            raise NotServedError(f"The object is no file of the kind {found.file.kind}.")
        media_type = fitting_media_type([format_], found.file.media_type) or format_.media_types[0]
        return stream, stored, media_type
    except BaseException:
        stream.close()
        raise


def etag_of(stored: StoredObject) -> str:
    """Return a strong entity tag for a version of an object."""
    return f'"{hashlib.sha256(f"{stored.version}/{stored.size}".encode()).hexdigest()[:32]}"'


# ---------------------------------------------------------------- the proofs


def _is_named(file: Recorded, stored: StoredObject) -> bool:
    """Tell whether an object carries the name of the job, as a delivery writes it."""
    job_id = file.job_id if file.job_id.isascii() else hashlib.sha256(file.job_id.encode()).hexdigest()
    kind = stored.metadata.get("videooutput", "").partition("-")[0]
    return (
        stored.metadata.get("videovendor") == file.vendor
        and stored.metadata.get("videojobid") == job_id
        and kind == file.kind
    )


def _lies_at(location: Location, destination: str | None) -> bool:
    """Tell whether a location is below the fixed part of a destination."""
    base = _location_of(destination)
    if base is None or destination is None:
        return False
    fixed = destination.partition("{")[0]
    fixed = fixed.partition("://")[2].partition("/")[2].lstrip("/")
    same_bucket = (base.scheme, base.bucket) == (location.scheme, location.bucket)
    # A destination without any fixed folder would prove nothing.
    return same_bucket and "/" in fixed and location.key.startswith(fixed)


def _location_of(destination: str | None) -> Location | None:
    if not destination:
        return None
    try:
        return parse_location(destination.format(**dict.fromkeys((*PLACEHOLDERS, "id"), "x")))
    except (VideoConfigurationError, KeyError, IndexError, ValueError, AttributeError):
        return None


# ---------------------------------------------------------------- what the database says


def _value(session: Session, task: TaskKey, key: str) -> Any:
    return session.scalar(
        select(XComModel.value).where(
            XComModel.dag_id == task.dag_id,
            XComModel.run_id == task.run_id,
            XComModel.task_id == task.task_id,
            XComModel.map_index == task.map_index,
            XComModel.key == key,
        )
    )


def _rendered_fields(session: Session, task: TaskKey) -> Mapping[str, Any]:
    rendered = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(
            RenderedTaskInstanceFields.dag_id == task.dag_id,
            RenderedTaskInstanceFields.run_id == task.run_id,
            RenderedTaskInstanceFields.task_id == task.task_id,
            RenderedTaskInstanceFields.map_index == task.map_index,
        )
    )
    return rendered if isinstance(rendered, Mapping) else {}


# ---------------------------------------------------------------- stores, kept for a while


class _Stores:
    """Opened stores: signing in takes longer than a request should."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str | None, str], tuple[float, ObjectStore]] = {}

    def get(self, location: Location) -> ObjectStore:
        """Return the store of a location; a changed connection counts after 5 minutes at the latest."""
        place, now = (location.scheme, location.conn_id, location.bucket), time.monotonic()
        with self._lock:
            since, store = self._kept.get(place, (float("-inf"), None))
        if store is not None and now - since < _STORE_SECONDS:
            return store
        store = open_store(location)
        with self._lock:
            if len(self._kept) >= _MOST_STORES:
                self._kept.clear()
            self._kept[place] = (now, store)
        return store


_stores = _Stores()
