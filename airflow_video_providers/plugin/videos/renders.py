# SPDX-License-Identifier: Apache-2.0
"""
Find the renders that tasks have recorded in XCom, newest first, a page at a time.

Airflow's own list of XComs (``/api/v2/dags/~/dagRuns/~/taskInstances/~/xcomEntries``) returns keys without their
values: a page that used it would send one request for each render, and could not filter by state or vendor. This module
reads the same table with the same filter of DAGs that the user may see. No vendor is called.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from airflow_video_providers.exceptions import VideoApiError
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.plugin.videos.recorded import Recorded, files_in

JOB_KEY = "video_job"
MANIFEST_KEY = "manifest"
MOST = 100
"""How many renders a page has at most."""
_FAILED = ("failed", "upstream_failed", "removed")


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
    newest = _newest(wanted)
    rows = select(newest.c.dag_run_id, newest.c.task_id, newest.c.map_index, newest.c.key, newest.c.timestamp)
    if wanted.state:
        rows = rows.where(newest.c.state == wanted.state)
    if wanted.vendor:
        rows = rows.where(newest.c.vendor == wanted.vendor)
    if cursor:
        rows = rows.where(_after(newest, *_read_cursor(cursor)))
    rows = rows.order_by(
        newest.c.timestamp.desc(), newest.c.dag_run_id.desc(), newest.c.task_id.desc(), newest.c.map_index.desc()
    ).limit(limit + 1)
    page = rows.subquery()
    columns: list[Any] = [
        *(getattr(XComModel, name) for name in ("dag_run_id", "dag_id", "run_id", "task_id", "map_index", "key")),
        XComModel.timestamp,
        XComModel.value,
        TaskInstance.state.label("task_state"),
        TaskInstance.rendered_map_index,
        DagRun.state.label("run_state"),
    ]
    found = session.execute(
        select(*columns)
        .join(
            page,
            and_(
                XComModel.dag_run_id == page.c.dag_run_id,
                XComModel.task_id == page.c.task_id,
                XComModel.map_index == page.c.map_index,
                XComModel.key == page.c.key,
            ),
        )
        .join(TaskInstance, _same_task(XComModel, TaskInstance))
        .join(DagRun, DagRun.id == XComModel.dag_run_id)
        .order_by(
            XComModel.timestamp.desc(),
            XComModel.dag_run_id.desc(),
            XComModel.task_id.desc(),
            XComModel.map_index.desc(),
        )
    ).all()
    more = len(found) > limit
    found = found[:limit]
    renders = [shown for row in found if (shown := _shown(row)) is not None]
    _add_files(session, renders)
    for render in renders:
        del render["dag_run_id"]
    return {"renders": renders, "next": _cursor(found[-1]) if more else None}


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


def _newest(wanted: Filter) -> Any:
    """Return a subquery with the last record of each render."""
    is_bulk = XComModel.key == MANIFEST_KEY
    task = TaskInstance.state
    bulk_state = case(
        (task == "success", literal(JobState.SUCCEEDED.value)),
        (task.in_(_FAILED), literal(JobState.FAILED.value)),
        else_=literal(JobState.RUNNING.value),
    )
    vendor, job_id = XComModel.value["vendor"].as_string(), XComModel.value["job_id"].as_string()
    # One manifest stands for a whole task, so that each is of its own.
    whose = case((is_bulk, XComModel.task_id), else_=vendor)
    which = case((is_bulk, cast(XComModel.map_index, String)), else_=job_id)
    columns = select(
        XComModel.dag_run_id,
        XComModel.dag_id,
        XComModel.task_id,
        XComModel.map_index,
        XComModel.key,
        XComModel.timestamp,
        case((is_bulk, bulk_state), else_=XComModel.value["state"].as_string()).label("state"),
        case((is_bulk, None), else_=vendor).label("vendor"),
        func.row_number()
        .over(
            partition_by=(XComModel.dag_run_id, XComModel.key, whose, which),
            order_by=(XComModel.timestamp.desc(), XComModel.task_id.desc()),
        )
        .label("rank"),
    ).join(TaskInstance, _same_task(XComModel, TaskInstance))
    columns = columns.where(
        or_(
            and_(XComModel.key == JOB_KEY, job_id.is_not(None)),
            and_(is_bulk, TaskInstance.operator == "RenderVideosOperator"),
        ),
        XComModel.dag_id.in_(wanted.dag_ids),
    )
    if wanted.dag_id:
        columns = columns.where(XComModel.dag_id == wanted.dag_id)
    if wanted.run_id:
        columns = columns.where(XComModel.run_id == wanted.run_id)
    ranked = columns.subquery()
    return select(ranked).where(ranked.c.rank == 1).subquery()


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
        if not isinstance(row.value, str):
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


def _read_cursor(cursor: str) -> tuple[datetime, int, str, int]:
    try:
        time, dag_run_id, task_id, map_index = json.loads(base64.urlsafe_b64decode(cursor))
        at = datetime.fromisoformat(time)
        return (
            at.astimezone(timezone.utc) if at.tzinfo else at.replace(tzinfo=timezone.utc),
            int(dag_run_id),
            str(task_id),
            int(map_index),
        )
    except (ValueError, TypeError, binascii.Error):
        raise BadCursorError("The cursor is not one of this page.") from None


def _after(newest: Any, time: datetime, dag_run_id: int, task_id: str, map_index: int) -> ColumnElement[bool]:
    at = newest.c
    return or_(
        at.timestamp < time,
        and_(at.timestamp == time, at.dag_run_id < dag_run_id),
        and_(at.timestamp == time, at.dag_run_id == dag_run_id, at.task_id < task_id),
        and_(at.timestamp == time, at.dag_run_id == dag_run_id, at.task_id == task_id, at.map_index < map_index),
    )
