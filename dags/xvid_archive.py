# SPDX-License-Identifier: Apache-2.0
"""
Transcode an archive with Xvid MediaHub, a few files at a time, and store the results.

The pool keeps the number of renders below what the vendor allows: each render holds a slot until it has ended, although
the triggerer waits for it and no worker does. Make it once:

    airflow pools set video_renders 2 "renders at a time" --include-deferred
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("xvid_archive", tags=["video"], params={"pipeline_id": "pipeline-1", "preset_id": "preset-1"}):

    @task
    def archive(params: dict[str, Any]) -> list[dict[str, Any]]:
        """List what is to be transcoded: here a constant, in your DAG a listing of a bucket."""
        return [
            {
                "pipeline": {"id": params["pipeline_id"]},
                "input": {"input_name": f"archive/{name}.mp4"},
                "outputs": [{"preset": {"id": params["preset_id"]}, "output_name": name}],
            }
            for name in ("one", "two", "three")
        ]

    render = SubmitVideoJobOperator.partial(
        task_id="render",
        conn_id="xvid_default",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=60,
        pool="video_renders",
    ).expand(request=archive())
    VideoToObjectStorageOperator.partial(
        task_id="store",
        conn_id="xvid_default",
        destination="{{ var.value.video_destination }}/archive/{job_id}/{name}.{ext}",
    ).expand(job_id=render.output)
