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
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.utils.session import create_session
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from airflow_video_providers.callbacks.inbox import digest_of
from airflow_video_providers.exceptions import VideoApiNotFoundError
from airflow_video_providers.hooks.base import VideoHook

log = logging.getLogger(__name__)

PREFIX = "video_callback/"
PAUSES = (15.0, 60.0, 300.0)
"""Seconds until a job that has not ended yet, or could not be polled, is polled again; then its entry is removed."""
SCAN_SECONDS = 30.0
"""How often entries are searched that another server has left, in seconds."""
REMEMBERED = timedelta(days=30)
"""How long after its callback a job that was told is remembered; Airflow itself removes nothing from the store."""
_FORGET_SECONDS = 3600.0
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
        """Poll at once: there is something to tell."""
        self._news.set()

    def run(self) -> None:
        """Tell for ever."""
        pause, forgotten = SCAN_SECONDS, -_FORGET_SECONDS
        while True:
            self._news.wait(pause)
            self._news.clear()
            try:
                pause = self.tell_all()
                if time.monotonic() >= forgotten + _FORGET_SECONDS:
                    forget_told()
                    forgotten = time.monotonic()
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
            elif (leased := _lease(asset_id, key)) is not None:
                self._tell(asset_id, key, leased)
        return max(0.5, min(waits))

    def _tell(self, asset_id: int, key: str, leased: str) -> None:
        entry = json.loads(leased)
        try:
            hook = self._find_hook(entry["conn_id"])
            job = None if hook is None else hook.get_job(entry["job_id"])
        except VideoApiNotFoundError:
            _settle(asset_id, key, leased, {**entry, "pending": False, "state": "unknown"})
            return
        except Exception as error:
            log.warning("The job of a callback to %s was not polled: %s", entry["conn_id"], type(error).__name__)
            job = None
        if job is not None and job.state.is_terminal:
            ended = {**entry, "pending": False, "state": job.state.value}
            _settle(asset_id, key, leased, ended, job.to_asset_event(entry["conn_id"]))
        elif entry["polls"] < len(PAUSES):
            pause = PAUSES[entry["polls"]]
            _settle(asset_id, key, leased, {**entry, "polls": entry["polls"] + 1, "due": time.time() + pause})
        else:
            _settle(asset_id, key, leased, None)  # a later callback begins anew


def forget_told(now: datetime | None = None) -> None:
    """Remove the entries of jobs that were told long ago."""
    with create_session() as session:
        session.execute(
            delete(AssetStateStoreModel)
            .where(
                AssetStateStoreModel.key.startswith(PREFIX, autoescape=True),
                AssetStateStoreModel.updated_at < (now or datetime.now(timezone.utc)) - REMEMBERED,
                ~AssetStateStoreModel.value.contains(_PENDING, autoescape=True),
            )
            .execution_options(synchronize_session=False)
        )


def _replace(session: Session, asset_id: int, key: str, before: str, after: str | None) -> bool:
    """Write an entry if nobody has written it since it was read; the database decides between two servers."""
    place = (
        AssetStateStoreModel.asset_id == asset_id,
        AssetStateStoreModel.key == key,
        AssetStateStoreModel.value == before,
    )
    change: Any = (
        delete(AssetStateStoreModel).where(*place)
        if after is None
        else update(AssetStateStoreModel).where(*place).values(value=after)
    )
    done: Any = session.execute(change.execution_options(synchronize_session=False))
    return bool(done.rowcount == 1)


def _lease(asset_id: int, key: str) -> str | None:
    """Take an entry for a minute, and return it as it stands then; None: another server has it."""
    with create_session() as session:
        before: str | None = session.scalar(
            select(AssetStateStoreModel.value).where(
                AssetStateStoreModel.asset_id == asset_id, AssetStateStoreModel.key == key
            )
        )
        entry: dict[str, Any] = {} if before is None else json.loads(before)
        if before is None or not entry.get("pending") or entry["due"] > time.time():
            return None
        # Whoever leases it writes another value, also in the same instant.
        leased = json.dumps({**entry, "due": time.time() + _LEASE_SECONDS, "lease": uuid.uuid4().hex})
        return leased if _replace(session, asset_id, key, before, leased) else None


def _settle(
    asset_id: int, key: str, leased: str, entry: dict[str, Any] | None, extra: dict[str, Any] | None = None
) -> None:
    """Write what became of a leased entry, and its event, in one transaction; not if the lease is over."""
    with create_session() as session:
        if not _replace(session, asset_id, key, leased, None if entry is None else json.dumps(entry)):
            return
        asset = session.get(AssetModel, asset_id)
        if extra is not None and asset is not None:
            asset_manager.register_asset_change(asset=asset, extra=extra, session=session)
            log.info("Asset event %s: job %s, %s", asset.uri, extra["job_id"], extra["state"])
