# SPDX-License-Identifier: Apache-2.0
"""A task of Airflow's own, a trigger and the simulator: the callback ends the wait, and answers a lost response."""

from __future__ import annotations

import json

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.variable import Variable
from airflow.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_video_providers.callbacks.inbox import DOUBT_PREFIX
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

pytestmark = pytest.mark.airflow

NAMES_JOB = [
    name
    for name, hook in HOOKS.items()
    if hook.takes_callback and hook.callback_job_id is not VideoHook.callback_job_id and hook.replay_seconds is None
]


@pytest.mark.parametrize("vendor", NAMES_JOB[:1])
def test_a_callback_ends_a_deferred_wait(vendor, callback_server, simulator, monkeypatch):
    fields = simulator.connection(vendor)
    extra = {"callback_secret": "a secret of 24 characters", "callback_base_url": callback_server}
    fields["extra"] = {**fields.get("extra", {}), **extra}
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(fields))
    simulator.settings(render_seconds=8)
    with DAG(f"called_back_{vendor}", schedule=None) as dag:
        SubmitVideoJobOperator(
            task_id="render",
            conn_id="mine",
            request=VENDORS[vendor].request("called back"),
            callback=True,
            wait_for_completion=True,
            deferrable=True,
            poll_interval=600,  # beneath the callback the next poll is due in 50 minutes
        )
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder="/dev/null", collect_dags=False)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    (ti,) = dag.test().get_task_instances()
    (job,) = simulator.jobs(vendor)
    assert (ti.state, job["state"]) == ("success", "succeeded")
    assert simulator.counts(vendor)["callbacks"] >= 1
    with create_session() as session:
        left = [name for name in session.scalars(select(Variable.key)) if name.startswith(DOUBT_PREFIX)]
    assert left == []
