# SPDX-License-Identifier: Apache-2.0
"""What the sensor accepts when a DAG is parsed, and what it remembers between two runs of its task."""

from __future__ import annotations

import json
import pickle
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from structlog.testing import capture_logs

from airflow_video_providers.exceptions import (
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobFailedError,
)
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.sensors.video_job import WAIT_KEY, VideoJobSensor, WaitRecord
from airflow_video_providers.triggers.video_job import may_end_from_trigger
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL
from airflow_video_providers.waiting.wait import Limits, Wait


def sensor(**arguments):
    return VideoJobSensor(task_id="wait", **{"conn_id": "c", "job_id": "1", **arguments})


def test_the_defaults():
    made = sensor()
    assert (made.mode, made.deferrable, made.poke_interval) == ("reschedule", False, DEFAULT_POLL_INTERVAL)
    assert made.template_fields == ("conn_id", "job_id")


def test_poll_interval_and_poke_interval_are_the_same():
    assert sensor(poll_interval=7).poke_interval == 7
    assert sensor(poke_interval=7).poke_interval == 7
    assert sensor(poll_interval=timedelta(minutes=1)).poke_interval == 60
    with DAG("d", default_args={"poke_interval": 30}):
        assert sensor().poke_interval == 30
        closer = VideoJobSensor(task_id="closer", conn_id="c", job_id="1", poll_interval=7)
        assert closer.poke_interval == 7


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": -1}, "poke_interval"),
        ({"max_poll_failures": -1}, "max_poll_failures"),
        ({"exponential_backoff": True}, "exponential_backoff"),
        ({"silent_fail": True}, "silent_fail"),
        ({"never_fail": True}, "never_fail"),
        ({"mode": "push"}, "mode"),
        ({"timeout": -1}, "timeout"),
        ({"conn_id": ""}, "conn_id"),
        ({"job_id": ""}, "job_id"),
        ({"job_id": None}, "job_id"),
    ],
)
def test_a_wrong_argument_fails_when_the_dag_is_parsed(arguments, named):
    with pytest.raises(ValueError, match=named):
        sensor(**arguments)


class SensorWithHook(VideoJobSensor):
    def post_execute(self, context, result=None):
        """Stands for what a worker does after the task."""


@pytest.mark.parametrize(
    ("kind", "arguments", "may"),
    [
        (VideoJobSensor, {}, True),
        (VideoJobSensor, {"do_xcom_push": False}, False),
        (VideoJobSensor, {"outlets": [Asset("videos")]}, False),
        (VideoJobSensor, {"post_execute": lambda context, result: None}, False),
        (VideoJobSensor, {"on_success_callback": lambda context: None}, False),
        (VideoJobSensor, {"on_failure_callback": lambda context: None}, True),
        (SensorWithHook, {}, False),
    ],
)
def test_a_task_that_needs_a_worker_at_its_end_does_not_end_in_the_triggerer(kind, arguments, may):
    assert may_end_from_trigger(kind(task_id="wait", conn_id="c", job_id="1", **arguments)) is may


@pytest.mark.parametrize("job_id", [" ", {}, {"job_id": None}, 7.0, True, ["1"]])
def test_a_job_id_that_is_none_is_refused_before_anything_is_asked(job_id):
    with pytest.raises(VideoConfigurationError, match="job_id"):
        sensor(job_id=job_id).execute({})


class Store(dict):
    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))


def context(store, *, try_number=1, max_tries=2, retries=2):
    names = {"dag_id": "d", "run_id": "r", "task_id": "wait", "map_index": -1}
    ti = SimpleNamespace(try_number=try_number, max_tries=max_tries, xcom_push=lambda **_: None, **names)
    task, dag_run = SimpleNamespace(retries=retries), SimpleNamespace(start_date=None)
    return {"ti": ti, "task_state_store": store, "task": task, "dag_run": dag_run}


@pytest.fixture
def store():
    """A store that holds a wait of try 1."""
    store = Store()
    job = VideoJob(vendor="v", job_id="1", state=JobState.RUNNING, vendor_status="busy", progress=0.5)
    error = VideoApiUnavailableError("down", vendor="v", endpoint="GET /jobs/{id}")
    wait = Wait.begin_unseen("v", "1", 1000.0, Limits()).saw(job, 1060.0)
    WaitRecord.save(context(store), wait.missed(error, 1120.0).missed(error, 1180.0))
    return store


def load(context, job_id="1"):
    return WaitRecord.load(context, job_id=job_id)


