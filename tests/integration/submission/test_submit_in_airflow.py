# SPDX-License-Identifier: Apache-2.0
"""The submitting operator, its decorator and the cancelling one, run by Airflow itself on the simulator."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.sdk import DAG, TaskGroup, task

from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.links import videos_page
from airflow_video_providers.operators.video_job import CancelVideoJobOperator, SubmitVideoJobOperator
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

pytestmark = pytest.mark.airflow

REQUESTS = {vendor: VENDORS[vendor].request(f"for-{vendor}") for vendor in HOOKS}
ANY = next(iter(HOOKS))
TELLS = next(
    vendor for vendor, hook in HOOKS.items() if hook.estimates_at_submission is not VideoHook.estimates_at_submission
)
"""A vendor that names the cost of a render when it accepts the request."""
CANCELS = next(vendor for vendor, hook in HOOKS.items() if hook.can_cancel)


def run(dag):
    """Run a DAG here and return its task instances by (task id, map index)."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder="/dev/null", collect_dags=False)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    dag_run = dag.test()
    return {(ti.task_id, ti.map_index): ti for ti in dag_run.get_task_instances()}


@pytest.mark.parametrize("how", ["no wait", "worker", "deferred"])
def test_one_expansion_over_all_vendors_buys_one_render_each(how, simulator, video_connections, airflow_db):
    orders = [{"conn_id": f"{vendor}_default", "request": request} for vendor, request in REQUESTS.items()]
    with DAG(f"fan_out_{how.replace(' ', '_')}", schedule=None) as dag, TaskGroup("renders"):
        SubmitVideoJobOperator.partial(
            task_id="submit",
            wait_for_completion=how != "no wait",
            deferrable=how == "deferred",
            poll_interval=0.5,
        ).expand_kwargs(orders)
    found = run(dag)
    assert {key: ti.state for key, ti in found.items()} == {("renders.submit", i): "success" for i in range(len(HOOKS))}
    for index, vendor in enumerate(REQUESTS):
        (job,) = simulator.jobs(vendor)
        ti = found["renders.submit", index]
        assert ti.xcom_pull(task_ids=ti.task_id, map_indexes=index) == job["job_id"]
        seen = ti.xcom_pull(task_ids=ti.task_id, map_indexes=index, key="video_job")
        assert (seen["vendor"], seen["job_id"]) == (vendor, job["job_id"])
        assert how == "no wait" or seen["state"] == "succeeded"
        link = ti.xcom_pull(task_ids=ti.task_id, map_indexes=index, key="video_job_link")
        assert link == (seen["page_url"] or videos_page())


def test_the_decorator_submits_what_the_function_returns(simulator, video_connections, airflow_db):
    with DAG("decorated", schedule=None) as dag:
        for vendor in HOOKS:

            @task.video_job(
                task_id=vendor,
                conn_id=f"{vendor}_default",
                wait_for_completion=vendor == ANY,
                poll_interval=0.5,
            )
            def greet(vendor: str, name: str):
                return VENDORS[vendor].request(name)

            greet.partial(vendor=vendor).expand(name=["Ada", "Grace"] if vendor == ANY else ["Ada"])
    found = run(dag)
    assert {ti.state for ti in found.values()} == {"success"}
    for vendor in HOOKS:
        sent = [json.dumps(job["request"]) for job in simulator.jobs(vendor)]
        names = ["Ada", "Grace"] if vendor == ANY else ["Ada"]
        assert sorted(name for name in ("Ada", "Grace") for text in sent if name in text) == names


def test_a_running_job_is_cancelled_and_a_finished_one_left_alone(simulator, video_connections, airflow_db):
    simulator.settings(render_seconds=600)
    with DAG("cancelling", schedule=None) as dag:
        submit = SubmitVideoJobOperator(task_id="submit", conn_id=f"{CANCELS}_default", request=REQUESTS[CANCELS])
        first = CancelVideoJobOperator(task_id="first", conn_id=f"{CANCELS}_default", job_id=submit.output)
        second = CancelVideoJobOperator(task_id="second", conn_id=f"{CANCELS}_default", job_id=submit.output)
        first >> second
    found = run(dag)
    results = {key: ti.xcom_pull(task_ids=key) for (key, _), ti in found.items() if key != "submit"}
    assert results["first"] == "cancelled"
    assert results["second"] in ("gone", "finished")
    (job,) = simulator.jobs(CANCELS)
    assert job["state"] == "cancelled"
    assert simulator.counts(CANCELS)["finished_deletes"] == 0


def test_a_render_that_turns_out_too_dear_is_cancelled_and_not_tried_again(simulator, video_connections, airflow_db):
    simulator.settings(render_seconds=600)
    with DAG("dear", schedule=None) as dag:
        task_ = {"conn_id": f"{TELLS}_default", "request": REQUESTS[TELLS], "retries": 2, "retry_delay": timedelta(0)}
        SubmitVideoJobOperator(task_id="dear", max_cost=0.5, **task_)
        SubmitVideoJobOperator(task_id="cheap", max_cost=1e6, **task_)
    found = run(dag)
    assert {key: ti.state for (key, _), ti in found.items()} == {"dear": "failed", "cheap": "success"}
    assert found["dear", -1].try_number == 1
    assert sorted(job["state"] for job in simulator.jobs(TELLS)) == ["cancelled", "queued"]
