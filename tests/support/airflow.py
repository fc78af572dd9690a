# SPDX-License-Identifier: Apache-2.0
"""Airflow's database and command line, for tests that let Airflow itself run something."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run_airflow(*arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run an Airflow command in this test run's home and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make the metadata database of this test run's Airflow home."""
    done = run_airflow("db", "migrate")
    assert done.returncode == 0, done.stderr[-3000:]
