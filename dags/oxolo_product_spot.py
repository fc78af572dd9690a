# SPDX-License-Identifier: Apache-2.0
"""One product spot with Oxolo from the page of a shop; one task submits and waits, the next stores."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("oxolo_product_spot", tags=["video"], params={"page": "https://shop.example/p/1", "template_id": "t-1"}):
    render = SubmitVideoJobOperator(
        task_id="render",
        conn_id="oxolo_default",
        request={"mode": "url", "url": "{{ params.page }}", "template_id": "{{ params.template_id }}"},
        wait_for_completion=True,
        deferrable=True,
        poll_interval=60,
    )
    store = VideoToObjectStorageOperator(
        task_id="store",
        conn_id="oxolo_default",
        job_id=render.output,
        destination="{{ var.value.video_destination }}/oxolo/{job_id}.{ext}",
    )
