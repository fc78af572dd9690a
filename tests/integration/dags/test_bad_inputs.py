# SPDX-License-Identifier: Apache-2.0
"""Each bad input ends in one error in the task's log that says what to do, with no money spent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.airflow import run_airflow
from tests.support.simulator import VENDORS
from tests.support.vendors import ONE

pytestmark = pytest.mark.airflow

DAGS = Path(__file__).parent / "bad_inputs"

EXPECTED = {
    "wrong_key": ("VideoApiAuthenticationError", "responded 4", "Check the key"),
    "missing_connection": ("AirflowNotFoundException", "The conn_id `not_there` isn't defined"),
    "other_connection": ("VideoConfigurationError", "is of type 'http', which is no video API"),
    "malformed_request": ("VideoApiInvalidRequestError", "responded 4"),
    "vendor_down": ("VideoApiUnavailableError", "could not connect"),
    "unknown_job": ("VideoApiNotFoundError", "responded 404", "Check the id"),
    "unknown_video": ("VideoApiNotFoundError", "responded 404", "Check the id"),
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Filled by the one run of the DAG that all cases look at."""
    return {}


@pytest.fixture
def log(printed, simulator, video_connections, airflow_db, monkeypatch):
    if not printed:
        good, vendor = simulator.connection(ONE), VENDORS[ONE]
        monkeypatch.setenv("AIRFLOW_CONN_GOOD", json.dumps(good))
        monkeypatch.setenv("AIRFLOW_CONN_WRONG_KEY", json.dumps({**good, "password": "d3Jvbmcta2V5"}))
        down = {**good, "host": "http://127.0.0.1:9/api/v1", "extra": {"retry_deadline": 1}}
        monkeypatch.setenv("AIRFLOW_CONN_VENDOR_DOWN", json.dumps(down))
        monkeypatch.setenv("BAD_INPUTS_REQUESTS", json.dumps([vendor.request("Ada"), vendor.refused]))
        monkeypatch.setenv("AIRFLOW_CONN_NO_VIDEO_API", json.dumps({"conn_type": "http", "host": "localhost"}))
        monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(DAGS))
        done = run_airflow("dags", "test", "bad_inputs")
        assert done.returncode != 0
        printed["log"] = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        printed["jobs"] = simulator.jobs()
    return printed["log"]


@pytest.mark.parametrize("task_id", EXPECTED)
def test_the_log_says_what_is_wrong(task_id, log):
    for text in EXPECTED[task_id]:
        assert text in log, text


def test_nothing_was_bought_and_no_secret_was_logged(log, printed):
    assert printed["jobs"] == []
    assert "d3Jvbmcta2V5" not in log
