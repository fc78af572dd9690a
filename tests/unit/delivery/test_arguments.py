# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments fail when the DAG is parsed, with no look at a connection."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.lineage.entities import File
from airflow.sdk import Asset, AssetAlias, BaseHook
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

GOOD: dict[str, Any] = {"conn_id": "acme_default", "job_id": "1", "destination": "s3://c@b/{job_id}.{ext}"}


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was looked up")

    monkeypatch.setattr(BaseHook, "get_connection", refuse)


@pytest.mark.parametrize(
    "wrong",
    [
        {"destination": "s3://c@b/{job}.mp4"},
        {"destination": "ftp://b/a.mp4"},
        {"destination": "s3://b/folder/"},
        {"destination": 7},
        {"if_exists": "ignore"},
        {"outputs": ["videos"]},
        {"outputs": "movie"},
        {"outputs": []},
        {"streams": 0},
        {"max_bytes": 0},
        {"max_bytes": "many"},
        {"job_id": ""},
        {"job_id": {"vendor": "acme"}},
        {"conn_id": ""},
        {"metadata": {"team": 7.5}},
        {"metadata": {"team": None}},
        {"metadata": {"the-team": "x"}},
        {"metadata": {"1a": "x"}},
        {"metadata": {"videochecks": "length"}},
        {"metadata": {"VideoJobId": "7"}},
        {"metadata": {"équipe": "x"}},
        {"metadata": {"": "x"}},
        {"metadata": {"team": "日本"}},
        {"metadata": {"team": "x\ny"}},
    ],
    ids=str,
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(VideoConfigurationError):
        VideoToObjectStorageOperator(task_id="t", **{**GOOD, **wrong})


@pytest.mark.parametrize(
    "fine",
    [
        {},
        {"outputs": "all"},
        {"outputs": "thumbnail"},
        {"outputs": ("video", "{{ params.more }}")},
        {"job_id": "{{ ti.xcom_pull('submit') }}"},
        {"destination": "s3://b/{{ ds }}/{job_id}.{ext}"},
        {"destination": "{{ var.value.place }}"},
        {"if_exists": "{{ params.how }}", "conn_id": "{{ params.conn }}", "max_bytes": "{{ params.most }}"},
        {"job_id": {"job_id": "1", "vendor": "acme"}},
        {"metadata": {"Team1": "Training & safety, 2026 ~"}},
    ],
    ids=str,
)
def test_templates_and_good_arguments_pass(fine: dict[str, Any]) -> None:
    VideoToObjectStorageOperator(task_id="t", **{**GOOD, **fine})


def test_what_a_template_became_is_checked_before_anything_is_asked() -> None:
    operator = VideoToObjectStorageOperator(task_id="t", **{**GOOD, "if_exists": "{{ params.how }}"})
    operator.if_exists = "sometimes"
    with pytest.raises(VideoConfigurationError, match="if_exists"):
        operator.execute({})  # type: ignore[typeddict-item]


def test_a_kill_before_or_after_the_transfer_is_no_error() -> None:
    VideoToObjectStorageOperator(task_id="t", **GOOD).on_kill()


def test_outlets_that_are_no_assets_have_no_events() -> None:
    outlets = [File(url="file:///v.mp4"), Asset("videos"), AssetAlias("latest")]
    operator = VideoToObjectStorageOperator(task_id="t", **GOOD, outlets=outlets)
    events, files = OutletEventAccessors(), [{"uri": "s3://b/1.mp4"}]
    operator._tell_outlets({"outlet_events": events}, files)  # type: ignore[typeddict-item]  # that is all it reads
    assert [events[outlet].extra for outlet in outlets[1:]] == [{"files": files}] * 2
    assert len(events) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "s3://bucket"},
        {"source": "http://host/a.mp4"},
        {"conn_id": ""},
        {"options": ["pipeline_id"]},
        {"options": {"name": "x"}},
    ],
    ids=str,
)
def test_wrong_upload_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(VideoConfigurationError):
        ObjectStorageToVideoOperator(task_id="t", **{"source": "s3://c@b/a.mp4", "conn_id": "acme_default", **wrong})


@pytest.mark.parametrize(
    "options",
    ["[1]", '{"pipeline_id": "p"}', "", {7: "p"}, {"pipeline_id": "p", "size": 3}, {"media_type": "video/mp4"}],
    ids=str,
)
def test_what_the_options_of_an_upload_became_is_checked_before_anything_is_asked(options: Any) -> None:
    upload = ObjectStorageToVideoOperator(
        task_id="t",
        source="s3://c@b/a.mp4",
        conn_id="acme_default",
        options="{{ params.options }}",  # type: ignore[arg-type]  # a template
    )
    upload.options = options
    with pytest.raises(VideoConfigurationError, match="options must"):
        upload.execute({})  # type: ignore[typeddict-item]
