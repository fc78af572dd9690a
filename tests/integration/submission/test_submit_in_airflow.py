# SPDX-License-Identifier: Apache-2.0
"""The submitting operator, its decorator and the cancelling one, run by Airflow itself on the simulator."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, TaskGroup, task

from airflow_video_providers.operators.video_job import CancelVideoJobOperator, SubmitVideoJobOperator

pytestmark = pytest.mark.airflow

REQUESTS = {
    "colossyan": {"templateJobId": "onboarding", "dynamicVariables": {"name": "Ada"}},
    "hourone": {
        "type": "override",
        "source_draft_id": "draft-1",
        "name": "Welcome",
        "scenes": [{"name": "greeting", "transcript": "Hello"}],
    },
    "oxolo": {"mode": "url", "url": "https://shop.example/lamp", "template_id": "t-1"},
    "xvid": {"pipeline": {"id": "p"}, "input": {"input_name": "a.mp4"}, "outputs": [{"preset": {"id": "s"}}]},
}


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
    assert {key: ti.state for key, ti in found.items()} == {("renders.submit", i): "success" for i in range(4)}
    for index, vendor in enumerate(REQUESTS):
        (job,) = simulator.jobs(vendor)
        ti = found["renders.submit", index]
        assert ti.xcom_pull(task_ids=ti.task_id, map_indexes=index) == job["job_id"]
        seen = ti.xcom_pull(task_ids=ti.task_id, map_indexes=index, key="video_job")
        assert (seen["vendor"], seen["job_id"]) == (vendor, job["job_id"])
        assert how == "no wait" or seen["state"] == "succeeded"
        link = ti.xcom_pull(task_ids=ti.task_id, map_indexes=index, key="video_job_link")
        assert (link or None) == seen["page_url"]


def test_the_decorator_submits_what_the_function_returns(simulator, video_connections, airflow_db):
    with DAG("decorated", schedule=None) as dag:

        @task.video_job(conn_id="hourone_default", wait_for_completion=True, poll_interval=0.5)
        def greet(name: str):
            return {**REQUESTS["hourone"], "name": f"For {name}"}

        greet.expand(name=["Ada", "Grace"])
    found = run(dag)
    assert [ti.state for ti in found.values()] == ["success", "success"]
    assert sorted(job["name"] for job in simulator.jobs("hourone")) == ["For Ada", "For Grace"]


def test_a_running_job_is_cancelled_and_a_finished_one_left_alone(simulator, video_connections, airflow_db):
    simulator.settings(render_seconds=600)
    with DAG("cancelling", schedule=None) as dag:
        submit = SubmitVideoJobOperator(task_id="submit", conn_id="xvid_default", request=REQUESTS["xvid"])
        first = CancelVideoJobOperator(task_id="first", conn_id="xvid_default", job_id=submit.output)
        second = CancelVideoJobOperator(task_id="second", conn_id="xvid_default", job_id=submit.output)
        first >> second
    found = run(dag)
    results = {key: ti.xcom_pull(task_ids=key) for (key, _), ti in found.items() if key != "submit"}
    assert results == {"first": "cancelled", "second": "gone"}
    (job,) = simulator.jobs("xvid")
    assert job["state"] == "cancelled"
    assert simulator.counts("xvid")["finished_deletes"] == 0
