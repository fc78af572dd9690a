# SPDX-License-Identifier: Apache-2.0
"""A whole list of renders in one task. The page that shows it: docs/howto.md."""

from airflow.sdk import DAG

from airflow_video_providers.operators.render_videos import RenderVideosOperator

with DAG("a_whole_list"):
    RenderVideosOperator(
        task_id="render",
        conn_id="acme_default",
        requests=[
            {"id": name, "request": {"title": f"Welcome {name}", "script": "Hello."}} for name in ("ada", "grace")
        ],
        destination="{{ var.value.video_destination }}/{id}.{ext}",
        max_active=10,
        max_failures=0.05,
    )
