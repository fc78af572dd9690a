# SPDX-License-Identifier: Apache-2.0
"""``RenderVideosOperator``, run by Airflow on the simulator: every vendor, both ways to wait, files that are whole."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import av
import pytest
from airflow.sdk import DAG
from airflow.sdk.module_loading import import_string

from airflow_video_providers.bulk.manifest import Manifest
from airflow_video_providers.exceptions import RenderVideosError, VideoConfigurationError
from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.operators.render_videos import RenderVideosOperator
from tests.support.simulator import VENDORS

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_db")]


@pytest.fixture
def run():
    """Run a DAG of one task to its end by ``dag.test()``; return the task instance."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    def run(**arguments: Any) -> Any:
        with DAG(f"bulk_{time.time_ns()}", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
            RenderVideosOperator(task_id="render", **{"poll_interval": 1, **arguments})
        with create_session() as session:
            session.merge(DagBundleModel(name="tests"))
        serialized = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("tests", None, [serialized])
        SerializedDagModel.write_dag(serialized, bundle_name="tests")
        (ti,) = dag.test().get_task_instances()
        return ti

    return run


def result_of(ti: Any) -> dict[str, Any]:
    value = ti.xcom_pull(task_ids="render")
    assert isinstance(value, dict)
    return value


def manifest_of(uri: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(uri.removeprefix("file://")).read_text("utf-8").splitlines()]


def requests_of(vendor: str, count: int) -> list[dict[str, Any]]:
    return [{"id": f"item/{n}", "request": VENDORS[vendor].request(f"clip-{n}")} for n in range(count)]


def hook_of(vendor: str) -> type[VideoHook]:
    entries = get_provider_info()["connection-types"]
    return import_string(next(e["hook-class-name"] for e in entries if e["connection-type"] == vendor))


LISTING = next(vendor for vendor in VENDORS if hook_of(vendor).can_list)
SINGLE = next(vendor for vendor in VENDORS if not hook_of(vendor).can_list)


@pytest.mark.parametrize(
    ("vendor", "deferrable"), [*((vendor, False) for vendor in VENDORS), (LISTING, True), (SINGLE, True)]
)
def test_each_item_is_paid_once_and_delivered_whole(
    vendor: str, deferrable: bool, run: Any, video_connections: Any, tmp_path: Path
) -> None:
    video_connections.settings(render_seconds=1)
    batch = tmp_path / "batch.jsonl"
    batch.write_text("".join(f"{json.dumps(item)}\n" for item in requests_of(vendor, 3)), "utf-8")
    ti = run(
        conn_id=f"{vendor}_default",
        requests=batch.as_uri(),
        destination=f"{(tmp_path / 'videos').as_uri()}/{{id}}/{{kind}}.{{ext}}",
        max_active=2,
        deferrable=deferrable,
    )
    assert ti.state == "success"
    summary = result_of(ti)
    assert (summary["requested"], summary["succeeded"], summary["failed"]) == (3, 3, 0)
    assert video_connections.counts(vendor)["creates"] == 3
    lines = manifest_of(summary["manifest"])
    assert [line["id"] for line in lines] == [f"item/{n}" for n in range(3)]
    assert {line["state"] for line in lines} == {"succeeded"}
    assert {line["job_id"] for line in lines} == {job["job_id"] for job in video_connections.jobs(vendor)}
    files = [file for line in lines for file in line["files"]]
    assert sum(file["size"] for file in files) == summary["bytes"]
    for file in files:
        path = Path(file["uri"].removeprefix("file://"))
        assert path.stat().st_size == file["size"]
        with av.open(str(path)) as container:
            (stream,) = container.streams.video
            assert sum(1 for _ in container.decode(stream)) == stream.frames > 0
    assert not [path for path in tmp_path.rglob("*") if ".part" in path.name]


def test_a_file_above_max_bytes_is_not_delivered_and_its_render_is_not_bought_again(
    run: Any, video_connections: Any, tmp_path: Path
) -> None:
    video_connections.settings(render_seconds=1)
    ti = run(
        conn_id=f"{LISTING}_default",
        requests=requests_of(LISTING, 2),
        destination=f"{(tmp_path / 'videos').as_uri()}/{{id}}.{{ext}}",
        manifest=(tmp_path / "manifest.jsonl").as_uri(),
        max_bytes=100,
        max_failures=2,
    )
    assert ti.state == "success"
    lines = manifest_of((tmp_path / "manifest.jsonl").as_uri())
    assert [(line["state"], "max_bytes" in line["error"]) for line in lines] == [("failed", True)] * 2
    assert video_connections.counts(LISTING)["creates"] == 2
    assert not list((tmp_path / "videos").rglob("*.mp4"))


def test_the_log_does_not_grow_with_the_items(
    run: Any, video_connections: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video_connections.settings(render_seconds=1)
    lines = []
    for count in (1, 4):
        caplog.clear()
        ti = run(
            conn_id=f"{LISTING}_default",
            requests=requests_of(LISTING, count),
            destination=f"{(tmp_path / str(count)).as_uri()}/{{id}}.{{ext}}",
        )
        assert ti.state == "success"
        ours = [record for record in caplog.records if record.name.startswith("airflow_video_providers.")]
        lines.append([record.getMessage() for record in ours if record.levelno >= logging.INFO])
    assert len(lines[0]) == len(lines[1]), lines


def test_failures_are_named_and_above_the_limit_the_task_fails(
    run: Any, video_connections: Any, tmp_path: Path
) -> None:
    video_connections.settings(render_seconds=1)
    bad = [{"id": f"bad{n}", "request": VENDORS[LISTING].request(f"x[fail]{n}")} for n in range(2)]
    good = requests_of(LISTING, 4)
    arguments = {
        "conn_id": f"{LISTING}_default",
        "requests": [*bad, *good],
        "manifest": (tmp_path / "manifest.jsonl").as_uri(),
        "max_active": 6,
    }
    assert run(**arguments, max_failures=2).state == "success"
    states = {line["id"]: (line["state"], line["error"]) for line in manifest_of(arguments["manifest"])}
    assert [states[f"bad{n}"][0] for n in range(2)] == ["failed", "failed"]
    assert "failed at the vendor" in str(states["bad0"][1])
    ti = run(**arguments, max_failures=0.2)
    assert ti.state == "failed"
    assert ti.xcom_pull(task_ids="render", key="manifest") == arguments["manifest"]


def test_a_task_has_its_button_from_the_start(run: Any, video_connections: Any, tmp_path: Path) -> None:
    from airflow_video_providers.links import VideoManifestLink, videos_page

    video_connections.settings(render_seconds=1)
    for times, state in ((1, "success"), (2, "failed")):  # the second list has one id twice
        manifest = (tmp_path / "m.jsonl").as_uri()
        ti = run(conn_id=f"{SINGLE}_default", requests=requests_of(SINGLE, 1) * times, manifest=manifest)
        assert ti.state == state
        assert ti.xcom_pull(task_ids="render", key=VideoManifestLink.xcom_key) == videos_page()
        assert ti.xcom_pull(task_ids="render", key="manifest") == manifest


def test_the_button_leads_to_the_console_of_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"region_name": "eu-west-1"}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_REAL_AWS", json.dumps(connection))
    url = Manifest("s3://real_aws@clips/m/a.jsonl").console_url
    assert url == "https://console.aws.amazon.com/s3/object/clips?region=eu-west-1&prefix=m/a.jsonl"


def test_a_bad_line_buys_nothing(run: Any, video_connections: Any, tmp_path: Path) -> None:
    batch = tmp_path / "batch.jsonl"
    batch.write_text('{"title": "a"}\n{"title": \n', "utf-8")
    ti = run(conn_id=f"{SINGLE}_default", requests=batch.as_uri(), manifest=(tmp_path / "m.jsonl").as_uri())
    assert ti.state == "failed"
    assert video_connections.counts(SINGLE)["creates"] == 0


def test_csv_and_a_template(run: Any, video_connections: Any, tmp_path: Path) -> None:
    video_connections.settings(render_seconds=1)
    batch = tmp_path / "customers.csv"
    batch.write_text("id,name\n1,Ada\n2,Bob\n", "utf-8")
    ti = run(
        conn_id=f"{SINGLE}_default",
        requests=batch.as_uri(),
        request_template=json.dumps(VENDORS[SINGLE].request("THE-NAME")).replace("THE-NAME", "{{ row.name }}"),
        manifest=(tmp_path / "m.jsonl").as_uri(),
    )
    assert ti.state == "success"
    assert sorted(job["name"] for job in video_connections.jobs(SINGLE)) == ["Ada", "Bob"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"max_failures": 1.0}, "unclear"),
        ({"max_failures": -1}, "max_failures"),
        ({"max_failures": True}, "max_failures"),
        ({"max_active": 0}, "max_active"),
        ({"on_clear": "none"}, "on_clear"),
        ({"manifest": None}, "manifest"),
        ({"destination": "s3://b/all.mp4"}, r"\{id\} or \{job_id\}"),
        ({"destination": "ftp://b/{id}.mp4"}, "scheme"),
        ({"outputs": ("film",)}, "film"),
    ],
)
def test_wrong_arguments_are_errors_when_the_dag_is_parsed(arguments: dict[str, Any], match: str) -> None:
    fixed = {"conn_id": "c", "requests": [{"t": 1}], "manifest": "s3://b/m.jsonl"}
    with pytest.raises(VideoConfigurationError, match=match):
        RenderVideosOperator(task_id="t", **{**fixed, **arguments})


def test_the_error_of_too_many_failures_holds_the_counts() -> None:
    error = RenderVideosError("x", summary={"failed": 2})
    assert error.summary == {"failed": 2}
