# SPDX-License-Identifier: Apache-2.0
"""
Keeps callbacks in Airflow's database: news for the waits, job ids for submissions in doubt, work for asset events.

For the API server alone: it writes to the metadata database, which no task and no triggerer may.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import delete, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from airflow_video_providers.callbacks.events import keep_pending
from airflow_video_providers.callbacks.inbox import (
    NEWS_PREFIX,
    QUARTER_MINUTE,
    digest_of,
    doubt_name,
    news_name,
    oldest_news,
)

_KEY = re.compile(r"avp-[0-9a-f]{40}")
_ATTEMPTS = 4
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Received:
    """
    A callback that has proved itself.

    :param conn_id: the connection whose secret it has proved.
    :param conn_type: the vendor.
    :param job_id: the job that it names; None: it names none.
    :param key: the submission key that it names; None: it names none.
    :param at: when it was received, in seconds of the epoch.
    :param candidates: ids in its links, of which one may be the job's.
    """

    conn_id: str
    conn_type: str
    job_id: str | None
    key: str | None
    at: float
    candidates: tuple[str, ...] = ()

    def digests(self) -> list[str]:
        """Return what stands for the job, in the names of news."""
        found = [] if self.job_id is None else [digest_of(self.conn_id, job_id=self.job_id)]
        return found if self.key is None else [*found, digest_of(self.conn_id, key=self.key)]


def keep(batch: Sequence[Received]) -> bool:
    """
    Keep callbacks, all or none of them, in one transaction. One that is kept already changes nothing.

    :return: whether there is an asset event to tell.
    :raises sqlalchemy.exc.SQLAlchemyError: the database does not take them now.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            with create_session() as session:
                _keep_news(session, batch)
                _settle_doubts(session, batch)
                return _note_events(session, batch)
        except IntegrityError:  # another API server has just kept the same callback
            if not left:
                raise
    raise AssertionError("the last attempt raises")


def _note_events(session: Session, batch: Sequence[Received]) -> bool:
    jobs: dict[tuple[str, str], list[str]] = {}
    for each in batch:
        if each.job_id is not None:
            jobs.setdefault((each.conn_type, each.conn_id), []).append(each.job_id)
    noted = [keep_pending(session, *of, job_ids) for of, job_ids in jobs.items()]
    return any(noted)


def _keep_news(session: Session, batch: Sequence[Received]) -> None:
    """
    Keep news of each job and key that a callback names.

    Where there are some of this quarter minute already, they may have been seen, and a later callback may say more: it
    is news of the next quarter minute, so that it costs a poll then, and is not lost.
    """
    wanted = {
        news_name(digest, each.at): (news_name(digest, each.at + QUARTER_MINUTE), each)
        for each in batch
        for digest in each.digests()
    }
    known = _names_among(session, [*wanted, *(following for following, _ in wanted.values())])
    for name, (following, each) in wanted.items():
        name = following if name in known else name
        if name in known:
            continue
        known.add(name)
        value = json.dumps({"conn_id": each.conn_id, "job_id": each.job_id, "key": each.key, "received": each.at})
        about = "A callback of a video API; removed after 5 minutes."
        session.add(Variable(name, value, about))
    session.flush()


def _names_among(session: Session, names: Iterable[str]) -> set[str]:
    names, found = list(names), set[str]()
    for start in range(0, len(names), _AT_ONCE):
        found.update(session.scalars(select(Variable.key).where(Variable.key.in_(names[start : start + _AT_ONCE]))))
    return found


def _settle_doubts(session: Session, batch: Sequence[Received]) -> None:
    """Tell submissions whose outcome is unknown what the vendor calls back; others have no entry, and get none."""
    named = {doubt_name(each.key): each for each in batch if each.key is not None and _KEY.fullmatch(each.key)}
    names = list(named)
    for start in range(0, len(names), _AT_ONCE):
        for variable in session.scalars(select(Variable).where(Variable.key.in_(names[start : start + _AT_ONCE]))):
            each = named[variable.key]
            doubt = _read(variable.val)
            if doubt.get("conn_id") != each.conn_id or doubt.get("job_id") is not None:
                continue  # of another connection; or resolved already
            candidates = each.candidates or doubt.get("candidates", [])
            told = {"job_id": each.job_id, "candidates": candidates, "received": each.at}
            variable.val = json.dumps({**doubt, **told})


def _read(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def forget_old_news(now: float | None = None) -> None:
    """Remove news that every triggerer has had the time to see."""
    oldest = oldest_news(time.time() if now is None else now)
    with create_session() as session:
        session.execute(
            delete(Variable)
            .where(Variable.key.startswith(NEWS_PREFIX, autoescape=True), Variable.key < oldest)
            .execution_options(synchronize_session=False)
        )


def check_database() -> None:
    """Raise ``SQLAlchemyError`` if the database is away: a connection that is not found may be there all the same."""
    with create_session() as session:
        session.execute(text("SELECT 1"))
