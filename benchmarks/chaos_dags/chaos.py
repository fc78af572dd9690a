# SPDX-License-Identifier: Apache-2.0
"""
The DAGs of ``make chaos``: one a case, one mapped task a vendor and repetition.

On the first try of a case that strikes, the task kills its supervisor and itself with SIGKILL at the named point: the
functions that mark the points are wrapped when a worker reads this file.
"""

from __future__ import annotations

import functools
import os
import signal
from datetime import timedelta
from pathlib import Path

import requests
from airflow.sdk import DAG, get_parsing_context
from chaos_cases import CASES, VENDORS, WAYS, mark_of, request_of

from airflow_video_providers.hooks.colossyan import ColossyanHook
from airflow_video_providers.hooks.hourone import HourOneHook
from airflow_video_providers.hooks.oxolo import OxoloHook
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.operators import video_job
from airflow_video_providers.retry_policy import VideoRetryPolicy
from airflow_video_providers.submission import submit as submission

TIMES = int(os.environ["CHAOS_TIMES"])
RETRIES_FILE = Path(os.environ["CHAOS_HOME"], "retries")
STRIKES = {case.dag_id: case.strike for case in CASES}


def strike(point):
    """Kill this try's worker if this is the point at which it is to die."""
    first = os.environ.get("AIRFLOW_CTX_TRY_NUMBER") == "1"
    if point and first and STRIKES.get(os.environ.get("AIRFLOW_CTX_DAG_ID", "")) == point:
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def struck(owner, name, *, before=None, after=None):
    """Wrap a function so that a point lies before or after it; each is the name of the point, or finds it."""
    original = getattr(owner, name)
    if hasattr(original, "chaos"):
        return

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        if before:
            strike(before(*args, **kwargs) if callable(before) else before)
        result = original(*args, **kwargs)
        if after:
            strike(after(*args, **kwargs) if callable(after) else after)
        return result

    wrapper.chaos = True
    setattr(owner, name, wrapper)


def creates(session, request, **_):
    """Whether this call buys a render: the one POST of a task that is not about a token."""
    return "accepted" if request.method == "POST" and "token" not in request.url else None


struck(
    submission, "write_record", after=lambda _, record: {"intended": "intended", "submitted": "kept"}.get(record.state)
)
struck(requests.Session, "send", after=creates)
struck(video_job, "wait_for_job", after="succeeded")
struck(video_job.SubmitVideoJobOperator, "defer", before="deferring")
for hook in (ColossyanHook, HourOneHook, OxoloHook, XvidHook):
    struck(hook, "submit_job", after="answered")
    struck(hook, "get_job", after="waiting")

for case in CASES:
    if get_parsing_context().dag_id not in (None, case.dag_id):
        continue  # a worker needs its own DAG alone
    retries = 3
    if case.action == "change retries" and RETRIES_FILE.exists():
        retries = int(RETRIES_FILE.read_text())
    with DAG(case.dag_id, schedule=None, catchup=False, is_paused_upon_creation=False) as dag:
        for way in case.ways:
            orders = [
                {"conn_id": f"{vendor}_default", "request": request_of(vendor, mark_of(case, vendor, index))}
                for vendor in VENDORS
                for index in range(case.times or TIMES)
                if case.ways[index % len(case.ways)] == way
            ]
            if orders:
                video_job.SubmitVideoJobOperator.partial(
                    task_id=way.replace(" ", "_"),
                    retries=retries,
                    retry_delay=timedelta(seconds=1),
                    retry_policy=VideoRetryPolicy(),
                    poll_interval=2,
                    find_wait=15,
                    **WAYS[way],
                    **case.arguments,
                ).expand_kwargs(orders)
    globals()[case.dag_id] = dag
