# SPDX-License-Identifier: Apache-2.0
"""The example vendor of ``docs/hooks.md``, installed from the page as a distribution of its own, and run."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from tests.support import acme
from tests.support.acme import FakeAcme
from tests.support.airflow import run_airflow

ROOT = Path(__file__).parents[3]
FILES = dict(
    re.findall(
        r"<!-- file (\S+) -->\n(?:`\S+`\n\n)?```\w+\n(.*?)```\n", (ROOT / "docs" / "hooks.md").read_text(), re.DOTALL
    )
)
DAG = """
from airflow.sdk import DAG
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

with DAG("acme_films"):
    for name, arguments in {"rescheduled": {"mode": "reschedule"}, "deferred": {"deferrable": True}}.items():
        submit = SubmitVideoJobOperator(
            task_id=f"submit_{name}", conn_id="acme_default", request={"title": name, "script": "Once upon a time"}
        )
        wait = VideoJobSensor(
            task_id=f"wait_{name}", conn_id="acme_default", job_id=submit.output, poll_interval=1, **arguments
        )
        VideoToObjectStorageOperator(
            task_id=f"store_{name}",
            conn_id="acme_default",
            job_id=wait.output,
            destination="{{ var.value.video_destination }}/{job_id}.{ext}",
        )
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the page's files with pip into a folder of their own, as another distribution beside this one."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name, text in FILES.items():
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (source / "airflow_acme" / "__init__.py").touch()
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shutil.copy(source / "test_acme.py", target)
    shutil.copy(acme.__file__, target / "fake_acme.py")
    return target


@pytest.fixture
def on_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the processes that a test starts find the distribution."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), str(ROOT)]))
    return installed


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-rA", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_whole_vendor_is_short() -> None:
    vendor = [text for name, text in FILES.items() if not name.startswith("test_")]
    assert len(vendor) == 5
    assert sum(text.count("\n") for text in vendor) <= 150


@pytest.mark.airflow
def test_it_passes_the_conformance_suite(on_path: Path) -> None:
    done = run_pytest(on_path, "test_acme.py")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    for capability in ("only_the_whole_key", "cancel_spares", "list_reads_many_jobs"):
        assert re.search(f"PASSED .*{capability}", done.stdout)


@pytest.mark.airflow
def test_its_jobs_are_submitted_awaited_and_stored(
    on_path: Path, airflow_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "acme_films.py").write_text(DAG)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    monkeypatch.setenv("AIRFLOW_VAR_VIDEO_DESTINATION", (tmp_path / "videos").as_uri())
    with FakeAcme(seconds=2) as server:
        monkeypatch.setenv("AIRFLOW_CONN_ACME_DEFAULT", json.dumps(server.connection()))
        done = run_airflow("dags", "test", "acme_films")
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        assert len(server.films) == 2
        assert {film.note is not None for film in server.films.values()} == {True}
        stored = {path.stem: path.read_bytes() for path in (tmp_path / "videos").glob("*.mp4")}
        assert stored == dict.fromkeys(server.films, acme.MP4)


def test_its_provider_info_passes_airflows_schema(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    info = importlib.import_module("airflow_acme.get_provider_info").get_provider_info()
    jsonschema.validate(info, json.loads((files("airflow") / "provider_info.schema.json").read_text()))
    (form,) = info["connection-types"]
    assert form["hook-class-name"] == "airflow_acme.hook.AcmeHook"
    assert {"proxy", "read_timeout"} <= set(form["conn-fields"])


BROKEN = """
from airflow_acme.hook import LIST, AcmeHook
from airflow_acme.schemas import Film
from airflow_video_providers.hooks import lists
from airflow_video_providers.jobs import VideoOutput
from test_acme import TestAcmeHook as Suite


class PaysTwice(AcmeHook):
    def submit_job(self, request, *, key=None):
        return self._job(self.fetch(Film, "POST", "/films", json={**request, "note": key}, repeatable=True))


class TakesAPrefix(AcmeHook):
    def find_job(self, key, *, request, since):
        return next((self._job(film) for film in self._list()[0] if (film.note or "").startswith(key)), None)


class TakesTheDead(AcmeHook):
    def find_job(self, key, *, request, since):
        return next((self._job(film) for film in self._list()[0] if film.note == key), None)


class IgnoresTheUnreadable(AcmeHook):
    def find_job(self, key, *, request, since):
        ours = [self._job(film) for film in self._list()[0] if film.note == key]
        return lists.oldest_usable(ours, vendor=self.vendor, endpoint=LIST)


class DeletesUnseen(AcmeHook):
    def cancel_job(self, job_id):
        self.fetch(None, "DELETE", "/films/{id}", id=job_id)
        return self.get_job(job_id)


class GivesNoReason(AcmeHook):
    def get_outputs(self, job_id):
        film = self.fetch(Film, "GET", "/films/{id}", id=job_id)
        return [VideoOutput(kind="video", url=film.url, output_id=film.id)]


class RemembersLinks(AcmeHook):
    def refresh_output(self, job_id, output):
        return output


for hook in AcmeHook.__subclasses__():
    globals()[f"Test{hook.__name__}"] = type(f"Test{hook.__name__}", (Suite,), {"hook_class": hook})
del Suite
"""
CAUGHT = {
    "PaysTwice": "test_a_lost_response_leaves_one_job_that_is_found_again",
    "TakesAPrefix": "test_only_the_whole_key_is_a_match",
    "TakesTheDead": "test_of_two_jobs_with_one_key_the_oldest_that_is_alive_is_found",
    "IgnoresTheUnreadable": "test_an_unreadable_item_hides_no_job_that_is_searched",
    "DeletesUnseen": "test_cancel_spares_a_finished_job",
    "GivesNoReason": "test_a_failed_job_has_no_outputs",
    "RemembersLinks": "test_links_are_renewed",
}


@pytest.mark.airflow
def test_the_suite_catches_hooks_that_break_the_contract(on_path: Path) -> None:
    (on_path / "test_broken.py").write_text(BROKEN)
    wanted = " or ".join(f"({hook} and {test})" for hook, test in CAUGHT.items())
    done = run_pytest(on_path, "test_broken.py", "-k", wanted)
    caught = set(re.findall(r"^FAILED .*::Test(\w+)::(\w+)", done.stdout, re.MULTILINE))
    assert caught == set(CAUGHT.items()), done.stdout[-5000:]
