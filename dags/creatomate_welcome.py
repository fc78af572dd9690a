# SPDX-License-Identifier: Apache-2.0
"""One welcome clip from a Creatomate template: submit, wait, store the video and its snapshot."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("creatomate_welcome", tags=["video"], params={"template_id": "template-1", "customer": "Ada"}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="creatomate_default",
        request={
            "template_id": "{{ params.template_id }}",
            "modifications": {"Title.text": "Welcome {{ params.customer }}"},
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="creatomate_default", job_id=submit.output, poll_interval=30)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="creatomate_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/creatomate/{job_id}/{kind}.{ext}",
        outputs=("video", "thumbnail"),
    )
