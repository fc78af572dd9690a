# SPDX-License-Identifier: Apache-2.0
"""What the grid shows of a mapped task, and the buttons that lead from a task to its video."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.links import StoredVideoLink, VideoJobLink, VideoManifestLink, link_xcoms, videos_page
from airflow_video_providers.operators.cancel_video_job import CancelVideoJobOperator
from airflow_video_providers.operators.labels import LONGEST_LABEL, name_in
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

JOB = VideoJob(vendor="example", job_id="7", state=JobState.RUNNING, vendor_status="busy", name="Ada")


def mapped(kind, partial, expanded, *, index=0, template=None, **dag):
    """Render one mapped task instance as Airflow does; returns its context."""
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), **dag):
        task = kind.partial(task_id="t", map_index_template=template, **partial).expand(**expanded)
    context = {
        "ti": SimpleNamespace(map_index=index, task=task, run_id="r", is_mapped=True),
        "dag": task.dag,
        "dag_run": SimpleNamespace(conf={}),
        "task": task,
        "map_index_template": task.map_index_template,
        "run_id": "r",
        "expanded_ti_count": 1,
    }
    task.render_template_fields(context)
    return context


def label(context):
    return context["dag"].get_template_env().from_string(context["map_index_template"]).render(context)


def submit(context):
    """Give the operator a vendor without a connection, and render its label again."""
    operator = context["task"]
    operator.__dict__["hook"] = SimpleNamespace(vendor="example")
    operator.label_parts = operator._first_label()
    return label(context)


def test_the_label_is_the_name_in_the_request_and_the_vendor():
    context = mapped(SubmitVideoJobOperator, {"conn_id": "c"}, {"request": [{"name": "Ada"}, {"name": "Bob"}]}, index=1)
    assert submit(context) == "Bob · example"


@pytest.mark.parametrize("name", ["7 # seven", "7", 'it\'s "a" \\ day'])
def test_native_rendering_leaves_the_label_a_text(name):
    requests = {"request": [{"name": "Ada"}]}
    context = mapped(SubmitVideoJobOperator, {"conn_id": "c"}, requests, render_template_as_native_obj=True)
    assert submit(context) == "Ada · example"
    context["task"].label_with(JOB.model_copy(update={"name": name}))
    assert label(context) == f"{name} · example"


def test_without_a_name_it_is_the_index_until_the_vendor_has_named_the_job():
    context = mapped(SubmitVideoJobOperator, {"conn_id": "c"}, {"request": [{"a": 1}, {"a": 2}]}, index=1)
    assert submit(context) == "1 · example"
    context["task"].label_with(JOB.model_copy(update={"name": None}))
    assert label(context) == "7 · example"
    context["task"].label_with(JOB)
    assert label(context) == "Ada · example"


def test_a_template_of_the_users_own_stays():
    context = mapped(SubmitVideoJobOperator, {"conn_id": "c"}, {"request": [{"a": 1}]}, template="{{ run_id }}")
    assert label(context) == "r"


@pytest.mark.parametrize(
    ("kind", "partial"),
    [
        (CancelVideoJobOperator, {"conn_id": "c"}),
        (VideoToObjectStorageOperator, {"conn_id": "c", "destination": "file:///videos/{job_id}.{ext}"}),
    ],
)
def test_a_task_that_is_given_a_job_shows_its_name(kind, partial):
    assert label(mapped(kind, partial, {"job_id": [JOB.to_xcom()]})) == "Ada · example"
    assert label(mapped(kind, partial, {"job_id": ["7"]})) == "7"


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ({"job_id": "7", "vendor": "example", "name": "Ada"}, "Ada · example"),
        ({"job_id": "8", "vendor": "example", "name": "Bob"}, "7 · example"),
        ({"job_id": "7", "vendor": "example", "name": None}, "7 · example"),
        ("no job", "7 · example"),
        (None, "7 · example"),
        (RuntimeError("Airflow does not answer"), "7 · example"),
    ],
)
def test_a_transfer_shows_the_name_that_the_task_before_it_has_recorded(recorded, shown):
    asked = []

    def xcom_pull(**question):
        asked.append(question)
        if isinstance(recorded, Exception):
            raise recorded
        return recorded

    more = {"conn_id": "c", "destination": "file:///v/{job_id}.{ext}"}
    context = mapped(VideoToObjectStorageOperator, more, {"job_id": ["6", "7"]}, index=1)
    context["ti"].xcom_pull = xcom_pull
    operator = context["task"]
    operator.upstream_task_ids.add("wait")
    operator.label_as_upstream(context, "7", "example")
    assert label(context) == shown
    operator.label_parts = ("Ada", None)
    operator.label_as_upstream(context, "7", "example")
    assert asked == [{"task_ids": "wait", "key": "video_job", "map_indexes": 1}]


def test_an_upload_shows_its_file():
    expanded = {"source": ["s3://c@bucket/in/a%20talk.mp4"]}
    assert label(mapped(ObjectStorageToVideoOperator, {"conn_id": "c"}, expanded)) == "a%20talk.mp4"


def test_a_task_that_is_not_mapped_has_no_label():
    operator = SubmitVideoJobOperator(task_id="t", conn_id="c", request={"name": "Ada"})
    context = {"ti": SimpleNamespace(map_index=-1), "task": operator, "map_index_template": None}
    operator.render_template_fields(context)
    assert context["map_index_template"] is None


def test_a_name_is_bounded_and_holds_no_credentials():
    context = mapped(SubmitVideoJobOperator, {"conn_id": "c"}, {"request": [{"name": "a?b" * 200}]})
    assert len(submit(context)) <= LONGEST_LABEL + len(" · example")
    assert name_in({"title": " ", "name": 3, "prompt": "A kite"}) == "A kite"


@pytest.mark.parametrize("link", [VideoJobLink, StoredVideoLink, VideoManifestLink])
def test_a_button_leads_to_the_videos_page_where_nothing_better_is_known(link, monkeypatch):
    operator = SimpleNamespace()
    assert link().get_link(operator, ti_key=None) == "/plugin/videos"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team/")
    assert link().get_link(operator, ti_key=None) == "https://airflow.example/team/plugin/videos"
    setattr(operator, link.attribute, "https://console.example/7")
    assert link().get_link(operator, ti_key=None) == "https://console.example/7"


def test_a_trigger_gives_the_same_address():
    assert link_xcoms(JOB) == {"video_job_link": videos_page()}
    page = JOB.model_copy(update={"page_url": "https://app.example/7"})
    assert link_xcoms(page) == {"video_job_link": "https://app.example/7"}
