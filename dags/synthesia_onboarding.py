# SPDX-License-Identifier: Apache-2.0
"""One onboarding video from a Synthesia template: submit, wait, store the video and its thumbnail."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG(
    "synthesia_onboarding",
    tags=["video"],
    params={"template_id": "9cd2e5f3-0000-4000-8000-000000000001", "employee": "Ada"},
):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="synthesia_default",
        request={
            "templateId": "{{ params.template_id }}",
            "templateData": {"name": "{{ params.employee }}"},
            "title": "Welcome {{ params.employee }}",
            "test": True,
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="synthesia_default", job_id=submit.output, poll_interval=60)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="synthesia_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/synthesia/{job_id}/{kind}.{ext}",
        outputs=("video", "thumbnail"),
    )
