# SPDX-License-Identifier: Apache-2.0
"""Tasks that cannot work, each for a reason of its own; none may buy anything."""

from __future__ import annotations

import json
import os

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

REQUEST, REFUSED = json.loads(os.environ["BAD_INPUTS_REQUESTS"])

with DAG("bad_inputs"):
    SubmitVideoJobOperator(task_id="wrong_key", conn_id="wrong_key", request=REQUEST)
    SubmitVideoJobOperator(task_id="missing_connection", conn_id="not_there", request=REQUEST)
    SubmitVideoJobOperator(task_id="other_connection", conn_id="no_video_api", request=REQUEST)
    SubmitVideoJobOperator(task_id="malformed_request", conn_id="good", request=REFUSED)
    SubmitVideoJobOperator(task_id="vendor_down", conn_id="vendor_down", request=REQUEST)
    VideoJobSensor(task_id="unknown_job", conn_id="good", job_id="559cbbec14ea67a7cad6c7d8")
    VideoToObjectStorageOperator(
        task_id="unknown_video", conn_id="good", job_id="nothing", destination="file:///tmp/{job_id}.mp4"
    )
