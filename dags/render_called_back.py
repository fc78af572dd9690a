# SPDX-License-Identifier: Apache-2.0
"""
Let the vendor say when a render has ended: it calls Airflow's API server, and the deferred wait ends within seconds.

It needs a vendor whose requests name a callback, a ``callback_secret`` in the connection, and an address of the API
server that the vendor reaches. What is rendered is the Airflow variable ``video_renders_called_back``: ``[{"conn_id":
"...", "request": {...}}, ...]``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Variable, task, task_group

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("render_called_back", tags=["video"]):

    @task
    def renders() -> list[dict[str, Any]]:
        """List what is to be rendered: here a variable, in your DAG a query."""
        # Not deserialize_json=True: Airflow would mask each value of the list as a secret, and warn of short ones.
        found: list[dict[str, Any]] = json.loads(Variable.get("video_renders_called_back"))
        return found

    @task_group
    def render(conn_id: str, request: dict[str, Any]) -> None:
        submit = SubmitVideoJobOperator(
            task_id="submit",
            conn_id=conn_id,
            request=request,
            callback=True,
            wait_for_completion=True,
            deferrable=True,
            # Where a response is lost, the callback tells the next try which job it is: leave the render time to end.
            retries=3,
            retry_delay=timedelta(minutes=5),
        )
        VideoToObjectStorageOperator(
            task_id="store",
            conn_id=conn_id,
            job_id=submit.output,
            destination="{{ var.value.video_destination }}/called_back/{vendor}/{job_id}.{ext}",
        )

    render.expand_kwargs(renders())
