# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments are refused when the DAG is parsed, before any connection is looked up; templates wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG, BaseHook, task

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.operators.arguments import as_seconds, is_final, job_id_of
from airflow_video_providers.operators.render_videos import RenderVideosOperator
from airflow_video_providers.operators.requests import as_request
from airflow_video_providers.operators.video_job import CancelVideoJobOperator, SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

GOOD = {
    SubmitVideoJobOperator: {"conn_id": "c", "request": {"a": 1}},
    CancelVideoJobOperator: {"conn_id": "c", "job_id": "1"},
    VideoJobSensor: {"conn_id": "c", "job_id": "1"},
    VideoToObjectStorageOperator: {"conn_id": "c", "job_id": "1", "destination": "s3://bucket/{job_id}.{ext}"},
    ObjectStorageToVideoOperator: {"conn_id": "c", "source": "s3://bucket/a.mp4"},
    RenderVideosOperator: {"conn_id": "c", "requests": [{"a": 1}], "destination": "s3://bucket/{id}.{ext}"},
}

MEDIA_TYPES = ((VideoToObjectStorageOperator, "content_type"), (ObjectStorageToVideoOperator, "media_type"))

WRONG = [
    *((operator, {"conn_id": value}) for operator in GOOD for value in (None, "", 5.0)),
    *(
        (operator, {"job_id": value})
        for operator in (CancelVideoJobOperator, VideoJobSensor, VideoToObjectStorageOperator)
        for value in (None, "", 5.0, True, ["x"], {"id": "1"})
    ),
    *((SubmitVideoJobOperator, {"request": value}) for value in (None, "", "{not json", "[1]", {}, [1], 5)),
    (SubmitVideoJobOperator, {"request": {"a": {1, 2}}}),
    *((SubmitVideoJobOperator, {"timeout": value}) for value in (0, -1, float("nan"), float("inf"), "1", True)),
    (SubmitVideoJobOperator, {"poll_interval": timedelta(0)}),
    (SubmitVideoJobOperator, {"wait_for_completion": "no"}),
    (SubmitVideoJobOperator, {"cancel_on_kill": None}),
    (SubmitVideoJobOperator, {"on_ambiguous": "bogus"}),
    *(
        (SubmitVideoJobOperator, {"find_wait": value})
        for value in (-1, "60", True, float("nan"), float("inf"), 1e300, 86401)
    ),
    *((SubmitVideoJobOperator, {"max_poll_failures": value}) for value in (-1, "x", 1.5, True)),
    *((VideoJobSensor, {"max_poll_failures": value}) for value in (-1, "x")),
    (VideoJobSensor, {"deferrable": "yes"}),
    (VideoToObjectStorageOperator, {"destination": 5}),
    (VideoToObjectStorageOperator, {"destination": "s3://bucket/{movie}"}),
    (VideoToObjectStorageOperator, {"destination": "ftp://bucket/{job_id}"}),
    *((VideoToObjectStorageOperator, {"outputs": value}) for value in (None, (), "movie", {"movie"}, ["video", "x"])),
    *((VideoToObjectStorageOperator, {"streams": value}) for value in (0, "4", None)),
    *((VideoToObjectStorageOperator, {"max_bytes": value}) for value in (0, -1, "many")),
    *((VideoToObjectStorageOperator, {"metadata": value}) for value in (["a"], {"a b": "1"}, {"a": 1.5})),
    (VideoToObjectStorageOperator, {"encryption": "foo"}),
    *((VideoToObjectStorageOperator, {name: 1.5}) for name in ("source_conn_id", "storage_class", "kms_key", "acl")),
    *((operator, {name: value}) for operator, name in MEDIA_TYPES for value in ("mp4", 5, "a/b;\r\nX: y", ["a/b"])),
    (ObjectStorageToVideoOperator, {"name": 1.5}),
    *((RenderVideosOperator, {name: ["s3://b/{id}"]}) for name in ("destination", "manifest")),
    (VideoToObjectStorageOperator, {"if_exists": "replace"}),
    (RenderVideosOperator, {"if_exists": "replace"}),
    (RenderVideosOperator, {"checks": "none"}),
    *((RenderVideosOperator, {"max_bytes": value}) for value in (0, -1, "many")),
    *((ObjectStorageToVideoOperator, {"source": value}) for value in (None, "", "ftp://x/y")),
    (ObjectStorageToVideoOperator, {"options": ["x"]}),
]


@pytest.fixture(autouse=True)
def no_lookup(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was looked up at parse time")

    monkeypatch.setattr(BaseHook, "get_connection", refuse)
    monkeypatch.setattr(BaseHook, "get_hook", refuse)


@pytest.mark.parametrize("operator", GOOD, ids=lambda operator: operator.__name__)
def test_good_arguments_pass(operator):
    operator(task_id="t", **GOOD[operator])


@pytest.mark.parametrize(("operator", "wrong"), WRONG, ids=lambda part: getattr(part, "__name__", None) or str(part))
def test_a_wrong_argument_is_refused_and_named(operator, wrong):
    (name,) = wrong
    with pytest.raises(VideoConfigurationError) as caught:
        operator(task_id="t", **{**GOOD[operator], **wrong})
    said = str(caught.value)
    assert name in said or repr(wrong[name]) in said or "the scheme must be" in said


@pytest.mark.parametrize("operator", GOOD, ids=lambda operator: operator.__name__)
def test_templates_and_outputs_of_other_tasks_wait_for_the_run(operator):
    with DAG("d"):

        @task
        def value():
            return "x"

        upstream = value()
        templated = [name for name in GOOD[operator] if name in operator.template_fields]
        assert templated == list(GOOD[operator])
        operator(task_id="jinja", **dict.fromkeys(templated, "{{ params.x }}"))
        operator(task_id="xcom", **dict.fromkeys(templated, upstream))
        mapped = operator.partial(task_id="mapped", **{name: GOOD[operator][name] for name in templated[:-1]})
        mapped.expand(**{templated[-1]: upstream})


def test_a_job_is_named_by_its_id_or_by_its_xcom():
    assert job_id_of("1") == job_id_of({"job_id": "1", "vendor": "acme"}) == "1"


def test_a_job_id_that_native_rendering_made_a_number_is_text_again():
    assert job_id_of(12345) == job_id_of({"job_id": 12345}) == "12345"


def test_a_request_is_a_mapping_or_json_text():
    assert as_request('{"a": [1]}') == as_request({"a": [1]}) == {"a": [1]}


def test_seconds_are_a_number_or_a_timedelta():
    assert as_seconds("timeout", 90) == as_seconds("timeout", timedelta(seconds=90)) == 90.0


def test_what_holds_a_template_is_not_final():
    assert is_final({"a": ["b", 1, None]})
    assert not is_final({"a": ["{{ ds }}"]})
    assert not is_final({"a": object()})
