# SPDX-License-Identifier: Apache-2.0
"""One clip by a model behind fal: submit, wait, store the video."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG(
    "fal_clip",
    tags=["video"],
    params={"model": "fal-ai/kling-video/v2/master/text-to-video", "prompt": "A red kite above a white beach"},
):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="fal_default",
        request={"endpoint": "{{ params.model }}", "prompt": "{{ params.prompt }}", "duration": "5"},
    )
    wait = VideoJobSensor(task_id="wait", conn_id="fal_default", job_id=submit.output, poll_interval=30)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="fal_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/fal/{job_id}/{kind}.{ext}",
    )
