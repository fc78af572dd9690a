# SPDX-License-Identifier: Apache-2.0
"""The sensor, run by Airflow in each of its three ways to wait: same result, same XComs, same errors, same states."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobFailedError,
    VideoPollingError,
)
from airflow_video_providers.hooks.base import VideoHook, get_video_hook
from airflow_video_providers.sensors.video_job import WAIT_KEY, VideoJobSensor, WaitRecord
from airflow_video_providers.waiting.wait import Limits, Wait
from tests.support.simulator import VENDORS
from tests.support.vendors import LONE, one_of_each_kind

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("airflow_db")]

WAYS = {
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "poke": {"mode": "poke", "deferrable": False},
    "deferrable": {"mode": "reschedule", "deferrable": True},
}
SINGLE = LONE[0]
"""A vendor that is asked for each job by itself."""
CONN_ID = f"{SINGLE}_default"


@pytest.fixture(params=WAYS)
def way(request):
    return {"poll_interval": 1, **WAYS[request.param]}


@pytest.fixture
def submit(video_connections):
    def submit(vendor: str = SINGLE, **move):
        job = get_video_hook(f"{vendor}_default").submit_job(VENDORS[vendor].request("Wait"))
        if move:
            video_connections.move(job.job_id, **move)
        return job.job_id

    return submit


@pytest.fixture
def run():
    """Run a DAG to its end by ``dag.test()``."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    def run(fill):
        dag_id = f"waits_{time.time_ns()}"
        defaults = {"retry_delay": timedelta(0)}
        with DAG(dag_id, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), default_args=defaults) as dag:
            fill()
        with create_session() as session:
            session.merge(DagBundleModel(name="tests"))
        serialized = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("tests", None, [serialized])
        SerializedDagModel.write_dag(serialized, bundle_name="tests")
        return dag.test()

    return run


@pytest.fixture
def errors(monkeypatch):
    """The errors with which tasks ended, in their order."""
    from airflow.sdk.execution_time import task_runner

    seen = []
    real = task_runner._run_task_and_map_outcome

    def spy(*args, **kwargs):
        state, message, error = real(*args, **kwargs)
        if error is not None:
            seen.append(error)
        return state, message, error

    monkeypatch.setattr(task_runner, "_run_task_and_map_outcome", spy)
    return seen


@pytest.fixture
def stored(monkeypatch):
    """What a sensor left in the task state store, in its order."""
    from airflow.sdk.execution_time.context import TaskStateStoreAccessor

    seen = []
    real = TaskStateStoreAccessor.set

    def spy(self, key, value, **kwargs):
        if key == WAIT_KEY:
            seen.append(value)
        real(self, key, value, **kwargs)

    monkeypatch.setattr(TaskStateStoreAccessor, "set", spy)
    return seen


class GiveJobs(BaseOperator):
    """Stands for a task that submitted several jobs."""

    def __init__(self, *, jobs, **kwargs):
        super().__init__(**kwargs)
        self.jobs = jobs

    def execute(self, context):
        return self.jobs


def states(dag_run):
    return [str(ti.state) for ti in sorted(dag_run.get_task_instances(), key=lambda ti: (ti.task_id, ti.map_index))]


def xcom(dag_run, key, map_index=-1):
    ti = dag_run.get_task_instance("wait", map_index=map_index)
    return ti.xcom_pull(task_ids="wait", key=key, map_indexes=map_index)


@pytest.fixture
def once_polled(simulator):
    """Move a job, held until then, as soon as its vendor has been polled about it."""
    threads = []

    def once_polled(vendor, job_id, polls=1, **move):
        simulator.move(job_id, status="running")

        def watch():
            while simulator.counts(vendor)["polls"] + simulator.counts(vendor)["lists"] < polls:
                time.sleep(0.1)
            simulator.move(job_id, **move)

        threads.append(threading.Thread(target=watch, daemon=True))
        threads[-1].start()

    yield once_polled
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize("vendor", one_of_each_kind("can_list", "key_support"))
def test_a_render_is_waited_for(vendor, way, submit, once_polled, simulator, run):
    job_id = submit(vendor)
    once_polled(vendor, job_id, finish=True)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=f"{vendor}_default", job_id=job_id, **way))
    assert states(dag_run) == ["success"]
    assert xcom(dag_run, "return_value") == job_id
    seen = xcom(dag_run, "video_job")
    assert (seen["job_id"], seen["state"], seen["vendor"]) == (job_id, "succeeded", vendor)
    counts = simulator.counts(vendor)
    assert 2 <= counts["polls"] + counts["lists"] <= 5
    assert counts["cancels"] == 0


