# SPDX-License-Identifier: Apache-2.0
"""One training video from a Colossyan template: submit, wait, store the video, its thumbnail and its subtitles."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("colossyan_course", tags=["video"], params={"template_job_id": "onboarding", "learner": "Ada"}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="colossyan_default",
        request={
            "templateJobId": "{{ params.template_job_id }}",
            "dynamicVariables": {"name": "{{ params.learner }}"},
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="colossyan_default", job_id=submit.output, poll_interval=60)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="colossyan_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/colossyan/{job_id}/{kind}.{ext}",
        outputs=("video", "thumbnail", "subtitles"),
    )
