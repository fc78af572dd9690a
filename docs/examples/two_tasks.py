# SPDX-License-Identifier: Apache-2.0
"""Render and store: two tasks. The page that shows it: docs/howto.md."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.retry_policy import VideoRetryPolicy
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("two_tasks"):
    render = SubmitVideoJobOperator(
        task_id="render",
        conn_id="acme_default",
        request={"title": "Welcome", "script": "Good to have you here."},
        wait_for_completion=True,
        deferrable=True,
        timeout=timedelta(hours=2),
        pool="video_renders",
        retries=2,
        retry_policy=VideoRetryPolicy(),
    )
    VideoToObjectStorageOperator(
        task_id="store",
        conn_id="acme_default",
        job_id=render.output,
        destination="{{ var.value.video_destination }}/{job_id}.{ext}",
    )
