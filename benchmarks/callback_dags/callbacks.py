# SPDX-License-Identifier: Apache-2.0
"""Renders that ask for a callback, and a DAG that runs when an asset event tells of one."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, get_current_context, task

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator

CALLER = json.loads(os.environ["BENCH_CALLER"])

with DAG(
    "renders", schedule=None, max_active_tasks=1000, default_args={"retries": 5, "retry_delay": timedelta(seconds=1)}
):

    @task
    def requests() -> list[dict[str, Any]]:
        return list(get_current_context()["dag_run"].conf["requests"])

    SubmitVideoJobOperator.partial(
        task_id="render", conn_id=CALLER["conn_id"], callback=True, wait_for_completion=True, deferrable=True
    ).expand(request=requests())

with DAG(
    "told",
    schedule=Asset(name="videos", uri="video://{conn_type}/{conn_id}".format(**CALLER)),
    max_active_runs=1,
    default_args={"retries": 5, "retry_delay": timedelta(seconds=1)},
):

    @task
    def told() -> list[dict[str, Any]]:
        """Return what the events say."""
        events = get_current_context()["triggering_asset_events"]
        return [dict(event.extra) for found in events.values() for event in found]

    told()
