# SPDX-License-Identifier: Apache-2.0
"""Each DAG of ``dags/``, run by ``airflow dags test`` on the simulator; the files that are delivered are played."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import pytest

from tests.support.airflow_process import AirflowProcess
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

pytestmark = pytest.mark.airflow

CALLED_BACK = "render_called_back"
CALLERS = {name for name, hook in HOOKS.items() if hook.takes_callback and name in VENDORS}
DAGS = sorted(path.stem for path in (Path(__file__).parents[3] / "dags").glob("*.py"))
SOURCE = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x08free" * 1000


@pytest.fixture
def place(tmp_path, monkeypatch, simulator):
    """Tell the DAGs where the videos go, what to transcode and what to render."""
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_DESTINATION", (tmp_path / "videos").as_uri())
    source = tmp_path / "source.mp4"
    source.write_bytes(SOURCE)
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_SOURCE", source.as_uri())
    catalogue = [{"conn_id": f"{name}_default", "request": vendor.request(name)} for name, vendor in VENDORS.items()]
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_CATALOGUE", json.dumps(catalogue))
    batches = []
    for name, vendor in VENDORS.items():
        batch = tmp_path / f"{name}.jsonl"
        lines = [json.dumps({"id": f"clip/{n}", "request": vendor.request(f"{name} {n}")}) for n in range(2)]
        batch.write_text("\n".join(lines), "utf-8")
        batches.append({"conn_id": f"{name}_default", "requests": batch.as_uri()})
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_BATCHES", json.dumps(batches))
    called_back = [each for each in catalogue if each["conn_id"].removesuffix("_default") in CALLERS]
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_RENDERS_CALLED_BACK", json.dumps(called_back))
    simulator.settings(render_seconds=2)
    return tmp_path / "videos"


@pytest.fixture(scope="module")
def airflow(airflow_db, tmp_path_factory):
    """Run all DAGs in one process of Airflow."""
    process = AirflowProcess(tmp_path_factory.mktemp("airflow") / "output.log")
    yield process
    process.close()


def test_every_vendor_has_a_dag_of_its_own():
    assert {dag_id.partition("_")[0] for dag_id in DAGS} >= set(VENDORS)


@pytest.mark.timeout(900)  # `dags test` runs mapped tasks one after the other
@pytest.mark.parametrize("dag_id", DAGS)
def test_the_dag_delivers_whole_videos(dag_id, place, simulator, video_connections, airflow, request, monkeypatch):
    if dag_id == CALLED_BACK:
        simulator.settings(render_seconds=8)  # the wait is deferred by then
        url = request.getfixturevalue("callback_server")
        for name in CALLERS:
            fields = simulator.connection(name)
            extra = {"callback_secret": "a secret of 24 characters", "callback_base_url": url}
            fields["extra"] = {**fields.get("extra", {}), **extra}
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT", json.dumps(fields))
    code, printed = airflow.run("dags", "test", dag_id, env=os.environ)
    assert code == 0, printed[-10_000:]
    jobs = simulator.jobs()
    vendor = dag_id.partition("_")[0]
    expected = {vendor} if vendor in VENDORS else CALLERS if dag_id == CALLED_BACK else set(VENDORS)
    assert {job["vendor"] for job in jobs} == expected
    if dag_id == CALLED_BACK:
        for job in jobs:
            assert f"{job['job_id']} · called back" in printed, job
    videos = sorted(place.rglob("*.mp4"))
    for job in jobs:
        own = job["job_id"].rpartition("|")[2]  # an id of two parts is escaped in a path; its last part is not
        assert any(own in str(video) for video in videos), job
    for video in videos:
        with av.open(str(video)) as container:
            (stream,) = container.streams.video
            assert stream.codec_context.name == "h264"
            assert sum(1 for _ in container.decode(stream)) == stream.frames > 0
