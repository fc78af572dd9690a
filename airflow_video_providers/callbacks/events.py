# SPDX-License-Identifier: Apache-2.0
"""
Asset events of renders that have ended: ``video://{conn_type}/{conn_id}``, one for each job, after a poll proved it.

A callback of a connection whose asset some DAG refers to is kept as pending, in the state store of that asset, with the
callback itself. A thread of the API server polls the job and records the event; the entry is the lock that makes it one
event, whichever server comes first, and the memory that a repeated callback finds.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import with_row_locks
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_video_providers.callbacks.inbox import digest_of
from airflow_video_providers.exceptions import VideoApiNotFoundError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import VideoJob

log = logging.getLogger(__name__)

PREFIX = "video_callback/"
PAUSES = (15.0, 60.0, 300.0)
"""Seconds until a job that has not ended yet, or could not be polled, is polled again; then its entry is removed."""
SCAN_SECONDS = 30.0
"""How often entries are searched that another server has left, in seconds."""
_LEASE_SECONDS = 60.0
_PENDING = '"pending": true'


def keep_pending(session: Session, conn_type: str, conn_id: str, job_ids: Sequence[str]) -> bool:
    """Note jobs whose end is to be told; False: no DAG refers to the asset, or all of them are known."""
    uri = f"video://{conn_type}/{conn_id}"
    asset_id = session.scalar(select(AssetModel.id).where(AssetModel.uri == uri, AssetModel.active.has()))
    if asset_id is None:
        return False
    keys = {f"{PREFIX}{digest_of(conn_id, job_id=job_id)}": job_id for job_id in job_ids}
    of_asset = AssetStateStoreModel.asset_id == asset_id
    known = set(session.scalars(select(AssetStateStoreModel.key).where(of_asset, AssetStateStoreModel.key.in_(keys))))
    for key in keys.keys() - known:
        value = {"pending": True, "conn_id": conn_id, "job_id": keys[key], "polls": 0, "due": time.time()}
        session.add(AssetStateStoreModel(asset_id=asset_id, key=key, value=json.dumps(value)))
    session.flush()
    return keys.keys() != known


class Teller(threading.Thread):
    """
    Polls the jobs of pending entries, one after another, and records their events.

    :param find_hook: returns the hook of a connection, or None.
    """

    def __init__(self, find_hook: Callable[[str], VideoHook | None]) -> None:
        super().__init__(name="video-callback-events", daemon=True)
        self._find_hook = find_hook
        self._news = threading.Event()

    def wake(self) -> None:
        """Look at once: there is something to tell."""
        self._news.set()

    def run(self) -> None:
        """Tell for ever."""
        pause = SCAN_SECONDS
        while True:
            self._news.wait(pause)
            self._news.clear()
            try:
                pause = self.tell_all()
            except Exception as error:  # the database is away; the entries stay
                log.warning("Asset events of callbacks have to wait: %s", type(error).__name__)
                pause = SCAN_SECONDS

    def tell_all(self) -> float:
        """Tell what is due; return the seconds until something may be due again."""
        with create_session() as session:
            rows = session.execute(
                select(AssetStateStoreModel.asset_id, AssetStateStoreModel.key, AssetStateStoreModel.value).where(
                    AssetStateStoreModel.key.startswith(PREFIX, autoescape=True),
                    AssetStateStoreModel.value.contains(_PENDING, autoescape=True),
                )
            ).all()
        waits = [SCAN_SECONDS]
        for asset_id, key, value in rows:
            due = json.loads(value)["due"]
            if due > time.time():
                waits.append(due - time.time())
            elif (entry := _lease(asset_id, key)) is not None:
                self._tell(asset_id, key, entry)
        return max(0.5, min(waits))

    def _tell(self, asset_id: int, key: str, entry: dict[str, Any]) -> None:
        try:
            hook = self._find_hook(entry["conn_id"])
            job = None if hook is None else hook.get_job(entry["job_id"])
        except VideoApiNotFoundError:
            _settle(asset_id, key, {**entry, "pending": False, "state": "unknown"})  # the vendor has no such job
            return
        except Exception as error:
            log.warning("The job of a callback to %s was not polled: %s", entry["conn_id"], type(error).__name__)
            job = None
        if job is not None and job.state.is_terminal:
            _settle(asset_id, key, {**entry, "pending": False, "state": job.state.value}, extra_of(job, entry))
        elif entry["polls"] < len(PAUSES):
            pause = PAUSES[entry["polls"]]
            _settle(asset_id, key, {**entry, "polls": entry["polls"] + 1, "due": time.time() + pause})
        else:
            _settle(asset_id, key, None)  # a later callback begins anew


def extra_of(job: VideoJob, entry: dict[str, Any]) -> dict[str, Any]:
    """Return what an event says; ``duration`` is that of the render, in seconds, where the vendor tells both times."""
    duration = None
    if job.created_at is not None and job.finished_at is not None:
        duration = round((job.finished_at - job.created_at).total_seconds(), 3)
    return {
        "conn_id": entry["conn_id"],
        "vendor": job.vendor,
        "job_id": job.job_id,
        "state": job.state.value,
        "name": job.name,
        "duration": duration,
    }


def _lock(session: Session, asset_id: int, key: str) -> AssetStateStoreModel | None:
    query = select(AssetStateStoreModel).where(
        AssetStateStoreModel.asset_id == asset_id, AssetStateStoreModel.key == key
    )
    row: AssetStateStoreModel | None = session.scalar(with_row_locks(query, session))
    return row


def _lease(asset_id: int, key: str) -> dict[str, Any] | None:
    """Take an entry for a minute; None: another server has it."""
    with create_session() as session:
        row = _lock(session, asset_id, key)
        entry: dict[str, Any] = {} if row is None else json.loads(row.value)
        if row is None or not entry.get("pending") or entry["due"] > time.time():
            return None
        row.value = json.dumps({**entry, "due": time.time() + _LEASE_SECONDS})
        return entry


def _settle(asset_id: int, key: str, entry: dict[str, Any] | None, extra: dict[str, Any] | None = None) -> None:
    """Write what became of an entry, and its event, in one transaction; not if another server has written it."""
    with create_session() as session:
        row = _lock(session, asset_id, key)
        if row is None or not json.loads(row.value).get("pending"):
            return
        if entry is None:
            session.delete(row)
            return
        row.value = json.dumps(entry)
        asset = session.get(AssetModel, asset_id)
        if extra is not None and asset is not None:
            asset_manager.register_asset_change(asset=asset, extra=extra, session=session)
            log.info("Asset event %s: job %s, %s", asset.uri, extra["job_id"], extra["state"])
