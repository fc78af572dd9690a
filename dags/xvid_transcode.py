# SPDX-License-Identifier: Apache-2.0
"""Transcode a file of the archive with Xvid MediaHub: upload the source, submit, wait, store all outputs."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("xvid_transcode", tags=["video"], params={"pipeline_id": "pipeline-1", "preset_id": "preset-1"}):
    upload = ObjectStorageToVideoOperator(
        task_id="upload",
        source="{{ var.value.video_source }}",
        conn_id="xvid_default",
        options={"pipeline_id": "{{ params.pipeline_id }}"},
    )
    submit = SubmitVideoJobOperator(
        task_id="submit",
        conn_id="xvid_default",
        request={
            "pipeline": {"id": "{{ params.pipeline_id }}"},
            "input": {"input_name": "{{ ti.xcom_pull(task_ids='upload') }}"},
            "outputs": [{"preset": {"id": "{{ params.preset_id }}"}, "output_name": "web"}],
            "output_prefix": "{job_id}/",
        },
    )
    wait = VideoJobSensor(task_id="wait", conn_id="xvid_default", job_id=submit.output, poll_interval=60)
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="xvid_default",
        job_id=wait.output,
        destination="{{ var.value.video_destination }}/xvid/{job_id}/{name}.{ext}",
    )
    upload >> submit
