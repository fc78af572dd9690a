# SPDX-License-Identifier: Apache-2.0
"""The forms in which a task takes its request: mapping, model, JSON and YAML text, files."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_video_providers.decorators import video_job_task
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.requests import VendorRequest, check_request_fields
from airflow_video_providers.operators.requests import as_request
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator

BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
YAML = """
title: {{ name }}
scenes:
{% for scene in scenes %}
  - text: {{ scene }}
{% endfor %}
"""


def rendered(request, tmp_path=None, **context):
    """Render as Airflow does, which reads files when the DAG is parsed."""
    with DAG("d", schedule=None, start_date=BEGAN, template_searchpath=[str(tmp_path)] if tmp_path else None):
        operator = SubmitVideoJobOperator(task_id="t", conn_id="c", request=request)
    operator.resolve_template_files()
    operator.render_template_fields({"ti": SimpleNamespace(map_index=-1), **context})
    return as_request(operator.request)


@pytest.mark.parametrize("name", ["greeting.yaml", "greeting.yml"])
def test_a_yaml_file_is_rendered_and_then_parsed(tmp_path, name):
    (tmp_path / name).write_text(YAML)
    request = rendered(name, tmp_path, name="Ada", scenes=["Hi", "Bye"])
    assert request == {"title": "Ada", "scenes": [{"text": "Hi"}, {"text": "Bye"}]}


def test_a_json_file_is_rendered_and_then_parsed(tmp_path):
    (tmp_path / "greeting.json").write_text('{"title": {{ name | tojson }}, "seconds": {{ seconds }}}')
    assert rendered("greeting.json", tmp_path, name='A "quote"', seconds=5) == {"title": 'A "quote"', "seconds": 5}


def test_a_file_of_a_mapped_task_is_read_when_it_runs(tmp_path):
    (tmp_path / "a.json").write_text('{"title": "{{ run_id }}"}')
    with DAG("d", schedule=None, start_date=BEGAN, template_searchpath=[str(tmp_path)]):
        task = SubmitVideoJobOperator.partial(task_id="t", conn_id="c").expand(request=["a.json"])
    context = {
        "ti": SimpleNamespace(map_index=0, task=task, run_id="r", is_mapped=True),
        "dag": task.dag,
        "dag_run": SimpleNamespace(conf={}),
        "task": task,
        "run_id": "r",
        "expanded_ti_count": 1,
    }
    task.render_template_fields(context)
    assert as_request(context["task"].request) == {"title": "r"}


def test_a_link_within_a_request_is_no_file():
    request = {"animation": "https://cdn.example/{{ name }}.json", "captions": ["a.yaml"]}
    assert rendered(request, name="logo") == {"animation": "https://cdn.example/logo.json", "captions": ["a.yaml"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,}', "not JSON"),
        ("just words", "nor YAML of a mapping"),
        ("a: [1", "neither JSON nor YAML"),
        ("[1, 2]", "as a mapping"),
    ],
)
def test_text_that_is_no_request_is_refused_when_the_dag_is_parsed(text, said):
    with pytest.raises(VideoConfigurationError, match=said):
        SubmitVideoJobOperator(task_id="t", conn_id="c", request=text)


def test_what_json_cannot_hold_is_named_by_its_path_when_the_dag_is_parsed():
    with pytest.raises(VideoConfigurationError, match=r"request\.scenes\.1\.at holds what JSON cannot"):
        SubmitVideoJobOperator(task_id="t", conn_id="c", request={"scenes": [{}, {"at": b"x"}]})


def nested(levels):
    value = leaf = {}
    for _ in range(levels):
        leaf["a"] = [{}]
        leaf = leaf["a"][0]
    return value


def within_itself():
    value = {"a": []}
    value["a"].append(value)
    return value


@pytest.mark.parametrize(
    "request_",
    [nested(2000), within_itself(), '{"a":' * 5000, "[" * 5000, "{a: " * 5000],
    ids=["deep", "within itself", "JSON", "list", "YAML"],
)
def test_what_is_nested_too_deep_is_refused_when_the_dag_is_parsed(request_):
    with pytest.raises(VideoConfigurationError, match=r"deeper than 100 levels|neither JSON nor YAML|not JSON"):
        SubmitVideoJobOperator(task_id="t", conn_id="c", request=request_)
    assert as_request(nested(45)) == nested(45)


def test_keys_that_are_no_texts_are_named():
    with pytest.raises(VideoConfigurationError, match=r"request\.scenes\.0 holds .* its keys must be texts"):
        SubmitVideoJobOperator(task_id="t", conn_id="c", request={"scenes": [{1: "a", "b": 2}]})


def test_a_function_may_be_given_a_text_that_looks_like_a_file():
    with DAG("d", schedule=None, start_date=BEGAN):

        @video_job_task(conn_id="c")
        def greet(link):
            return {"animation": link}

        task = greet("https://cdn.example/logo.json").operator
    task.resolve_template_files()
    task.render_template_fields({"ti": SimpleNamespace(map_index=-1)})
    assert task.op_args == ("https://cdn.example/logo.json",)


class Titled(VendorRequest):
    """A request with one text."""

    title: str


def test_an_id_of_digits_that_native_rendering_made_a_number_is_not_refused():
    check_request_fields(Titled, {"title": 12345}, vendor="acme")
    with pytest.raises(VideoConfigurationError, match=r"request\.title"):
        check_request_fields(Titled, {"title": ["12345"]}, vendor="acme")
    assert Titled(title=12345).to_request() == {"title": "12345"}
