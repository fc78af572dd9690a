# SPDX-License-Identifier: Apache-2.0
"""One personal clip from a Shotstack template: submit, wait, store the video within the day that its file lives."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("shotstack_personal_clip", tags=["video"], params={"template_id": "template-1", "customer": "Ada"}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="shotstack_default",
        request={
            "id": "{{ params.template_id }}",
            "merge": [{"find": "NAME", "replace": "{{ params.customer }}"}],
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="shotstack_default", job_id=submit.output, poll_interval=30)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="shotstack_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/shotstack/{job_id}.{ext}",
    )
