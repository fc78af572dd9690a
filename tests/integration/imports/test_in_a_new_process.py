# SPDX-License-Identifier: Apache-2.0
"""What an interpreter that has just started imports, and what it does first."""

from __future__ import annotations

import subprocess
import sys

from tests.support.vendors import HOOKS


def last_line(code: str) -> str:
    """Run code in an interpreter of its own, and return the last line that it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_a_dag_file_pays_for_no_heavy_import():
    code = """
import sys
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
before = set(sys.modules)
import airflow_video_providers.operators.video_job
import airflow_video_providers.sensors.video_job
import airflow_video_providers.transfers.video_to_object_storage
import airflow_video_providers.transfers.object_storage_to_video
heavy = {"requests", "boto3", "botocore", "fastapi", "av", "PIL", "google", "azure", "defusedxml"}
print(sorted(heavy & ({name.split(".")[0] for name in sys.modules} - {name.split(".")[0] for name in before})))
"""
    assert last_line(code) == "[]"


def test_a_destination_is_checked_without_any_cloud_client() -> None:
    code = (
        "import sys; from airflow_video_providers.delivery.destination import check_template\n"
        "for scheme in ('s3', 'gs', 'abfs'): check_template(scheme + '://bucket/{job_id}.mp4')\n"
        "print([name for name in ('boto3', 'botocore', 'google.cloud.storage', 'azure.core') if name in sys.modules])"
    )
    assert last_line(code) == "[]"


def test_the_delivery_of_a_file_needs_nothing_of_airflow() -> None:
    code = (
        "import sys; import airflow_video_providers.delivery.delivery\n"
        "import airflow_video_providers.delivery.stores.s3.store\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    )
    assert last_line(code) == "[]"


HOOKS_AT_ONCE = """
import threading
from airflow.sdk import Connection
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
from airflow_video_providers.get_provider_info import read_vendors
from airflow_video_providers.hooks import base

ProvidersManagerTaskRuntime()
kinds = [vendor["connection-type"] for vendor in read_vendors()]
barrier, made = threading.Barrier(len(kinds)), []

def make(kind):
    barrier.wait()
    made.append(base._hook_of(Connection(conn_id=kind, conn_type=kind)).conn_type)

threads = [threading.Thread(target=make, args=(kind,)) for kind in kinds]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(made))
"""


def test_the_first_hooks_of_a_triggerer_are_made_one_at_a_time():
    done = subprocess.run(
        [sys.executable, "-c", HOOKS_AT_ONCE], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines()[-1:] == [str(list(HOOKS))], done.stderr[-3000:]
