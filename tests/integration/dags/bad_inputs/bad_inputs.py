# SPDX-License-Identifier: Apache-2.0
"""Tasks that cannot work, each for a reason of its own; none may buy anything."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

TEMPLATE = {"templateJobId": "onboarding", "dynamicVariables": {"name": "Ada"}}

with DAG("bad_inputs"):
    SubmitVideoJobOperator(task_id="wrong_key", conn_id="wrong_key", request=TEMPLATE)
    SubmitVideoJobOperator(task_id="missing_connection", conn_id="not_there", request=TEMPLATE)
    SubmitVideoJobOperator(task_id="other_connection", conn_id="no_video_api", request=TEMPLATE)
    SubmitVideoJobOperator(task_id="malformed_request", conn_id="hourone_default", request={"type": "override"})
    SubmitVideoJobOperator(task_id="vendor_down", conn_id="vendor_down", request=TEMPLATE)
    VideoJobSensor(task_id="unknown_job", conn_id="xvid_default", job_id="559cbbec14ea67a7cad6c7d8")
    VideoToObjectStorageOperator(
        task_id="unknown_video", conn_id="oxolo_default", job_id="nothing", destination="file:///tmp/{job_id}.mp4"
    )
