# SPDX-License-Identifier: Apache-2.0
"""
Render a whole catalogue in few tasks: one for each connection, however many videos that is.

What is rendered is the Airflow variable ``video_catalogue``: ``[{"conn_id": "...", "request": {...}}, ...]``. A list
that is a file needs no task before it: ``requests="s3://my_aws@bucket/batches/{{ ds }}.jsonl"``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Variable, task

from airflow_video_providers.operators.render_videos import RenderVideosOperator

with DAG("bulk_catalogue", tags=["video"]):

    @task
    def batches() -> list[dict[str, Any]]:
        """Return the requests of each connection: here from a variable, in your DAG from a query."""
        requests: dict[str, list[dict[str, Any]]] = {}
        for item in Variable.get("video_catalogue", deserialize_json=True):
            requests.setdefault(item["conn_id"], []).append(item["request"])
        return [{"conn_id": conn_id, "requests": items} for conn_id, items in requests.items()]

    RenderVideosOperator.partial(
        task_id="render",
        destination="{{ var.value.video_destination }}/bulk/{id}/{job_id}.{ext}",
        max_active=10,
        max_failures=0.05,
        poll_interval=30,
    ).expand_kwargs(batches())
