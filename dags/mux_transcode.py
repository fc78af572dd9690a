# SPDX-License-Identifier: Apache-2.0
"""One file of an archive through Mux: submit, wait until its MP4s are made, store the video and a thumbnail."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("mux_transcode", tags=["video"], params={"source": "https://example.com/archive/film-1.mp4"}):
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="mux_default",
        request={
            "inputs": [{"url": "{{ params.source }}"}],
            "playback_policies": ["public"],
            "static_renditions": [{"resolution": "highest"}],
            "video_quality": "basic",
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="mux_default", job_id=submit.output, poll_interval=30)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="mux_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/mux/{job_id}/{kind}.{ext}",
        outputs=("video", "thumbnail"),
    )
