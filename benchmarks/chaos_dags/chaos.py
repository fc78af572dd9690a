# SPDX-License-Identifier: Apache-2.0
"""
The DAGs of ``make chaos``: one a case, one mapped task a vendor and repetition.

On the first try of a case that strikes, the task kills or stops its worker at the named point. The functions at the
points are wrapped when a worker reads this file: those of Airflow's task state store, ``requests`` and public methods
alone, so that the harness knows nothing of what is inside the package.
"""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import requests
from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.execution_time.context import TaskStateStoreAccessor
from chaos_cases import CASES, MARK, WAYS
from chaos_points import kill_worker, wrap

from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.retry_policy import VideoRetryPolicy
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

HOME = Path(os.environ["CHAOS_HOME"])
ORDERS = json.loads((HOME / "orders.json").read_text())
STRIKES = {case.dag_id: case for case in CASES if case.strike}


class Try:
    """What this worker process has seen of its try."""

    mark = ""
    submitting = False
    refused = False


def reach(point):
    """Do what the case says, if this is the first try of a task and the point at which it is struck; return whether."""
    case = STRIKES.get(os.environ.get("AIRFLOW_CTX_DAG_ID", ""))
    if case is None or case.strike != point or os.environ.get("AIRFLOW_CTX_TRY_NUMBER") != "1":
        return False
    if case.blow == "kill":
        kill_worker()
    standing = HOME / "standing" / Try.mark
    if standing.exists():
        return False
    standing.write_text(json.dumps([os.getpid(), os.getppid()]))
    if case.blow == "suspend":
        os.kill(os.getppid(), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
    while case.blow == "hold" and standing.exists():
        time.sleep(0.2)
    return True


def stored(_, store, key, value=None, *rest):
    if isinstance(value, dict):
        reach({"intended": "intended", "submitted": "kept"}.get(value.get("state")))


def submits(hook, request, *_):
    Try.submitting = True
    Try.mark = MARK.search(json.dumps(dict(request))).group()


def submitted(*_):
    Try.submitting = False
    reach("answered")


def sent(response, session, request, *_):
    """See the response to the call that creates the job: the POST of a submission that is not about a token."""
    if Try.submitting and request.method == "POST" and "token" not in request.url:
        Try.refused = response.status_code in (429, 503)
        if response.ok:
            reach("accepted")


def sleeps(*_):
    """Stop in the pause before a refused call is repeated; the pause is over when the worker goes on."""
    refused, Try.refused = Try.refused, False
    return refused and reach("pausing")


def made(_, hook, *__):
    """Mark the points of the vendor whose hook was made."""
    wrap(type(hook), "submit_job", before=submits, after=submitted)
    wrap(type(hook), "get_job", after=lambda *_: reach("waiting"))


wrap(TaskStateStoreAccessor, "set", after=stored)
wrap(requests.Session, "send", after=sent)
wrap(time, "sleep", before=sleeps)
wrap(SubmitVideoJobOperator, "execute", after=lambda *_: reach("succeeded"))
wrap(SubmitVideoJobOperator, "defer", before=lambda *_: reach("deferring"))
wrap(VideoHook, "__init__", after=made)

for case in CASES:
    if case.dag_id not in ORDERS or get_parsing_context().dag_id not in (None, case.dag_id):
        continue  # a worker needs its own DAG alone
    retries = 3
    if case.action == "change retries" and (HOME / "retries").exists():
        retries = 1
    with DAG(case.dag_id, schedule=None, catchup=False, max_active_tasks=100) as dag:
        for way, orders in ORDERS[case.dag_id].items():
            submit = SubmitVideoJobOperator.partial(
                task_id=way.replace(" ", "_"),
                retry_delay=timedelta(seconds=case.retry_seconds),
                retry_policy=VideoRetryPolicy(),
                poll_interval=2,
                find_wait=15,
                **WAYS[way],
                **{"retries": retries, **case.arguments},
            ).expand_kwargs(orders)
            for index, order in enumerate(orders if case.stores else ()):
                submit >> VideoToObjectStorageOperator(
                    task_id=f"{submit.task_id}_store_{index}",
                    retries=0,
                    conn_id=order["conn_id"],
                    job_id=f"{{{{ ti.xcom_pull(task_ids='{submit.task_id}', map_indexes={index}) }}}}",
                    destination=f"file://{HOME}/stored/{order['conn_id']}/{{job_id}}.{{ext}}",
                )
    globals()[case.dag_id] = dag
