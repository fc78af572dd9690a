# SPDX-License-Identifier: Apache-2.0
"""A render that is given up is cancelled. The page that shows it: docs/howto.md."""

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import CancelVideoJobOperator, SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor

with DAG("cancels_what_it_gives_up"):
    submit = SubmitVideoJobOperator(
        task_id="submit", conn_id="acme_default", request={"title": "Welcome", "script": "Good to have you here."}
    )
    wait = VideoJobSensor(task_id="wait", conn_id="acme_default", job_id=submit.output, timeout=3600)
    cancel = CancelVideoJobOperator(
        task_id="cancel", conn_id="acme_default", job_id=submit.output, trigger_rule="one_failed"
    )
    wait >> cancel
