# SPDX-License-Identifier: Apache-2.0
"""One greeting by an avatar of HeyGen: submit, wait, store the video and its subtitles."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("heygen_greeting", tags=["video"], params={"avatar_id": "avatar-1", "voice_id": "voice-1", "name": "Ada"}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="heygen_default",
        request={
            "type": "avatar",
            "avatar_id": "{{ params.avatar_id }}",
            "voice_id": "{{ params.voice_id }}",
            "script": "Hello {{ params.name }}, good to have you here!",
            "title": "Greeting for {{ params.name }}",
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="heygen_default", job_id=submit.output, poll_interval=30)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="heygen_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/heygen/{job_id}/{kind}.{ext}",
        outputs=("video", "subtitles"),
    )