def test_a_later_run_and_a_retry_wait_on(store):
    limits = Limits(poll_interval=5)
    for try_number, failures in ((1, 2), (2, 0)):  # a new try begins with no failures
        wait = load(context(store, try_number=try_number)).to_wait(limits)
        assert (wait.since, wait.failures, wait.gone, wait.limits) == (1000.0, failures, 0, limits)
        assert (wait.job.progress, wait.pace.since) == (0.5, 1060.0)
        assert wait.due > 1180.0


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_a_changed_number_of_retries_is_no_clear(store, retries):
    for _ in range(2):
        wait = load(context(store, retries=retries))
        assert (wait.since, wait.failures) == (1000.0, 2)
        WaitRecord.save(context(store, retries=retries), wait.to_wait(Limits()))


def test_a_user_can_read_it(store):
    when, _, said = store[WAIT_KEY]["last_poll"].partition(" ")
    assert datetime.fromisoformat(when).tzinfo is not None
    assert said == "50 % · busy · v 1"


def test_a_clear_begins_anew(store):
    # A clear after try 1 sets max_tries = try_number + retries.
    assert load(context(store, try_number=2, max_tries=3)) is None


def test_a_try_that_the_scheduler_adds_waits_on(store):
    # A scheduler that was restarted resets tasks that no scheduler owns: Airflow tries once more than max_tries says.
    assert load(context(store, try_number=4, max_tries=2)) is not None


def test_a_deferral_hands_the_limits_to_the_trigger(store):
    wait = load(context(store)).to_wait(Limits(poll_interval=7, deadline=9e9, max_poll_failures=3, seed="d/r/wait/-1"))
    with pytest.raises(TaskDeferred) as caught:
        sensor(deferrable=True, callback=True)._defer(context(store), wait)
    _, given = caught.value.trigger.serialize()
    expected = {"poll_interval": 7, "deadline": 9e9, "max_poll_failures": 3, "seed": "d/r/wait/-1", "callback": True}
    assert {name: given[name] for name in expected} == expected


def finished(job_id="1", state=JobState.CANCELLED):
    return VideoJob(vendor="v", job_id=job_id, state=state, vendor_status=state.value)


class Cleared(VideoJobSensor):
    """Tells whether the wait begins anew."""

    def execute(self, context):
        return "anew"


def cleared_sensor(job_id="1"):
    return Cleared(task_id="wait", conn_id="c", job_id=job_id, deferrable=True)


@pytest.mark.parametrize(
    ("of_try", "job_id"),
    [
        ({"try_number": 2, "max_tries": 3}, "1"),  # cleared, and the record is of the try before
        ({}, "2"),  # the record is of this try, and the event of another job
    ],
)
def test_an_event_of_an_earlier_try_is_not_believed(store, of_try, job_id):
    event = {"status": "cancelled", "job": finished(job_id).to_xcom(), "message": None}
    this = context(store, **of_try)
    assert cleared_sensor().execute_complete(this, event) == "anew"
    assert cleared_sensor().resume_execution("execute_complete", {"event": event}, this) == "anew"


@pytest.mark.parametrize("event", [None, {}, {"status": "success"}, {"status": "success", "job": None}])
def test_an_event_that_cannot_be_read_is_not_believed(store, event):
    assert cleared_sensor().resume_execution("execute_complete", {"event": event}, context(store)) == "anew"


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_a_deferral_of_an_earlier_try_that_ended_is_not_believed(store, error):
    this = context(store, try_number=2, max_tries=3)
    assert cleared_sensor().resume_execution("__fail__", {"error": error}, this) == "anew"


def test_an_event_of_this_try_is_believed(store):
    event = {"status": "cancelled", "job": finished().to_xcom(), "message": None}
    with pytest.raises(VideoJobCancelledError):
        cleared_sensor().execute_complete(context(store, try_number=2), event)  # a retry


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_final_state_is_not_retried(store, state):
    event = {"status": state.value, "job": finished(state=state).to_xcom(), "message": None}
    with pytest.raises(VideoJobFailedError) as caught:
        cleared_sensor().execute_complete(context(store), event)
    assert isinstance(caught.value, AirflowFailException)
    assert isinstance(caught.value, VideoJobCancelledError) is (state is JobState.CANCELLED)
    assert pickle.loads(pickle.dumps(caught.value)).job == caught.value.job


def test_a_killed_sensor_says_how_to_end_the_render():
    with capture_logs() as logged:
        sensor(job_id={"job_id": "17"}).on_kill()
    (line,) = logged
    said = line["event"] % line.get("positional_args", ())  # formatted already where Airflow has set logging up
    assert "Job 17 goes on" in said
    assert "CancelVideoJobOperator(conn_id='c', job_id='17')" in said


def test_another_job_begins_anew(store):
    assert load(context(store), job_id="2") is None


@pytest.mark.parametrize("rubbish", [None, "text", {}, {"max_tries": 2, "last_try": 1, "last_poll": "", "job": {}}])
def test_a_record_that_is_none_begins_anew(rubbish):
    store = Store({WAIT_KEY: rubbish})
    assert load(context(store)) is None
