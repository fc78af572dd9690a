# SPDX-License-Identifier: Apache-2.0
"""One mapped sensor for each job id of the run's configuration, in the way to wait that the DAG is named after."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task

from airflow_video_providers.sensors.video_job import VideoJobSensor

CONN_ID = os.environ["BENCH_CONN_ID"]
WAYS: dict[str, dict[str, Any]] = {
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "poke": {"mode": "poke", "deferrable": False},
    "deferrable": {"deferrable": True},
}
KINDS: dict[str, dict[str, Any]] = {
    "waits": {"timeout": 3600},
    "polls_often": {"timeout": 3600, "poll_interval": 10},
    "times_out": {"timeout": 45},
}

for way, arguments in WAYS.items():
    for name, limits in KINDS.items():
        with DAG(f"{name}_{way}", max_active_tasks=1000, default_args={"retries": 1, "retry_delay": timedelta(0)}):

            @task
            def jobs() -> list[str]:
                return list(get_current_context()["dag_run"].conf["jobs"])

            @task
            def check(ids: list[str]) -> None:
                """See that the sensors returned the ids, whichever way they waited."""
                assert sorted(ids) == sorted(get_current_context()["dag_run"].conf["jobs"]), ids

            wait = VideoJobSensor.partial(task_id="wait", conn_id=CONN_ID, **limits, **arguments).expand(job_id=jobs())
            check(wait.output)
