# SPDX-License-Identifier: Apache-2.0
"""Asset events of renders: one for each job, when a poll has shown its end, whoever calls how often."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone

import pytest
from airflow.models.asset import AssetActive, AssetEvent, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import delete, select

from airflow_video_providers.callbacks import events, store
from airflow_video_providers.exceptions import VideoApiNotFoundError, VideoApiUnavailableError
from airflow_video_providers.jobs import JobState, VideoJob

pytestmark = pytest.mark.airflow

CONN_ID, CONN_TYPE = "calls_back", "vendor"
MADE = datetime(2026, 1, 1, tzinfo=timezone.utc)


def job_of(state):
    return VideoJob(
        vendor=CONN_TYPE,
        job_id="7",
        state=state,
        vendor_status=state.value,
        name="A film",
        created_at=MADE,
        finished_at=MADE + timedelta(seconds=90) if state.is_terminal else None,
    )


class Vendor:
    """Answers one poll after another."""

    def __init__(self, *answers):
        self.answers, self.polls = list(answers), 0

    def get_job(self, job_id):
        self.polls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return job_of(answer)


@pytest.fixture
def asset(airflow_db):
    """An asset that some DAG refers to."""
    uri = f"video://{CONN_TYPE}/{CONN_ID}"
    with create_session() as session:
        for model in (AssetEvent, AssetStateStoreModel, AssetActive, AssetModel, Variable):
            session.execute(delete(model))
        session.add(AssetModel(name="videos", uri=uri, group="asset"))
        session.flush()
        session.add(AssetActive(name="videos", uri=uri))


def call(times=1, job_id="7", at=1_800_000_000.0):
    """Let callbacks come; return whether any had something to tell."""
    return [store.keep([store.Received(CONN_ID, CONN_TYPE, job_id, None, at + n)]) for n in range(times)]


def told():
    with create_session() as session:
        return [event.extra for event in session.scalars(select(AssetEvent))]


def entries():
    with create_session() as session:
        return [json.loads(row.value) for row in session.scalars(select(AssetStateStoreModel))]


def tell(vendor):
    return events.Teller(lambda conn_id: vendor).tell_all()


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_a_render_that_has_ended_is_told_once(asset, state):
    vendor = Vendor(state)
    assert call(times=3) == [True, False, False]
    tell(vendor)
    tell(vendor)
    assert call(times=2, at=1_800_001_000.0) == [False, False]
    tell(vendor)
    wanted = {"conn_id": CONN_ID, "vendor": CONN_TYPE, "job_id": "7", "state": state.value, "name": "A film"}
    assert told() == [{**wanted, "duration": 90.0}]
    assert vendor.polls == 1


def test_two_servers_tell_one_event(asset):
    vendor, barrier = Vendor(JobState.SUCCEEDED), threading.Barrier(3)
    call()

    def serve():
        barrier.wait()
        tell(vendor)

    threads = [threading.Thread(target=serve) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told()) == 1


def test_a_callback_that_comes_too_early_is_told_when_the_render_has_ended(asset, monkeypatch):
    monkeypatch.setattr(events, "PAUSES", (0.0, 0.0, 0.0))
    vendor = Vendor(JobState.RUNNING, VideoApiUnavailableError("down", vendor="v", endpoint="GET"), JobState.SUCCEEDED)
    call()
    for _ in range(2):
        tell(vendor)
        assert told() == []
    tell(vendor)
    assert [each["state"] for each in told()] == ["succeeded"]


def test_a_false_callback_costs_a_few_polls_and_leaves_nothing(asset, monkeypatch):
    monkeypatch.setattr(events, "PAUSES", (0.0, 0.0, 0.0))
    vendor = Vendor(JobState.RUNNING)
    call()
    for _ in range(6):
        tell(vendor)
    assert (told(), entries(), vendor.polls) == ([], [], 4)
    assert call() == [True]  # a later callback begins anew


def test_a_job_that_the_vendor_does_not_know_is_no_event(asset):
    vendor = Vendor(VideoApiNotFoundError("no such job", vendor="v", endpoint="GET", status=404))
    call()
    tell(vendor)
    tell(vendor)
    assert (told(), vendor.polls) == ([], 1)


def test_an_asset_that_no_dag_refers_to_has_no_events(asset):
    with create_session() as session:
        session.execute(delete(AssetActive))
    assert call() == [False]
    assert entries() == []


def test_what_a_stopped_server_has_left_is_told_by_the_next(asset, monkeypatch):
    monkeypatch.setattr(events, "_LEASE_SECONDS", 0.0)
    call()
    with create_session() as session:
        (row,) = session.scalars(select(AssetStateStoreModel))
        place = row.asset_id, row.key
    assert events._lease(*place) is not None  # and the server dies
    tell(Vendor(JobState.SUCCEEDED))
    assert len(told()) == 1


def test_what_was_told_is_forgotten_after_a_month_and_what_is_pending_is_not(asset):
    call()
    tell(Vendor(JobState.SUCCEEDED))
    call(job_id="8")
    now = datetime.now(timezone.utc)
    events.forget_told(now + timedelta(days=29))
    assert len(entries()) == 2
    events.forget_told(now + timedelta(days=31))
    assert [entry["job_id"] for entry in entries()] == ["8"]
