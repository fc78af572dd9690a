# SPDX-License-Identifier: Apache-2.0
"""One mapped group for each item of a list. The page that shows it: docs/howto.md."""

from airflow.sdk import DAG, task, task_group

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("one_for_each_customer"):

    @task
    def requests() -> list[dict[str, str]]:
        """Return one request for each customer: here a list, in your DAG a query."""
        return [{"title": f"Welcome {name}", "script": f"Hello {name}."} for name in ("Ada", "Grace")]

    @task_group
    def film(request):
        render = SubmitVideoJobOperator(
            task_id="render", conn_id="acme_default", request=request, wait_for_completion=True, pool="video_renders"
        )
        VideoToObjectStorageOperator(
            task_id="store",
            conn_id="acme_default",
            job_id=render.output,
            destination="{{ var.value.video_destination }}/{job_id}.{ext}",
        )

    film.expand(request=requests())
