# SPDX-License-Identifier: Apache-2.0
"""One generated spot from a text: submit, wait, store the video; the XCom ``video_job`` tells what it cost."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("runway_product_spot", tags=["video"], params={"prompt": "A red kite above a white beach, slow motion"}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="runway_default",
        request={
            "endpoint": "text_to_video",
            "model": "gen4.5",
            "promptText": "{{ params.prompt }}",
            "ratio": "1280:720",
            "duration": 5,
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="runway_default", job_id=submit.output, poll_interval=30)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="runway_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/runway/{job_id}.{ext}",
    )
