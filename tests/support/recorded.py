# SPDX-License-Identifier: Apache-2.0
"""Rows in Airflow's database as tasks of this provider leave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_video_providers.jobs import JobState, VideoJob

NOW = datetime.now(timezone.utc)


class Records:
    """Writes runs, task instances and XComs."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._runs: dict[tuple[str, str], int] = {}
        self._tasks: set[tuple[str, str, str, int]] = set()

    def run(self, dag_id: str, run_id: str, *, state: str = "success") -> int:
        """Return the id of a run; the first call makes it, and its DAG."""
        from airflow.models.dag import DagModel
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun

        if (dag_id, run_id) not in self._runs:
            self.session.merge(DagBundleModel(name="dags-folder"))
            self.session.flush()
            self.session.merge(
                DagModel(dag_id=dag_id, bundle_name="dags-folder", is_paused=False, is_stale=False, fileloc="dag.py")
            )
            run = DagRun(dag_id=dag_id, run_id=run_id, run_type="manual", state=state, run_after=NOW)
            self.session.add(run)
            self.session.flush()
            self._runs[dag_id, run_id] = run.id
        return self._runs[dag_id, run_id]

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str, value: Any, *, map_index: int = -1,
        state: str = "success", run_state: str = "success", age: float = 0.0, operator: str = "",
        rendered: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Write what a task has pushed ``age`` seconds ago; its task instance is made with it."""
        from airflow.models.renderedtifields import RenderedTaskInstanceFields
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.xcom import XComModel

        dag_run_id = self.run(dag_id, run_id, state=run_state)
        place = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        if (dag_id, run_id, task_id, map_index) not in self._tasks:
            self._tasks.add((dag_id, run_id, task_id, map_index))
            more = {
                "state": state,
                "operator": operator,
                "pool": "default_pool",
                "pool_slots": 1,
                "executor_config": {},
            }
            self.session.execute(TaskInstance.__table__.insert().values(**place, **more, span_status="not_started"))
        if rendered is not None:
            self.session.execute(
                RenderedTaskInstanceFields.__table__.insert().values(**place, rendered_fields=dict(rendered))
            )
        self.session.execute(
            XComModel.__table__.insert().values(
                **place, dag_run_id=dag_run_id, key=key, value=value, timestamp=NOW - timedelta(seconds=age)
            )
        )

    def job(self, dag_id: str, run_id: str, task_id: str, job: VideoJob, **more: Any) -> None:
        """Write the XCom ``video_job``."""
        self.xcom(dag_id, run_id, task_id, "video_job", job.to_xcom(), **more)

    def files(self, dag_id: str, run_id: str, task_id: str, files: list[dict[str, Any]], **more: Any) -> None:
        """Write what a task that stores files returns."""
        self.xcom(dag_id, run_id, task_id, "return_value", files, **more)


def recorded_job(job_id: str, **more: Any) -> VideoJob:
    """Return a job of a vendor that does not exist."""
    values: dict[str, Any] = {"vendor": "acme", "state": JobState.SUCCEEDED, "vendor_status": "done", **more}
    return VideoJob(job_id=job_id, **values)


def recorded_file(uri: str, job_id: str, **more: Any) -> dict[str, Any]:
    """Return what the XCom of a store task says of a file."""
    return {
        "uri": uri, "kind": "video", "label": None, "size": 1000, "sha256": None, "media_type": "video/mp4",
        "duration_seconds": 5.0, "vendor": "acme", "job_id": job_id, "store_conn_id": None, **more,
    }  # fmt: skip


@pytest.fixture
def records(airflow_db: None) -> Iterator[Records]:
    """Give an empty database to write to; what is written is committed at ``session.commit()``."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(DagRun).delete()
        session.commit()
        yield Records(session)
        session.query(DagRun).delete()