class GiveJob(BaseOperator):
    """Stands for the task that submitted a job, and knows a name that the vendor does not."""

    def __init__(self, *, job, **kwargs):
        super().__init__(**kwargs)
        self.job = job

    def execute(self, context):
        context["ti"].xcom_push(key="video_job", value=self.job)
        return self.job["job_id"]


def test_the_name_that_the_submitting_task_knows_is_kept(way, submit, run, video_connections, stored):
    for vendor in VENDORS:
        job = get_video_hook(f"{vendor}_default").get_job(submit(vendor))
        if job.name is None:
            break
    else:
        raise AssertionError("each vendor of the simulator names its jobs")
    video_connections.move(job.job_id, finish=True)

    def fill():
        given = GiveJob(task_id="submit", job={**job.to_xcom(), "name": "Ada"})
        VideoJobSensor(task_id="wait", conn_id=f"{vendor}_default", job_id=given.output, **way)

    dag_run = run(fill)
    assert states(dag_run) == ["success", "success"]
    assert (xcom(dag_run, "video_job")["name"], xcom(dag_run, "video_job")["state"]) == ("Ada", "succeeded")
    assert stored[-1]["job"]["name"] == "Ada"


@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_failed_render_fails_the_task_softened_or_not(soft_fail, way, submit, once_polled, run, errors):
    job_id = submit()
    once_polled(SINGLE, job_id, fail="codec not supported")
    dag_run = run(
        lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, soft_fail=soft_fail, retries=2, **way)
    )
    assert states(dag_run) == ["failed"]
    (error,) = errors  # once: a failed render is not waited for again
    assert isinstance(error, VideoJobFailedError)
    assert not isinstance(error, VideoJobCancelledError)
    said = get_video_hook(CONN_ID).get_job(job_id).error
    assert ((said and said.message) or "") in str(error)
    assert error.job.job_id == job_id
    assert xcom(dag_run, "video_job")["state"] == "failed"


def test_a_cancelled_render_fails_the_task(way, submit, once_polled, run, errors):
    job_id = submit()
    once_polled(SINGLE, job_id, status="cancelled")
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, retries=2, **way))
    assert states(dag_run) == ["failed"]
    (error,) = errors
    assert isinstance(error, VideoJobCancelledError)
    assert xcom(dag_run, "video_job")["state"] == "cancelled"


@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
def test_a_timeout_is_the_same_everywhere_and_alone_is_softened(soft_fail, state, way, submit, simulator, run, errors):
    job_id = submit(status="running")
    dag_run = run(
        lambda: VideoJobSensor(
            task_id="wait", conn_id=CONN_ID, job_id=job_id, timeout=2, soft_fail=soft_fail, retries=2, **way
        )
    )
    assert states(dag_run) == [state]
    if not soft_fail:
        (error,) = errors  # once: a timeout is not retried
        assert type(error) is AirflowSensorTimeout
        assert job_id in str(error)
    (job,) = simulator.jobs(SINGLE)
    assert job["state"] == "running"
    assert xcom(dag_run, "video_job")["state"] == "running"


class Store(dict):
    set = dict.__setitem__


