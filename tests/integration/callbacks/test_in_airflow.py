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
from airflow_video_providers.operators.render_videos import RenderVideosOperator
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

pytestmark = pytest.mark.airflow

TAKES = [name for name, hook in HOOKS.items() if hook.takes_callback]
NAMES_JOB = [
    name
    for name, hook in HOOKS.items()
    if hook.takes_callback and hook.callback_job_id is not VideoHook.callback_job_id and hook.replay_seconds is None
]


@pytest.fixture
def connection(callback_server, simulator, monkeypatch):
    """Make the connection ``mine`` to a vendor, which takes callbacks."""

    def make(vendor):
        fields = simulator.connection(vendor)
        extra = {"callback_secret": "a secret of 24 characters", "callback_base_url": callback_server}
        fields["extra"] = {**fields.get("extra", {}), **extra}
        monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(fields))
        simulator.settings(render_seconds=8)

    return make


def run(dag):
    """Run the one task of a DAG, with the triggers that it defers to."""
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder="/dev/null", collect_dags=False)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    (ti,) = dag.test().get_task_instances()
    return ti


def doubts():
    with create_session() as session:
        return [name for name in session.scalars(select(Variable.key)) if name.startswith(DOUBT_PREFIX)]


@pytest.mark.parametrize("vendor", NAMES_JOB[:1])
def test_a_callback_ends_a_deferred_wait(vendor, connection, simulator):
    connection(vendor)
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
    assert run(dag).state == "success"
    (job,) = simulator.jobs(vendor)
    assert job["state"] == "succeeded"
    assert simulator.counts(vendor)["callbacks"] >= 1
    assert doubts() == []


@pytest.mark.parametrize("vendor", TAKES)
def test_callbacks_end_the_renders_of_a_bulk_task(vendor, connection, simulator, tmp_path):
    connection(vendor)
    with DAG(f"bulk_called_back_{vendor}", schedule=None) as dag:
        RenderVideosOperator(
            task_id="render",
            conn_id="mine",
            requests=[{"id": f"{n}", "request": VENDORS[vendor].request(f"item {n}")} for n in range(3)],
            destination=f"{tmp_path.as_uri()}/{{id}}.{{ext}}",
            callback=True,
            deferrable=True,
            poll_interval=600,
        )
    assert run(dag).state == "success"
    counts = simulator.counts(vendor)
    assert counts["creates"] == 3
    assert counts["callbacks"] >= 3  # a vendor may call for the render and for the copy that it hosts
    assert len(list(tmp_path.glob("*.mp4"))) == 3
    # A look at each when the task defers, one for its callback, and one for its outputs.
    assert counts["polls"] <= 3 * 3
    assert doubts() == []
