# SPDX-License-Identifier: Apache-2.0
"""Submit, wait and store: three tasks. The page that shows it: docs/howto.md."""

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("three_tasks", params={"name": "Ada"}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="acme_default",
        request={"title": "Welcome {{ params.name }}", "script": "Good to have you here."},
    )
    wait = VideoJobSensor(task_id="wait", conn_id="acme_default", job_id=submit.output, poll_interval=30)
    VideoToObjectStorageOperator(
        task_id="store",
        conn_id="acme_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/{job_id}.{ext}",
    )
