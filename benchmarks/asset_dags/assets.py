# SPDX-License-Identifier: Apache-2.0
"""DAGs that finished videos start, by a callback and by a watcher, and a bulk task whose renders are called back."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, get_current_context, task

from airflow_video_providers.operators.render_videos import RenderVideosOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator
from airflow_video_providers.triggers.finished_videos import FinishedVideosTrigger

CALLER, WATCHED = json.loads(os.environ["BENCH_CALLER"]), json.loads(os.environ["BENCH_WATCHED"])
VIDEOS = os.environ["BENCH_VIDEOS"]
DEFAULTS = {"retries": 5, "retry_delay": timedelta(seconds=1)}


@task
def finished() -> list[str]:
    """Return the ids of the videos that the events tell of, each once."""
    events = [event for found in get_current_context()["triggering_asset_events"].values() for event in found]
    told: list[dict[str, Any]] = [event.extra.get("payload", event.extra) for event in events]
    return list(dict.fromkeys(each["job_id"] for each in told if each["state"] == "succeeded"))


def make_dag(dag_id: str, conn_id: str, asset: Asset) -> DAG:
    """Return a DAG that stores each video that an event of the asset tells of."""
    with DAG(dag_id, schedule=[asset], default_args=DEFAULTS) as dag:
        VideoToObjectStorageOperator.partial(
            task_id="store", conn_id=conn_id, destination=f"{VIDEOS}/{dag_id}/{{job_id}}.{{ext}}"
        ).expand(job_id=finished())
    return dag


called_back = make_dag(
    "store_called_back",
    CALLER["conn_id"],
    Asset(name="called_back", uri="video://{conn_type}/{conn_id}".format(**CALLER)),
)
watcher = AssetWatcher(name="account", trigger=FinishedVideosTrigger(conn_id=WATCHED["conn_id"], poll_interval=10))
watched = make_dag(
    "store_watched",
    WATCHED["conn_id"],
    Asset(name="watched", uri="video://{conn_type}/{conn_id}".format(**WATCHED), watchers=[watcher]),
)

with DAG("bulk_called_back", schedule=None, default_args=DEFAULTS):
    RenderVideosOperator(
        task_id="render",
        conn_id=CALLER["conn_id"],
        requests="{{ dag_run.conf['requests'] }}",
        destination=f"{VIDEOS}/bulk/{{job_id}}.{{ext}}",
        callback=True,
        deferrable=True,
    )
