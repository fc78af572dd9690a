# SPDX-License-Identifier: Apache-2.0
"""The DAGs of ``make bench-bulk``: the same renders in one task, and as three and as two mapped tasks."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, get_current_context, get_parsing_context, task
from bulk_lag import LagTrigger

from airflow_video_providers.operators.render_videos import RenderVideosOperator
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

CONN_ID = os.environ["BENCH_CONN_ID"]
STORE = os.environ["BENCH_STORE"]
WINDOWS = {int(window) for window in os.environ["BENCH_WINDOWS"].split(",")}
DESTINATION = f"{STORE}/videos/{{{{ run_id }}}}/{{job_id}}.{{ext}}"
DEFAULTS = {"retries": 1, "retry_delay": timedelta(0)}


class MeasureLag(BaseOperator):
    """Defers to a trigger that measures how late the triggerer's event loop is, until its file ``stop`` is there."""

    def execute(self, context: Any) -> None:
        conf = context["dag_run"].conf
        self.defer(trigger=LagTrigger(path=conf["path"], seconds=conf["seconds"]), method_name="done")

    def done(self, context: Any, event: Any) -> None:
        self.log.info("%s", event)


def wanted(dag_id: str) -> bool:
    return get_parsing_context().dag_id in (None, dag_id)  # a worker needs its own DAG alone


for window in WINDOWS:
    for way in ("worker", "deferrable"):
        for delivers in (True, False):
            dag_id = f"bulk_{window}_{way}{'' if delivers else '_render_only'}"
            if not wanted(dag_id):
                continue
            with DAG(dag_id, default_args=DEFAULTS) as dag:
                RenderVideosOperator(
                    task_id="render",
                    conn_id=CONN_ID,
                    requests="{{ dag_run.conf['requests'] }}",
                    destination=DESTINATION if delivers else None,
                    manifest=f"{STORE}/manifests/{{{{ run_id }}}}.jsonl",
                    max_active=window,
                    deferrable=way == "deferrable",
                )
            globals()[dag_id] = dag

if wanted("lag"):
    with DAG("lag"):
        MeasureLag(task_id="lag")

for tasks in (3, 2):
    if not wanted(f"mapped_{tasks}"):
        continue
    with DAG(f"mapped_{tasks}", max_active_tasks=1000, default_args=DEFAULTS) as dag:

        @task
        def requests_() -> list[dict[str, Any]]:
            return list(get_current_context()["dag_run"].conf["requests"])

        waits = {} if tasks == 3 else {"wait_for_completion": True, "deferrable": True}
        submit = SubmitVideoJobOperator.partial(task_id="submit", conn_id=CONN_ID, **waits).expand(request=requests_())
        rendered = submit
        if tasks == 3:
            rendered = VideoJobSensor.partial(task_id="wait", conn_id=CONN_ID, deferrable=True).expand(
                job_id=submit.output
            )
        VideoToObjectStorageOperator.partial(task_id="store", conn_id=CONN_ID, destination=DESTINATION).expand(
            job_id=rendered.output
        )
    globals()[f"mapped_{tasks}"] = dag
