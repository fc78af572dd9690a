# SPDX-License-Identifier: Apache-2.0
"""The DAGs of ``make test-distributed``: shards of a bulk task, single renders in three tasks, one long list."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task_group

from airflow_video_providers.operators.render_videos import RenderVideosOperator
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

ORDERS = json.loads(Path(os.environ["DISTRIBUTED_ORDERS"]).read_text())
DEFAULTS = {"retries": 12, "retry_delay": timedelta(seconds=2), "max_retry_delay": timedelta(seconds=10)}
BULK = {"max_active": 8, "max_failures": 0.9, "poll_interval": 5}
STORE = ORDERS["store"]

with DAG("bulk_shards", max_active_tasks=1000, default_args=DEFAULTS):
    for way in ("deferrable", "worker"):
        RenderVideosOperator.partial(task_id=way, deferrable=way == "deferrable", **BULK).expand_kwargs(
            ORDERS["shards"][way]
        )

with DAG("bulk_one_list", max_active_tasks=1000, default_args=DEFAULTS):
    RenderVideosOperator(task_id="render", deferrable=True, **{**BULK, "max_active": 40}, **ORDERS["list"])

with DAG("singles", max_active_tasks=1000, default_args=DEFAULTS):

    @task_group
    def render(conn_id, request):
        submit = SubmitVideoJobOperator(task_id="submit", conn_id=conn_id, request=request)
        wait = VideoJobSensor(task_id="wait", conn_id=conn_id, job_id=submit.output, deferrable=True, poll_interval=5)
        VideoToObjectStorageOperator(
            task_id="store",
            conn_id=conn_id,
            job_id=wait.output,
            destination=f"{STORE}/videos/singles/{{job_id}}.{{ext}}",
        )

    render.expand_kwargs(ORDERS["singles"])
