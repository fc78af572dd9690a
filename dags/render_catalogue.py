# SPDX-License-Identifier: Apache-2.0
"""
Fan out over a list of renders with any vendors: one group of tasks, mapped over the list.

The vendor is found by the connection, so the same tasks serve them all; a render that fails holds up no other. What is
rendered is the Airflow variable ``video_catalogue``: ``[{"conn_id": "...", "request": {...}}, ...]``.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import DAG, Variable, task, task_group

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("render_catalogue", tags=["video"]):

    @task
    def catalogue() -> list[dict[str, Any]]:
        """List what is to be rendered: here a variable, in your DAG a query."""
        # Not deserialize_json=True: Airflow would mask each value of the list as a secret, and warn of short ones.
        renders: list[dict[str, Any]] = json.loads(Variable.get("video_catalogue"))
        return renders

    @task_group
    def render(conn_id: str, request: dict[str, Any]) -> None:
        submit = SubmitVideoJobOperator(task_id="submit", conn_id=conn_id, request=request)
        wait = VideoJobSensor(task_id="wait", conn_id=conn_id, job_id=submit.output, poll_interval=60)
        VideoToObjectStorageOperator(
            task_id="store",
            conn_id=conn_id,
            job_id=wait.output,
            destination="{{ var.value.video_destination }}/catalogue/{vendor}/{job_id}.{ext}",
        )

    render.expand_kwargs(catalogue())