@pytest.fixture
def deferred(submit):
    """A sensor whose deferral has just ended, with the context in which a worker resumes it."""
    sensor = VideoJobSensor(
        task_id="wait", conn_id=CONN_ID, job_id=submit(status="running"), deferrable=True, soft_fail=True
    )
    pushed = {}
    names = {"dag_id": "d", "run_id": "r", "task_id": "wait", "map_index": -1, "try_number": 1, "max_tries": 0}
    ti = SimpleNamespace(xcom_push=lambda *, key, value: pushed.update({key: value}), **names)
    job = get_video_hook(CONN_ID).get_job(sensor.job_id)
    now = time.time()
    context = {"ti": ti, "task": sensor, "dag_run": SimpleNamespace(start_date=None), "task_state_store": Store()}
    WaitRecord.save(context, Wait.begin_unseen(SINGLE, job.job_id, now, Limits()).saw(job, now))
    return sensor, context, pushed


def ends_of_time(sensor):
    job = get_video_hook(CONN_ID).get_job(sensor.job_id)
    yield "__fail__", {"error": "Trigger timeout"}
    yield "execute_complete", {"event": {"status": "timeout", "job": job.to_xcom(), "message": "Time is over."}}


def test_a_deferred_wait_ends_with_a_last_poll(deferred, simulator):
    sensor, context, pushed = deferred
    ends = list(ends_of_time(sensor))
    for method, arguments in ends:
        with pytest.raises(AirflowSkipException):
            sensor.resume_execution(method, arguments, context)
    simulator.move(sensor.job_id, finish=True)
    for method, arguments in ends:
        assert sensor.resume_execution(method, arguments, context) == sensor.job_id
        assert pushed.pop("video_job")["state"] == "succeeded"
    simulator.fault(SINGLE, "status", status=404, times=None)
    for method, arguments in ends:
        with pytest.raises(AirflowSkipException):
            sensor.resume_execution(method, arguments, context)


def test_without_xcoms_none_is_pushed(deferred, simulator):
    sensor, context, pushed = deferred
    simulator.move(sensor.job_id, finish=True)
    sensor.do_xcom_push = False
    job = get_video_hook(CONN_ID).get_job(sensor.job_id)
    event = {"status": "success", "job": job.to_xcom(), "message": None}
    assert sensor.execute_complete(context, event) == sensor.job_id
    assert pushed.keys() <= {"video_job_link"}  # what the button reads


@pytest.fixture
def consistent(monkeypatch):
    """A vendor that shows each job at once."""
    monkeypatch.setattr(VideoHook, "find_wait", 0.0)


@pytest.mark.parametrize(("unreadable", "kind"), [(0, VideoJobCancelledError), (1, VideoPollingError)])
def test_a_job_that_is_deleted_while_it_is_waited_for_was_cancelled(
    unreadable, kind, way, submit, simulator, run, errors, consistent
):
    job_id = submit(status="running")
    if unreadable:
        simulator.fault(SINGLE, "status", html=True, after=1, times=unreadable)
    simulator.fault(SINGLE, "status", status=404, after=1, times=None)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, max_poll_failures=3, **way))
    assert states(dag_run) == ["failed"]
    (error,) = errors
    assert isinstance(error, kind)
    assert job_id in str(error)
    state = "cancelled" if kind is VideoJobCancelledError else "running"
    assert xcom(dag_run, "video_job")["state"] == state


def test_a_job_that_is_not_shown_in_its_first_seconds_is_waited_for(way, submit, simulator, run):
    job_id = submit(finish=True)
    simulator.fault(SINGLE, "status", status=404, times=2)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, max_poll_failures=0, **way))
    assert states(dag_run) == ["success"]
    assert simulator.counts(SINGLE)["polls"] == 3


def test_an_unknown_job_fails_when_the_vendor_must_know_it(way, video_connections, simulator, run, errors, monkeypatch):
    monkeypatch.setattr(VideoHook, "find_wait", 1.5)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id="no-such-job", **way))
    assert states(dag_run) == ["failed"]
    assert [type(error) for error in errors] == [VideoApiNotFoundError]
    assert simulator.counts(SINGLE)["polls"] >= 2


def test_an_unknown_job_fails_at_the_first_poll(way, video_connections, simulator, run, errors, consistent):
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id="no-such-job", **way))
    assert states(dag_run) == ["failed"]
    (error,) = errors
    assert type(error) is VideoApiNotFoundError
    assert simulator.counts(SINGLE)["polls"] == 1


