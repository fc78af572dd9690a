# SPDX-License-Identifier: Apache-2.0
"""Each DAG of ``dags/``, run by ``airflow dags test`` on the simulator; the files that land are played."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.airflow import run_airflow

pytestmark = pytest.mark.airflow

DAGS = {
    "colossyan_course": {"colossyan": 1},
    "hourone_presenter": {"hourone": 1},
    "oxolo_product_spot": {"oxolo": 1},
    "xvid_transcode": {"xvid": 1},
    "xvid_archive": {"xvid": 3},
    "render_catalogue": {"colossyan": 1, "hourone": 1, "oxolo": 1, "xvid": 1},
}


@pytest.fixture
def place(tmp_path, monkeypatch, simulator):
    """Tell the DAGs where the videos go, and give the one that transcodes a source."""
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_DESTINATION", (tmp_path / "videos").as_uri())
    source = tmp_path / "source.mp4"
    source.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x08free" * 1000)
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_SOURCE", source.as_uri())
    simulator.settings(render_seconds=2)
    return tmp_path / "videos"


def test_every_dag_of_the_folder_is_run_here():
    folder = Path(__file__).parents[3] / "dags"
    assert {path.stem for path in folder.glob("*.py")} == set(DAGS)


@pytest.mark.parametrize("dag_id", DAGS)
def test_the_dag_lands_whole_videos(dag_id, place, simulator, video_connections, airflow_db):
    done = run_airflow("dags", "test", dag_id)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    created = {vendor: simulator.counts(vendor)["creates"] for vendor in ("colossyan", "hourone", "oxolo", "xvid")}
    assert {vendor: count for vendor, count in created.items() if count} == DAGS[dag_id]
    videos = sorted(place.rglob("*.mp4"))
    assert len(videos) == sum(DAGS[dag_id].values())
    for video in videos:
        with av.open(str(video)) as container:
            (stream,) = container.streams.video
            assert stream.codec_context.name == "h264"
            assert sum(1 for _ in container.decode(stream)) == stream.frames > 0
