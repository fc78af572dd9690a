# SPDX-License-Identifier: Apache-2.0
"""The bulk DAGs of ``make chaos``: one a case, one mapped task a vendor; see ``chaos.py`` for how they strike."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import requests
from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.execution_time.context import TaskStateStoreAccessor
from chaos_bulk_cases import BULK_PHASES, WINDOW
from chaos_points import kill_worker, wrap

from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.operators.render_videos import RenderVideosOperator

HOME = Path(os.environ["CHAOS_HOME"])
ORDERS = json.loads((HOME / "bulk_orders.json").read_text()) if (HOME / "bulk_orders.json").exists() else {}
CASES = {case.dag_id: case for cases in BULK_PHASES for case in cases if case.dag_id in ORDERS}


class Here(threading.local):
    """What this thread of the worker does."""

    submitting = False


here, times, lock = Here(), Counter(), threading.Lock()


def reach(point):
    """Kill the worker if this is the first try of a task, and the point and the time at which it is struck."""
    case = CASES.get(os.environ.get("AIRFLOW_CTX_DAG_ID", ""))
    if case is None or case.strike is None or os.environ.get("AIRFLOW_CTX_TRY_NUMBER") != "1":
        return
    with lock:
        times[point] += 1
        if case.strike == (point, times[point]):
            kill_worker()


def stored(_, store, key, value=None, *rest):
    states = {(entry.get("record") or {}).get("state") for entry in (value or {}).get("entries", ())}
    for state, point in (("intended", "intended"), ("submitted", "kept")):
        if state in states:
            reach(point)


def submits(*_):
    here.submitting = True


def submitted(*_):
    here.submitting = False
    reach("answered")


def sent(response, session, request, *_):
    """See the response to a call that creates a job, and to the download of a file."""
    if here.submitting and request.method == "POST" and "token" not in request.url and response.ok:
        reach("accepted")
    if "Range" in request.headers:
        reach("downloading")


def made(_, hook, *__):
    wrap(type(hook), "submit_job", before=submits, after=submitted)
    for name in ("get_job", "get_jobs"):
        wrap(type(hook), name, after=lambda *_: reach("waiting"))


if CASES and get_parsing_context().dag_id in (None, *CASES):
    wrap(TaskStateStoreAccessor, "set", after=stored)
    wrap(requests.Session, "send", after=sent)
    wrap(RenderVideosOperator, "defer", before=lambda *_: reach("deferring"))
    wrap(VideoHook, "__init__", after=made)

for case in CASES.values():
    if get_parsing_context().dag_id not in (None, case.dag_id):
        continue  # a worker needs its own DAG alone
    arguments = {"retries": 3, **case.arguments}
    with DAG(case.dag_id, schedule=None, catchup=False, max_active_tasks=100) as dag:
        RenderVideosOperator.partial(
            task_id="render",
            retry_delay=timedelta(seconds=1),
            max_active=WINDOW,
            max_failures=1 if case.ends == "success" else 0,
            poll_interval=2,
            deferrable=case.deferrable,
            **arguments,
        ).expand_kwargs(ORDERS[case.dag_id])
    globals()[case.dag_id] = dag
