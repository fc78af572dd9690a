# SPDX-License-Identifier: Apache-2.0
"""Each DAG of ``docs/examples``, run by Airflow against Acme Films, the vendor of ``docs/hooks.md``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.third_party.test_the_vendor_of_the_page import installed, on_path  # noqa: F401
from tests.support.acme import FakeAcme
from tests.support.airflow import run_airflow

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
# Airflow takes seconds to start: one process runs them all.
RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag

for folder in sys.argv[1:]:
    bag = DagBag(dag_folder=folder)
    assert not bag.import_errors, bag.import_errors
    for dag in bag.dags.values():
        print("RESULT", json.dumps([dag.dag_id, dag.test().state]), flush=True)
"""


class BreakingAcme(FakeAcme):
    """Breaks each film whose title says so."""

    breaks = False

    def _create(self, request):
        status, film = super()._create(request)
        if self.breaks:
            self.fail(film["id"])
        return status, film


@pytest.fixture
def acme(on_path, airflow_db, tmp_path, monkeypatch):  # noqa: F811
    """Lead the connection of the examples to a fake server, and the videos into a folder."""
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_DESTINATION", (tmp_path / "videos").as_uri())
    assert run_airflow("pools", "set", "video_renders", "4", "renders at a time", "--include-deferred").returncode == 0
    with BreakingAcme(seconds=1) as server:
        monkeypatch.setenv("AIRFLOW_CONN_ACME_DEFAULT", json.dumps(server.connection()))
        yield server


def run(folder, *names, **changed):
    """Run some of the examples, after changes of their text; return the states by DAG, and all that was printed."""
    folder.mkdir()
    for name in names:
        text = (EXAMPLES / f"{name}.py").read_text()
        for old, new in changed.items():
            assert old in text
            text = text.replace(old, new)
        (folder / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder)],
        env={**os.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(folder)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    printed = done.stdout + done.stderr
    return dict(json.loads(line) for line in re.findall(r"^RESULT (.*)$", done.stdout, re.MULTILINE)), printed


@pytest.mark.airflow
def test_the_dags_store_their_videos(acme, tmp_path):
    states, printed = run(tmp_path / "dags", "three_tasks", "two_tasks", "one_for_each", "decorated", "whole_list")
    assert len(states) == 5, printed[-5000:]
    assert set(states.values()) == {"success"}, printed[-5000:]
    assert len(acme.films) == 7
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 7


@pytest.mark.airflow
def test_the_callback_tells_which_render_failed(acme, tmp_path):
    acme.breaks = True
    states, printed = run(tmp_path / "dags", "alert")
    assert states == {"tells_what_failed": "failed"}, printed[-5000:]
    assert re.search(r"ALERT render: acme job f001 \(Welcome\) is failed: the camera fell over", printed), printed[
        -5000:
    ]


@pytest.mark.airflow
def test_a_render_that_is_given_up_is_cancelled(acme, tmp_path):
    acme.seconds = None
    _, printed = run(tmp_path / "dags", "cancel", **{"timeout=3600": "timeout=2, poll_interval=1"})
    assert [film.state for film in acme.films.values()] == ["stopped"], printed[-5000:]


def test_every_example_is_run():
    tried = {"three_tasks", "two_tasks", "one_for_each", "decorated", "whole_list", "alert", "cancel", "test_renders"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tried


@pytest.mark.airflow
@pytest.mark.timeout(900)  # two runs of a DAG within another run of pytest
def test_the_tests_of_the_page_pass(airflow_db, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(ROOT / "dags"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_renders.py"]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    assert "2 passed" in done.stdout
