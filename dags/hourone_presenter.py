# SPDX-License-Identifier: Apache-2.0
"""One presenter video with Hour One, based on a draft of the account; the triggerer waits for it."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("hourone_presenter", tags=["video"], params={"source_draft_id": "draft-1", "text": "Welcome to the team."}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="hourone_default",
        request={
            "type": "override",
            "source_draft_id": "{{ params.source_draft_id }}",
            "name": "Welcome",
            "scenes": [{"name": "greeting", "transcript": "{{ params.text }}"}],
        },
    )
    wait = VideoJobSensor(
        task_id="wait", conn_id="hourone_default", job_id=submit.output, poll_interval=60, deferrable=True
    )
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="hourone_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/hourone/{job_id}.{ext}",
    )
