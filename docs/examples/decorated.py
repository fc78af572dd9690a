# SPDX-License-Identifier: Apache-2.0
"""A function makes the request. The page that shows it: docs/howto.md."""

from airflow.sdk import DAG, task

from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("a_function_makes_the_request"):

    @task.video_job(conn_id="acme_default", wait_for_completion=True)
    def render(ds: str | None = None) -> dict[str, str]:
        return {"title": f"News of {ds}", "script": "What happened today."}

    VideoToObjectStorageOperator(
        task_id="store",
        conn_id="acme_default",
        job_id=render(),
        destination="{{ var.value.video_destination }}/{job_id}.{ext}",
    )
