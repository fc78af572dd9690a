# SPDX-License-Identifier: Apache-2.0
"""The transfer operators on the simulator: every vendor, into S3 and local files, and back."""

from __future__ import annotations

import hashlib
import io
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import av
import pytest
from airflow.sdk import DAG, Asset

from airflow_video_providers.exceptions import VideoApiNotFoundError, VideoJobError, VideoTransferError
from airflow_video_providers.hooks.base import get_video_hook
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator
from tests.support.s3 import S3Server
from tests.support.simulator import VENDORS, Simulator
from tests.support.vendors import ONE

pytestmark = pytest.mark.usefixtures("video_connections")


def finished(simulator: Simulator, vendor: str) -> str:
    """Render; return the id of the finished job."""
    job_id = get_video_hook(f"{vendor}_default").submit_job(VENDORS[vendor].request("stored")).job_id
    simulator.move(job_id, finish=True)
    return job_id


def store(**arguments: Any) -> list[dict[str, Any]]:
    """Run the operator outside of Airflow."""
    return VideoToObjectStorageOperator(task_id="store", **arguments).execute({})  # type: ignore[typeddict-item]


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Give a bucket and its Airflow connection."""
    for name, value in s3.connection_env().items():
        monkeypatch.setenv(name, value)
    return s3


def frames(data: bytes) -> int:
    """Decode the video; return how many frames it has."""
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(container.streams.video[0]))


@pytest.mark.s3
@pytest.mark.parametrize("vendor", VENDORS)
def test_every_file_of_every_vendor_is_stored(vendor: str, simulator: Simulator, bucket: S3Server) -> None:
    job_id = finished(simulator, vendor)
    destination = f"s3://s3_test@{bucket.bucket}/{{vendor}}/{{job_id}}/{{kind}}/{{label}}/{{name}}.{{ext}}"
    files = store(conn_id=f"{vendor}_default", job_id=job_id, destination=destination, outputs="all")
    assert sorted(bucket.list_keys()) == sorted(item["uri"].split(f"{bucket.bucket}/")[1] for item in files)
    for item in files:
        data = bucket.body(item["uri"].split(f"{bucket.bucket}/")[1])
        assert (item["sha256"], item["size"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert (item["vendor"], item["job_id"]) == (vendor, job_id)
        assert "?" not in item["uri"]
        if item["kind"] == "video":
            assert frames(data) > 0
    assert "video" in {item["kind"] for item in files}
    assert bucket.uploads() == []
    # Once more: nothing is read again, and the same is returned.
    before = simulator.counts(vendor)["downloads"]
    again = store(conn_id=f"{vendor}_default", job_id=job_id, destination=destination, outputs="all")
    assert again == files
    assert simulator.counts(vendor)["downloads"] == before


def test_a_large_file_that_is_cut_and_expires_is_stored_whole(simulator: Simulator, tmp_path: Path) -> None:
    simulator.settings(file_bytes=30_000_000)
    job_id = finished(simulator, ONE)
    simulator.fault(ONE, "download", cut_after=12_000_000)
    simulator.fault(ONE, "download", expired_link=True, after=1)
    (item,) = store(
        conn_id=f"{ONE}_default",
        job_id={"job_id": job_id, "vendor": ONE},
        destination=f"file://{tmp_path}/{{job_id}}.{{ext}}",
    )
    assert (tmp_path / f"{job_id}.mp4").stat().st_size == item["size"]
    assert hashlib.sha256((tmp_path / f"{job_id}.mp4").read_bytes()).hexdigest() == item["sha256"]
    assert list(tmp_path.iterdir()) == [tmp_path / f"{job_id}.mp4"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_link_that_has_expired_is_minted_again(vendor: str, simulator: Simulator, tmp_path: Path) -> None:
    job_id = finished(simulator, vendor)
    simulator.fault(vendor, "download", expired_link=True)
    (item,) = store(
        conn_id=f"{vendor}_default", job_id=job_id, destination=f"file://{tmp_path}/film.{{ext}}", outputs=["video"]
    )
    data = (tmp_path / "film.mp4").read_bytes()
    assert (item["size"], frames(data) > 0) == (len(data), True)
    counts = simulator.counts(vendor)
    assert counts["downloads"] >= 2  # the refused one, and the file
    assert counts["bytes"] < 2 * len(data)


def test_an_error_page_is_not_stored(simulator: Simulator, tmp_path: Path) -> None:
    job_id = finished(simulator, ONE)
    simulator.fault(ONE, "download", html=True, times=None)
    with pytest.raises(VideoTransferError, match="HTML page"):
        store(conn_id=f"{ONE}_default", job_id=job_id, destination=f"file://{tmp_path}/{{job_id}}.{{ext}}")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_stored_is_said(simulator: Simulator, tmp_path: Path) -> None:
    running = get_video_hook(f"{ONE}_default").submit_job(VENDORS[ONE].request("running")).job_id
    destination = f"file://{tmp_path}/{{job_id}}.{{ext}}"
    with pytest.raises(VideoJobError, match="wait until it has finished"):
        store(conn_id=f"{ONE}_default", job_id=running, destination=destination)
    with pytest.raises(VideoApiNotFoundError):
        store(conn_id=f"{ONE}_default", job_id="00000000-0000-0000-0000-000000000000", destination=destination)
    job_id = finished(simulator, ONE)
    with pytest.raises(VideoTransferError, match=r"offers .*video.*, but no archive"):
        store(conn_id=f"{ONE}_default", job_id=job_id, destination=destination, outputs=["archive"])
    with pytest.raises(VideoTransferError, match="max_bytes allows 1000"):
        store(conn_id=f"{ONE}_default", job_id=job_id, destination=destination, max_bytes=1000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.s3
def test_attributes_are_set(simulator: Simulator, bucket: S3Server) -> None:
    job_id = finished(simulator, ONE)
    store(
        conn_id=f"{ONE}_default",
        job_id=job_id,
        destination=f"s3://s3_test@{bucket.bucket}/v.mp4",
        content_type="video/mp4; codecs=avc1",
        metadata={"team": "training"},
    )
    head = bucket.client.head_object(Bucket=bucket.bucket, Key="v.mp4")
    assert head["ContentType"] == "video/mp4; codecs=avc1"
    assert head["Metadata"]["team"] == "training"
    assert (head["Metadata"]["videovendor"], head["Metadata"]["videojobid"]) == (ONE, job_id)
    assert head["Metadata"]["videosha256"] == hashlib.sha256(bucket.body("v.mp4")).hexdigest()


@pytest.mark.airflow
def test_mapped_in_a_dag_with_outlets_and_lineage(airflow_db: None, simulator: Simulator, tmp_path: Path) -> None:
    from airflow.models.asset import AssetEvent
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from sqlalchemy import select

    jobs = [{"conn_id": f"{vendor}_default", "job_id": finished(simulator, vendor)} for vendor in list(VENDORS)[:2]]
    name = f"stores_{time.time_ns()}"
    with DAG(name, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        VideoToObjectStorageOperator.partial(
            task_id="store",
            destination=f"file://{tmp_path}/{{{{ dag.dag_id }}}}/{{vendor}}-{{job_id}}.{{ext}}",
            outlets=[Asset(f"videos_{name}")],
        ).expand_kwargs(jobs)
    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
    serialized = LazyDeserializedDAG.from_dag(dag)
    SerializedDAG.bulk_write_to_db("tests", None, [serialized])
    SerializedDagModel.write_dag(serialized, bundle_name="tests")
    run = dag.test()
    assert run.state == "success"
    delivered = sorted((tmp_path / name).iterdir())
    assert [path.name for path in delivered] == [f"{job['conn_id'][:-8]}-{job['job_id']}.mp4" for job in jobs]
    with create_session() as session:
        extras = [
            event.extra
            for event in session.scalars(select(AssetEvent))
            if any(item["uri"].startswith(f"file://{tmp_path}") for item in event.extra.get("files", []))
        ]
    assert sorted(item["uri"] for extra in extras for item in extra["files"]) == [path.as_uri() for path in delivered]


def test_lineage_names_the_job_and_the_objects(simulator: Simulator, tmp_path: Path) -> None:
    job_id = finished(simulator, ONE)
    operator = VideoToObjectStorageOperator(
        task_id="store", conn_id=f"{ONE}_default", job_id=job_id, destination=f"file://{tmp_path}/{{job_id}}.{{ext}}"
    )
    (item,) = operator.execute({})  # type: ignore[typeddict-item]
    lineage = operator.get_openlineage_facets_on_complete(None)
    assert [(data.namespace, data.name) for data in lineage.inputs] == [(ONE, f"jobs/{job_id}")]
    assert [(data.namespace, data.name) for data in lineage.outputs] == [("file", f"{tmp_path}/{job_id}.mp4")]
    assert lineage.outputs[0].outputFacets["outputStatistics"].size == item["size"]
