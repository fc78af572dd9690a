# SPDX-License-Identifier: Apache-2.0
"""
Fan out over a list of renders with all four vendors: one task a step, mapped over the list.

The vendor is found by the connection, so one operator serves them all. A pool such as ``video_renders`` with
"include deferred" keeps the number of renders at a vendor below its limit; see docs/waiting.md.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("render_catalogue", tags=["video"]):

    @task
    def catalogue() -> list[dict[str, Any]]:
        """List what is to be rendered: here a constant, in your DAG a query."""
        return [
            {
                "conn_id": "colossyan_default",
                "request": {"templateJobId": "onboarding", "dynamicVariables": {"name": "Ada"}},
            },
            {
                "conn_id": "hourone_default",
                "request": {
                    "type": "override",
                    "source_draft_id": "draft-1",
                    "name": "Welcome",
                    "scenes": [{"name": "greeting", "transcript": "Welcome to the team."}],
                },
            },
            {
                "conn_id": "oxolo_default",
                "request": {"mode": "url", "url": "https://shop.example/p/1", "template_id": "t-1"},
            },
            {
                "conn_id": "xvid_default",
                "request": {
                    "pipeline": {"id": "pipeline-1"},
                    "input": {"input_name": "archive/movie.mp4"},
                    "outputs": [{"preset": {"id": "preset-1"}, "output_name": "web"}],
                },
            },
        ]

    renders = catalogue()
    submit = SubmitVideoJobOperator.partial(task_id="submit").expand_kwargs(renders)
    jobs = renders.zip(submit.output).map(lambda both: {"conn_id": both[0]["conn_id"], "job_id": both[1]})
    wait = VideoJobSensor.partial(task_id="wait", poll_interval=60).expand_kwargs(jobs)
    store = VideoToObjectStorageOperator.partial(
        task_id="store",
        destination="{{ var.value.video_destination }}/catalogue/{vendor}/{job_id}.{ext}",
    ).expand_kwargs(jobs)
    wait >> store