def test_a_connection_that_cannot_work_any_more_ends_the_wait_at_once(way, submit, simulator, run, errors, monkeypatch):
    job_id = submit(status="running")
    kind, polls = type(get_video_hook(CONN_ID)), []
    get_job = kind.get_job

    def once(hook, job_id):
        polls.append(job_id)
        if len(polls) > 1:
            raise VideoConfigurationError("the host of the connection was taken away")
        return get_job(hook, job_id)

    monkeypatch.setattr(kind, "get_job", once)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, **way))
    assert states(dag_run) == ["failed"]
    assert [type(error) for error in errors] == [VideoConfigurationError]
    assert len(polls) == 2
    assert xcom(dag_run, "video_job")["state"] == "running"


def test_a_first_poll_that_fails_is_followed_by_the_same_in_each_way(way, submit, simulator, run, errors, consistent):
    job_id = submit(status="running")
    simulator.fault(SINGLE, "status", html=True, times=1)
    simulator.fault(SINGLE, "status", status=404, times=None)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, **way))
    assert states(dag_run) == ["failed"]
    (error,) = errors
    assert type(error) is VideoApiNotFoundError
    assert simulator.counts(SINGLE)["polls"] == 2
    assert xcom(dag_run, "video_job") is None  # nobody has seen it


def test_passing_faults_are_tolerated(way, submit, once_polled, simulator, run):
    job_id = submit()
    once_polled(SINGLE, job_id, polls=3, finish=True)
    simulator.fault(SINGLE, "status", status=503, after=1, times=1)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, **way))
    assert states(dag_run) == ["success"]


def test_faults_that_do_not_pass_end_the_wait_and_leave_the_job(way, submit, simulator, run, errors):
    job_id = submit(status="running")
    simulator.fault(SINGLE, "status", html=True, after=1, times=None)
    dag_run = run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, max_poll_failures=1, **way))
    assert states(dag_run) == ["failed"]
    (error,) = errors
    assert type(error) is VideoPollingError
    assert job_id in str(error)
    assert simulator.counts(SINGLE)["polls"] == 3
    assert simulator.jobs(SINGLE)[0]["state"] == "running"
    assert xcom(dag_run, "video_job")["state"] == "running"


def test_the_mapping_of_the_submitting_task_is_taken_too_and_expands(way, submit, simulator, run):
    jobs = [get_video_hook(CONN_ID).get_job(submit(finish=True)).to_xcom() for _ in range(2)]

    def fill():
        give = GiveJobs(task_id="give", jobs=jobs)
        VideoJobSensor.partial(task_id="wait", conn_id=CONN_ID, **way).expand(job_id=give.output)

    dag_run = run(fill)
    assert states(dag_run) == ["success"] * 3
    assert [xcom(dag_run, "return_value", index) for index in (0, 1)] == [job["job_id"] for job in jobs]


def test_the_timeout_counts_across_retries(submit, simulator, run, errors):
    job_id = submit(status="running")
    simulator.fault(SINGLE, "status", html=True, after=1, times=2)
    dag_run = run(
        lambda: VideoJobSensor(
            task_id="wait",
            conn_id=CONN_ID,
            job_id=job_id,
            poll_interval=1,
            max_poll_failures=0,
            timeout=4,
            retries=9,
        )
    )
    assert states(dag_run) == ["failed"]
    assert [type(error) for error in errors[:2]] == [VideoPollingError, VideoPollingError]
    assert type(errors[-1]) is AirflowSensorTimeout
    assert len(errors) == 3


def test_what_was_seen_last_can_be_read_while_the_task_waits(submit, once_polled, simulator, run, stored):
    job_id = submit()
    once_polled(SINGLE, job_id, polls=2, finish=True)
    run(lambda: VideoJobSensor(task_id="wait", conn_id=CONN_ID, job_id=job_id, poll_interval=1))
    first = stored[0]
    assert first["job"]["job_id"] == job_id
    assert job_id in first["last_poll"]
    assert first["job"]["state"] == "running"
    assert stored[-1]["job"]["state"] == "succeeded"
    assert {value["since"] for value in stored} == {first["since"]}
