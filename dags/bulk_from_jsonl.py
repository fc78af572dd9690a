# SPDX-License-Identifier: Apache-2.0
"""
Render files of JSON Lines, one task a file, however many renders a file holds.

Which files is the Airflow variable ``video_batches``: ``[{"conn_id": "...", "requests": "s3://my_aws@bucket/ada.jsonl"},
...]``. A line is ``{"id": "ada", "request": {...}}``. A DAG with one file needs no task before this one:
``requests="s3://my_aws@bucket/batches/{{ ds }}.jsonl"``.
"""

from __future__ import annotations

import json

from airflow.sdk import DAG, Variable, task

from airflow_video_providers.operators.render_videos import RenderVideosOperator

with DAG("bulk_from_jsonl", tags=["video"]):

    @task
    def batches() -> list[dict[str, str]]:
        """List the files, each with the connection of its vendor."""
        # Not deserialize_json=True: Airflow would mask each value of the list as a secret, and warn of short ones.
        files: list[dict[str, str]] = json.loads(Variable.get("video_batches"))
        return files

    RenderVideosOperator.partial(
        task_id="render",
        destination="{{ var.value.video_destination }}/bulk/{vendor}/{id}/{job_id}.{ext}",
        max_active=10,
        max_failures=0.05,
        poll_interval=5,
    ).expand_kwargs(batches())
