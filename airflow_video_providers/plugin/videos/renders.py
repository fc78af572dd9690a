# SPDX-License-Identifier: Apache-2.0
"""
Find the renders that tasks have recorded in XCom, newest first, a page at a time.

Airflow's own list of XComs (``/api/v2/dags/~/dagRuns/~/taskInstances/~/xcomEntries``) returns keys without their
values: a page that used it would send one request for each render, and could not filter by state or vendor. This module
reads the same table with the same filter of DAGs that the user may see. No vendor is called.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from airflow_video_providers.exceptions import VideoApiError
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.plugin.videos.recorded import Recorded, files_in
from airflow_video_providers.text.redaction import is_clean

JOB_KEY = "video_job"
MANIFEST_KEY = "manifest"
MOST = 100
"""How many renders a page has at most."""
BULK_OPERATOR = "RenderVideosOperator"
_FAILED = ("failed", "upstream_failed", "removed")
_BAD_CURSOR = "The cursor is not one of this page."
_Place = tuple[datetime, int, str, int]


class BadCursorError(ValueError):
    """The cursor is not one that this module has made."""


@dataclass(frozen=True)
class Filter:
    """
    Which renders are wanted; None and an empty text mean all.

    :param dag_ids: the DAGs whose XComs the user may read.
    """

    dag_ids: Collection[str]
    dag_id: str | None = None
    run_id: str | None = None
    state: str | None = None
    vendor: str | None = None


def find_renders(session: Session, wanted: Filter, *, cursor: str | None, limit: int) -> dict[str, Any]:
    """
    Return a page of renders: ``{"renders": [...], "next": cursor or None}``.

    A render that several tasks of a run have recorded is shown once, as the last of them saw it.

    :param cursor: ``next`` of the page before.
    :raises BadCursorError: it is not one.
    """
    place = _read_cursor(cursor) if cursor else None
    records = _newest(wanted) if wanted.state else _records(wanted)
    # Most renders have two records, one of the task that submitted it and one of the task that waited for it.
    rows = _read(session, records, wanted, place, limit * (1 if wanted.state else 2) + 1)
    newer = set() if wanted.state else _superseded(session, rows)
    renders: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if len(renders) == limit:
            return _page(session, renders, _cursor(rows[number - 1]))
        shown = None if _place(row) in newer else _shown(row)
        if shown is not None:
            renders.append(shown)
    more = len(rows) > limit * (1 if wanted.state else 2)
    return _page(session, renders, _cursor(rows[-1]) if more else None)


def _page(session: Session, renders: list[dict[str, Any]], cursor: str | None) -> dict[str, Any]:
    _add_files(session, renders)
    for render in renders:
        del render["dag_run_id"]
    return {"renders": renders, "next": cursor}


def _read(session: Session, records: Any, wanted: Filter, place: _Place | None, most: int) -> Sequence[Any]:
    """Return the newest records from a place on, with their values and what their tasks and runs have come to."""
    page = select(records.c.dag_run_id, records.c.task_id, records.c.map_index, records.c.key)
    if wanted.state:
        page = page.where(records.c.state == wanted.state)
    if wanted.vendor:
        page = page.where(records.c.vendor == wanted.vendor)
    if place is not None:
        page = page.where(_after(records.c, *place))
    found = page.order_by(*_order(records.c)).limit(most).subquery()
    columns: list[Any] = [
        *(getattr(XComModel, name) for name in ("dag_run_id", "dag_id", "run_id", "task_id", "map_index", "key")),
        XComModel.timestamp,
        XComModel.value,
        TaskInstance.state.label("task_state"),
        TaskInstance.operator,
        TaskInstance.rendered_map_index,
        DagRun.state.label("run_state"),
    ]
    names = ("dag_run_id", "task_id", "map_index", "key")
    return session.execute(
        select(*columns)
        .join(found, and_(*(getattr(XComModel, name) == found.c[name] for name in names)))
        .join(TaskInstance, _same_task(XComModel, TaskInstance))
        .join(DagRun, DagRun.id == XComModel.dag_run_id)
        .order_by(*_order(XComModel))
    ).all()


def _superseded(session: Session, rows: Sequence[Any]) -> set[tuple[Any, ...]]:
    """Return the places of records of which another task of the run has a newer one of the same render."""
    jobs = {_render_of(row): row for row in reversed(rows) if row.key == JOB_KEY and isinstance(row.value, dict)}
    if not jobs:
        return set()
    newest = {}
    found = session.execute(
        select(XComModel.dag_run_id, XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.timestamp,
               XComModel.value["vendor"].as_string().label("vendor"),
               XComModel.value["job_id"].as_string().label("job_id"))
        .where(
            XComModel.key == JOB_KEY,
            XComModel.dag_run_id.in_(sorted({row.dag_run_id for row in rows})),
            XComModel.value["job_id"].as_string().in_(sorted({str(row.value.get("job_id")) for row in jobs.values()})),
        )
    )  # fmt: skip
    everything = sorted(found, key=lambda record: (record.timestamp, record.task_id))
    for record in everything:
        newest[record.dag_run_id, record.vendor, record.job_id] = _place(record)
    return {_place(record) for record in everything} - set(newest.values())


def _render_of(row: Any) -> tuple[Any, ...]:
    return (row.dag_run_id, str(row.value.get("vendor")), str(row.value.get("job_id")))


def _place(row: Any) -> tuple[Any, ...]:
    return (row.dag_run_id, row.task_id, row.map_index, row.key)


def count_renders(session: Session, wanted: Filter) -> dict[str, dict[str, int]]:
    """Return how many renders there are of each state, vendor and DAG, for the choices of the filters."""
    newest = _newest(wanted)
    counts: dict[str, dict[str, int]] = {"state": {}, "vendor": {}, "dag_id": {}}
    rows = session.execute(
        select(newest.c.state, newest.c.vendor, newest.c.dag_id, func.count()).group_by(
            newest.c.state, newest.c.vendor, newest.c.dag_id
        )
    )
    for state, vendor, dag_id, count in rows:
        for name, value in (("state", state), ("vendor", vendor), ("dag_id", dag_id)):
            if value:
                counts[name][value] = counts[name].get(value, 0) + count
    return counts


def _columns(*more: Any) -> list[Any]:
    names = ("dag_run_id", "dag_id", "task_id", "map_index", "key", "timestamp")
    return [*(getattr(XComModel, name) for name in names), *more]


def _wanted(wanted: Filter) -> list[Any]:
    conditions: list[Any] = [XComModel.dag_id.in_(wanted.dag_ids)]
    if wanted.dag_id:
        conditions.append(XComModel.dag_id == wanted.dag_id)
    if wanted.run_id:
        conditions.append(XComModel.run_id == wanted.run_id)
    return conditions


_VENDOR = XComModel.value["vendor"].as_string()


def _records(wanted: Filter) -> Any:
    """Return a subquery with all records, also older ones of the same render: cheap, since no value is looked into."""
    # The XCom of a bulk task is a text, in which no database looks for a vendor.
    vendor = case((XComModel.key == JOB_KEY, _VENDOR), else_=None).label("vendor")
    return select(*_columns(vendor)).where(XComModel.key.in_([JOB_KEY, MANIFEST_KEY]), *_wanted(wanted)).subquery()


def _newest(wanted: Filter) -> Any:
    """Return a subquery with the last record of each render, and its state."""
    rank = func.row_number().over(
        partition_by=(XComModel.dag_run_id, XComModel.value["job_id"].as_string(), _VENDOR),
        order_by=(XComModel.timestamp.desc(), XComModel.task_id.desc()),
    )
    ranked = (
        select(
            *_columns(XComModel.value["state"].as_string().label("state"), _VENDOR.label("vendor")), rank.label("rank")
        )
        .where(XComModel.key == JOB_KEY, XComModel.value["job_id"].as_string().is_not(None), *_wanted(wanted))
        .subquery()
    )
    task = TaskInstance.state
    state = case(
        (task == "success", literal(JobState.SUCCEEDED.value)),
        (task.in_(_FAILED), literal(JobState.FAILED.value)),
        else_=literal(JobState.RUNNING.value),
    )
    bulks = (
        select(*_columns(state.label("state"), cast(None, String).label("vendor")))
        .join(TaskInstance, _same_task(XComModel, TaskInstance))
        .where(XComModel.key == MANIFEST_KEY, TaskInstance.operator == BULK_OPERATOR, *_wanted(wanted))
    )
    jobs = select(*(column for column in ranked.c if column.name != "rank")).where(ranked.c.rank == 1)
    return union_all(jobs, bulks).subquery()


def _same_task(one: Any, other: Any) -> ColumnElement[bool]:
    return and_(
        one.dag_id == other.dag_id,
        one.run_id == other.run_id,
        one.task_id == other.task_id,
        one.map_index == other.map_index,
    )


def _shown(row: Any) -> dict[str, Any] | None:
    """Return what the page needs of one record; None where somebody else has pushed something of this name."""
    render: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("dag_run_id", "dag_id", "run_id", "task_id", "map_index", "task_state", "run_state")
    }
    render.update(
        map_name=row.rendered_map_index,
        seen_at=row.timestamp.isoformat(),
        live=row.run_state in ("queued", "running"),
        files=[],
    )
    if row.key == MANIFEST_KEY:
        if not isinstance(row.value, str) or row.operator != BULK_OPERATOR:
            return None
        state = {"success": "succeeded", **dict.fromkeys(_FAILED, "failed")}.get(row.task_state, "running")
        return {**render, "kind": "bulk", "state": state, "manifest": row.value, "summary": None}
    try:
        job = VideoJob.from_xcom(row.value)
    except (ValueError, VideoApiError):
        return None
    return {**render, "kind": "render", **job.model_dump(mode="json", exclude={"key"})}


def _add_files(session: Session, renders: Sequence[dict[str, Any]]) -> None:
    """Add the files that tasks of the same run have stored of each render, and the summaries of bulk tasks."""
    by_job = {
        (render["dag_run_id"], render["vendor"], render["job_id"]): render
        for render in renders
        if render["kind"] == "render"
    }
    by_task = {
        (render["dag_run_id"], render["task_id"], render["map_index"]): render
        for render in renders
        if render["kind"] == "bulk"
    }
    if not renders:
        return
    is_file = XComModel.value[(0, "job_id")].as_string().in_(sorted({job_id for _, _, job_id in by_job}))
    is_summary = XComModel.task_id.in_(sorted({task_id for _, task_id, _ in by_task}))
    rows = session.execute(
        select(XComModel.dag_run_id, XComModel.task_id, XComModel.map_index, XComModel.value).where(
            XComModel.key == "return_value",
            XComModel.dag_run_id.in_(sorted({render["dag_run_id"] for render in renders})),
            or_(is_file, is_summary),
        )
    )
    for row in rows:
        bulk = by_task.get((row.dag_run_id, row.task_id, row.map_index))
        if bulk is not None and isinstance(row.value, dict):
            bulk["summary"] = row.value
        for file in files_in(row.value):
            render = by_job.get((row.dag_run_id, file.vendor, file.job_id))
            if render is not None:
                render["files"].append({"task_id": row.task_id, "map_index": row.map_index, **as_shown(file)})


def as_shown(file: Recorded) -> dict[str, Any]:
    """Return what the page needs of a file."""
    names = ("uri", "kind", "label", "size", "media_type", "duration_seconds")
    return {name: getattr(file, name) for name in names}


# ---------------------------------------------------------------- where a page begins


def _cursor(row: Any) -> str:
    place = [row.timestamp.isoformat(), row.dag_run_id, row.task_id, row.map_index]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read_cursor(cursor: str) -> _Place:
    try:
        time, dag_run_id, task_id, map_index = json.loads(base64.urlsafe_b64decode(cursor))
        at = datetime.fromisoformat(time)
        place = (
            at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc),
            int(dag_run_id),
            str(task_id),
            int(map_index),
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise BadCursorError(_BAD_CURSOR) from None
    # What a database takes for a number and for a text.
    if not (0 <= place[1] < 2**63 and -1 <= place[3] < 2**31 and is_clean(place[2])):
        raise BadCursorError(_BAD_CURSOR)
    return place


def _order(at: Any) -> list[Any]:
    return [at.timestamp.desc(), at.dag_run_id.desc(), at.task_id.desc(), at.map_index.desc()]


def _after(at: Any, time: datetime, dag_run_id: int, task_id: str, map_index: int) -> ColumnElement[bool]:
    return or_(
        at.timestamp < time,
        and_(at.timestamp == time, at.dag_run_id < dag_run_id),
        and_(at.timestamp == time, at.dag_run_id == dag_run_id, at.task_id < task_id),
        and_(at.timestamp == time, at.dag_run_id == dag_run_id, at.task_id == task_id, at.map_index < map_index),
    )
