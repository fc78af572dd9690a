# SPDX-License-Identifier: Apache-2.0
"""From a request to the entry in Airflow's database, over HTTP: the simulator calls the app as each vendor does."""

from __future__ import annotations

import json
import time

import pytest
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_video_providers.callbacks.inbox import digest_of, doubt_name, read_news
from airflow_video_providers.hooks.base import get_video_hook
from airflow_video_providers.submission.callback import CallbackPlan
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

pytestmark = pytest.mark.airflow

KEY = "avp-" + "0123456789" * 4
TAKES = [name for name, hook in HOOKS.items() if hook.takes_callback]


def variables():
    with create_session() as session:
        return {each.key: json.loads(each.val) for each in session.scalars(select(Variable))}


def digests():
    return {news.digest for news in map(read_news, variables()) if news is not None}


@pytest.mark.parametrize("vendor", TAKES)
def test_a_render_that_asks_for_a_callback_is_called_back(vendor, callback_server, simulator, monkeypatch):
    fields = simulator.connection(vendor)
    extra = {"callback_secret": "a secret of 24 characters", "callback_base_url": callback_server}
    fields["extra"] = {**fields.get("extra", {}), **extra}
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(fields))
    with create_session() as session:
        session.add(Variable(doubt_name(KEY), json.dumps({"conn_id": "mine", "job_id": None})))
    hook = get_video_hook("mine")
    job = hook.submit_job(CallbackPlan(hook).fill(VENDORS[vendor].request("called back"), KEY), key=KEY)
    told = {digest_of("mine", job_id=job.job_id), digest_of("mine", key=KEY)}
    end = time.monotonic() + 60
    while not (told & digests() and "received" in variables()[doubt_name(KEY)]):
        assert time.monotonic() < end, (simulator.counts(vendor), variables())
        time.sleep(0.2)
    assert digests() <= told
    # A callback that names the job names the right one.
    assert variables()[doubt_name(KEY)]["job_id"] in (None, job.job_id)
    assert simulator.counts(vendor).get("callback_failures", 0) == 0
