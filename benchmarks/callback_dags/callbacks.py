# SPDX-License-Identifier: Apache-2.0
"""Renders that ask for a callback, and a DAG that runs when an asset event tells of one."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, get_current_context, task

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator

CONN_ID = os.environ["BENCH_CONN_ID"]
CONN_TYPE = os.environ["BENCH_CONN_TYPE"]

with DAG(
    "renders", schedule=None, max_active_tasks=1000, default_args={"retries": 5, "retry_delay": timedelta(seconds=1)}
):

    @task
    def requests() -> list[dict[str, Any]]:
        return list(get_current_context()["dag_run"].conf["requests"])

    SubmitVideoJobOperator.partial(
        task_id="render", conn_id=CONN_ID, callback=True, wait_for_completion=True, deferrable=True
    ).expand(request=requests())

with DAG(
    "told",
    schedule=Asset(name="videos", uri=f"video://{CONN_TYPE}/{CONN_ID}"),
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(seconds=1)},
):

    @task
    def told() -> list[dict[str, Any]]:
        """Return what the events say."""
        events = get_current_context()["triggering_asset_events"]
        return [dict(event.extra) for found in events.values() for event in found]

    told()
