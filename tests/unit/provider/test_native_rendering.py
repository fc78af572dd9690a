# SPDX-License-Identifier: Apache-2.0
"""``render_template_as_native_obj``: what is meant as text is taken as text, or refused with words, in every field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timezone
from typing import Any

import pytest
from airflow.sdk import DAG, BaseHook

from airflow_video_providers.decorators import _VideoJobDecoratedOperator
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.operators.arguments import AS_TEXT, job_id_of
from airflow_video_providers.operators.render_videos import RenderVideosOperator
from airflow_video_providers.operators.video_job import CancelVideoJobOperator, SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator
from tests.support.submission import World, context_of

GOOD: dict[Any, dict[str, Any]] = {
    SubmitVideoJobOperator: {"conn_id": "c", "request": {"a": 1}},
    CancelVideoJobOperator: {"conn_id": "c", "job_id": "1"},
    VideoJobSensor: {"conn_id": "c", "job_id": "1"},
    VideoToObjectStorageOperator: {"conn_id": "c", "job_id": "1", "destination": "s3://bucket/{job_id}.{ext}"},
    ObjectStorageToVideoOperator: {"conn_id": "c", "source": "file:///a.mp4"},
    RenderVideosOperator: {"conn_id": "c", "requests": [{"a": 1}], "destination": "s3://bucket/{id}.{ext}"},
}
NOT_TEXTS = {"request", "requests", "options", "job_id", "outputs", "if_exists", "max_bytes", "checks", "encryption"}
FIELDS = [(operator, name) for operator in GOOD for name in operator.template_fields]
TEXTS = [(operator, name) for operator, name in FIELDS if name not in NOT_TEXTS]
OPTIONAL = {
    "options", "max_bytes", "source_conn_id", "content_type", "metadata", "storage_class", "encryption", "kms_key",
    "acl", "name", "media_type", "manifest",
}  # fmt: skip
VALUES: dict[str, Any] = {
    "digits": "20261127",
    "a number": 20261127,
    "a fraction": "1.10",
    "true": "True",
    "none": None,
    "a day": date(2026, 11, 27),
    "a time": datetime(2026, 11, 27, tzinfo=timezone.utc),
    "a list": "[1, 2]",
}


class ReachedError(Exception):
    """All arguments passed: a connection is looked up."""


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def reach(*_: Any, **__: Any) -> None:
        raise ReachedError

    monkeypatch.setattr(BaseHook, "get_connection", reach)
    monkeypatch.setattr(BaseHook, "get_hook", reach)


def rendered(operator: Any, value: Any, *, native: bool = True, **fields: Any) -> Any:
    """Return the task with a template in one field, rendered as Airflow does."""
    with DAG("d", schedule=None, render_template_as_native_obj=native):
        task = operator(task_id="t", **{**GOOD[operator], **fields})
    task.render_template_fields({"params": {"x": value}})
    return task


def check(task: Any) -> None:
    """Run the task up to where it looks its connection up."""
    with pytest.raises(ReachedError):
        task.execute(context_of(World(), task))


def template(name: str, quote: str = "") -> Any:
    text = f"{quote}{{{{ params.x }}}}{quote}"
    return {"order": text} if name == "metadata" else text


def test_each_templated_field_is_a_text_or_known_to_be_none() -> None:
    for operator in GOOD:
        assert set(operator.template_fields) == set(operator.text_fields) | (
            set(operator.template_fields) & NOT_TEXTS
        ), operator
    own = set(_VideoJobDecoratedOperator.template_fields) - {"op_args", "op_kwargs", "templates_dict"}
    assert own == set(SubmitVideoJobOperator.template_fields)


@pytest.mark.parametrize(("operator", "name"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("value", VALUES)
def test_every_field_is_taken_or_refused_in_words(operator: Any, name: str, value: str) -> None:
    task = rendered(operator, VALUES[value], **{name: template(name)})
    try:
        check(task)
    except VideoConfigurationError as error:
        said = str(error)
        assert name in said or f"{task.__dict__[name]!r}: " in said or "the URI of a file" in said
        assert not (value == "none" and name in OPTIONAL - {"metadata"}), "None is: not given"
        return
    kept = getattr(task, name)
    if (operator, name) in TEXTS:
        texts = kept.values() if isinstance(kept, Mapping) else [kept]
        assert all(text is None or isinstance(text, str) for text in texts)
    if value == "none":
        # Without a destination a list is rendered only; the list itself is read once its connection is known.
        assert name in OPTIONAL or (operator is RenderVideosOperator and name in ("destination", "requests"))


TAKEN = [
    (operator, name)
    for operator, name in TEXTS
    if name not in ("source", "destination", "manifest", "content_type", "media_type")
]


@pytest.mark.parametrize(("operator", "name"), TAKEN, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("value", ["20261127", 20261127, date(2026, 11, 27), True, "True", "'1.10'", "x"], ids=repr)
def test_native_rendering_gives_the_text_that_plain_rendering_gives(operator: Any, name: str, value: Any) -> None:
    texts = []
    for native in (True, False):
        task = rendered(operator, value, native=native, **{name: template(name)})
        check(task)
        texts.append(getattr(task, name))
    plain = str(value).strip("'")
    assert texts[0] == ({"order": plain} if name == "metadata" else plain)
    if not isinstance(value, str) or "'" not in value:
        assert texts[0] == texts[1]


@pytest.mark.parametrize(("operator", "name"), TAKEN, ids=lambda part: getattr(part, "__name__", part))
def test_quotes_keep_a_text_as_the_error_advises(operator: Any, name: str) -> None:
    with pytest.raises(VideoConfigurationError) as caught:
        check(rendered(operator, "1.10", **{name: template(name)}))
    assert caught.value.advice == (AS_TEXT,)
    task = rendered(operator, "1.10", **{name: template(name, quote="'")})
    check(task)
    assert getattr(task, name) == ({"order": "1.10"} if name == "metadata" else "1.10")


@pytest.mark.parametrize("operator", [CancelVideoJobOperator, VideoJobSensor, VideoToObjectStorageOperator])
def test_a_job_id(operator: Any) -> None:
    task = rendered(operator, "20261127", job_id="{{ params.x }}")
    check(task)
    assert job_id_of(task.job_id) == "20261127"
    with pytest.raises(VideoConfigurationError) as caught:
        check(rendered(operator, "1e5", job_id="{{ params.x }}"))
    assert caught.value.advice == (AS_TEXT,)


def test_the_values_of_a_mapped_task_are_taken_as_well() -> None:
    assert ObjectStorageToVideoOperator(task_id="t", conn_id=5, source="file:///a", name=7).name == "7"  # type: ignore[arg-type]
