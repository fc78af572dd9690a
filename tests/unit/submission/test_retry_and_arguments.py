# SPDX-License-Identifier: Apache-2.0
"""The ready retry policy; what is refused when a DAG is parsed; links and the decorator as Airflow sees them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from airflow_video_providers import exceptions as errors
from airflow_video_providers.decorators import video_job_task
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.jobs import JobError, JobState, VideoJob
from airflow_video_providers.links import VideoJobLink, videos_page
from airflow_video_providers.operators.arguments import job_id_of
from airflow_video_providers.operators.labels import LONGEST_LABEL
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.retry_policy import VideoRetryPolicy
from airflow_video_providers.submission.record import RECORD_KEY
from tests.support.submission import FakeHook, Steps, World, context_of

CALL = {"vendor": "acme", "endpoint": "POST /jobs/"}
FAIL, RETRY, DEFAULT = RetryAction.FAIL, RetryAction.RETRY, RetryAction.DEFAULT


def job(reason=None):
    error = JobError(message=reason) if reason else None
    return VideoJob(vendor="acme", job_id="1", state=JobState.FAILED, vendor_status="FAILURE", error=error)


def decide(error, policy=None):
    return (policy or VideoRetryPolicy()).evaluate(error, 1, 3)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.VideoConfigurationError("no password"), FAIL),
        (errors.VideoApiAuthenticationError("bad key", **CALL), FAIL),
        (errors.VideoApiPermissionError("no credits", **CALL), FAIL),
        (errors.VideoApiInvalidRequestError("no such voice", **CALL), FAIL),
        (errors.VideoApiNotFoundError("no such draft", **CALL), FAIL),
        (errors.AmbiguousSubmissionError("look"), FAIL),
        (errors.SubmissionKeyConflictError("taken"), FAIL),
        (errors.VideoJobCancelledError("cancelled", job=job()), FAIL),
        (errors.VideoApiQuotaError("slow down", **CALL), RETRY),
        (errors.VideoApiUnavailableError("down", **CALL), RETRY),
        (errors.VideoPollingError("gave up"), RETRY),
        (errors.VideoJobFailedError("failed", job=job("content moderation rejected the script")), FAIL),
        (errors.VideoJobFailedError("failed", job=job("Invalid preset")), FAIL),
        (errors.VideoJobFailedError("failed", job=job("authentication at the source failed")), FAIL),
        (errors.VideoJobFailedError("failed", job=job("quota exceeded")), RETRY),
        (errors.VideoJobFailedError("failed", job=job("internal error, try again")), RETRY),
        (errors.VideoJobFailedError("failed", job=job("something")), DEFAULT),
        (errors.VideoJobFailedError("failed", job=job()), DEFAULT),
        (errors.VideoJobTimeoutError("too slow", job=job()), DEFAULT),
        (errors.SourceError("cut"), DEFAULT),
        (RuntimeError("a bug"), DEFAULT),
    ],
)
def test_what_is_worth_a_retry(error, action):
    assert decide(error).action is action


def test_it_waits_as_long_as_the_vendor_said():
    quota = errors.VideoApiQuotaError("slow down", retry_after=90, **CALL)
    assert decide(quota).retry_delay == timedelta(seconds=90)
    assert decide(errors.VideoPollingError("gave up", retry_after=90)).retry_delay == timedelta(seconds=90)
    assert decide(errors.VideoPollingError("gave up")).retry_delay is None
    assert decide(quota, VideoRetryPolicy(longest_delay=timedelta(seconds=30))).retry_delay == timedelta(seconds=30)
    assert decide(errors.VideoApiQuotaError("slow down", **CALL)).retry_delay is None


@pytest.mark.parametrize(("asked", "delay"), [(0, None), (299, None), (301, timedelta(seconds=301))])
def test_a_short_retry_after_does_not_shorten_the_tasks_own_delay(asked, delay):
    operator = SubmitVideoJobOperator(
        task_id="t", conn_id="c", request={"a": 1}, retries=2, retry_delay=timedelta(seconds=300)
    )
    quota = errors.VideoApiQuotaError("slow down", retry_after=asked, **CALL)
    assert VideoRetryPolicy().evaluate(quota, 1, 3, {"task": operator}).retry_delay == delay
    assert decide(errors.VideoApiQuotaError("slow down", retry_after=0, **CALL)).retry_delay is None


def test_the_wait_that_an_operator_gives_up_still_names_the_vendors_delay():
    class Slow(FakeHook):
        def get_job(self, job_id):
            raise errors.VideoApiQuotaError("slow down", retry_after=90, **CALL)

    world = World()
    operator = SubmitVideoJobOperator(
        task_id="t",
        conn_id="fake_default",
        request={"a": 1},
        wait_for_completion=True,
        deferrable=False,
        poll_interval=0.001,
        max_poll_failures=0,
    )
    operator.__dict__["hook"] = Slow(world, KeySupport.EXACT)
    with pytest.raises(errors.VideoPollingError) as caught:
        operator.execute(context_of(world, operator))
    assert decide(caught.value).retry_delay == timedelta(seconds=90)


def test_the_policy_can_be_written_down_and_read_back():
    policy = VideoRetryPolicy(longest_delay=timedelta(minutes=7))
    assert VideoRetryPolicy.deserialize(policy.serialize()).longest_delay == timedelta(minutes=7)


def test_a_dag_with_the_policy_and_the_link_serialises():
    with DAG("d", schedule=None) as dag:
        SubmitVideoJobOperator(
            task_id="t", conn_id="c", request={"title": "{{ ds }}"}, retries=2, retry_policy=VideoRetryPolicy()
        )
        SubmitVideoJobOperator.partial(task_id="m", request={"a": 1}).expand(conn_id=["a", "b"])
    back = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert back.get_task("t").has_retry_policy
    assert set(back.get_task("t").template_fields) == {"conn_id", "request"}
    assert back.get_task("t").operator_extra_links[0].name == VideoJobLink.name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"request": None}, "request must be"),
        ({"request": ["a"]}, "request must be"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": "60"}, "poll_interval"),
        ({"timeout": timedelta(0)}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"find_wait": -1}, "find_wait"),
        ({"on_ambiguous": "retry"}, "on_ambiguous"),
    ],
)
def test_wrong_arguments_fail_when_the_dag_is_parsed(arguments, words):
    with pytest.raises(errors.VideoConfigurationError, match=words):
        SubmitVideoJobOperator(task_id="t", **{"conn_id": "c", "request": {"a": 1}, **arguments})


def test_missing_and_unknown_arguments_fail_when_the_dag_is_parsed():
    with pytest.raises(Exception, match="conn_id"):
        SubmitVideoJobOperator(task_id="t", request={"a": 1})
    with pytest.raises(TypeError, match="wait"):
        SubmitVideoJobOperator(task_id="t", conn_id="c", request={"a": 1}, wait=True)
    with pytest.raises(TypeError, match="polls"):
        SubmitVideoJobOperator.partial(task_id="t", polls=1)


def test_parsing_looks_nothing_up(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a look-up while the DAG is parsed")

    monkeypatch.setattr("airflow.sdk.BaseHook.get_connection", refuse)
    monkeypatch.setattr("requests.Session.request", refuse)
    with DAG("d", schedule=None):
        SubmitVideoJobOperator(task_id="t", conn_id="c", request={"a": 1}, wait_for_completion=True)
        SubmitVideoJobOperator.partial(task_id="m").expand_kwargs([{"conn_id": "a", "request": {"a": 1}}])


@pytest.mark.parametrize("text", ['{"title": "A"}', "not json", "[1]"])
def test_a_request_may_be_json_text(text):
    world = World()
    operator = SubmitVideoJobOperator(task_id="t", conn_id="fake_default", request="{{ params.request }}")
    operator.request = text  # as Airflow renders it
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    if text.startswith("{"):
        assert operator.execute(context_of(world, operator)) == "job-1"
    else:
        with pytest.raises(errors.VideoConfigurationError):
            operator.execute(context_of(world, operator))
        assert not world.jobs


def test_the_link_is_known_right_after_the_submission_and_leads_to_the_videos_page_before():
    world = World()
    operator = SubmitVideoJobOperator(task_id="t", conn_id="fake_default", request={"a": 1})
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    link = VideoJobLink()
    assert link.get_link(operator, ti_key=None) == videos_page()
    operator.execute(context_of(world, operator))
    assert link.get_link(operator, ti_key=None) == "https://app.example/1" == world.xcoms[link.xcom_key]


@pytest.mark.parametrize(
    ("request_", "name"), [({"a": 1}, None), ({"prompt": "a walk\n" * 50}, "a walk a walk"), ({"title": "Ada"}, "Ada")]
)
def test_a_job_that_its_vendor_gives_no_name_is_shown_by_what_its_request_calls_it(request_, name):
    world = World()
    operator = SubmitVideoJobOperator(task_id="t", conn_id="fake_default", request=request_)
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    operator.execute(context_of(world, operator))
    shown = world.xcoms["video_job"]["name"]
    assert shown == name if name is None else shown.startswith(name)
    assert shown is None or len(shown) <= LONGEST_LABEL


def test_the_decorator_is_a_task_decorator():
    with DAG("d", schedule=None) as dag:

        @video_job_task(conn_id="c", on_ambiguous="resubmit")
        def film(title: str) -> dict:
            return {"title": title, "script": "{{ not a template }} {% raw"}

        film("A")
    operator = dag.get_task("film")
    assert isinstance(operator, SubmitVideoJobOperator)
    assert operator.on_ambiguous == "resubmit"
    assert task.video_job is not None
    world = World()
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    assert operator.execute(context_of(world, operator)) == "job-1", (
        "the job id, whatever the function is annotated with"
    )
    assert operator.request == {"title": "A", "script": "{{ not a template }} {% raw"}


# ---------------------------------------------------------------- a render that failed for good


@pytest.mark.parametrize(
    ("reason", "code", "hopeless"),
    [
        ("content moderation rejected the script", None, True),
        ("Invalid preset", None, True),
        ("E17", "P17", True),  # the vendor's hook says so
        ("quota exceeded, try again", "P17", True),
        ("E17", "BLOCKED.INPUT.TEXT", True),  # all codes that begin so
        ("E17", "P17.NOT", False),
        ("E17", "OVERLOADED", False),
        ("quota exceeded", None, False),
        ("internal error: a file was not found, try again", None, False),  # the words speak for both
        ("something", None, False),
        (None, None, False),
    ],
)
@pytest.mark.parametrize("way", ["worker", "deferred", "a retry finds it"])
@pytest.mark.parametrize("policy", [None, VideoRetryPolicy()], ids=["no policy", "policy"])
def test_a_failure_that_the_same_request_would_meet_again_is_not_paid_for_again(way, reason, code, hopeless, policy):
    world = World()
    operator = SubmitVideoJobOperator(
        task_id="t",
        conn_id="fake_default",
        request={"a": 1},
        wait_for_completion=way != "a retry finds it",
        deferrable=way == "deferred",
        poll_interval=0.001,
        retry_policy=policy,
        retries=3,
    )
    operator.__dict__["hook"] = FakeHook(world, KeySupport.EXACT)
    run = operator.execute

    def fail():
        world.set_state("job-1", JobState.FAILED, reason, code)

    if way == "worker":
        world.steps = type("Failing", (Steps,), {"__call__": lambda self, name: name == "before a poll" and fail()})()
    elif way == "deferred":
        with pytest.raises(TaskDeferred):
            operator.execute(context_of(world, operator))
        fail()
        event = {"status": "failed", "job": world.jobs["job-1"].to_xcom(), "message": None}
        run = partial(operator.resume_execution, "execute_complete", {"event": event})
    else:
        operator.execute(context_of(world, operator))
        fail()
        if not hopeless:
            assert operator.execute(context_of(world, operator, 2)) == "job-2"
            return
        run = lambda context: operator.execute(context_of(world, operator, 2))  # noqa: E731
    with pytest.raises(errors.VideoJobFailedError) as caught:
        run(context_of(world, operator))
    assert isinstance(caught.value, AirflowFailException) is hopeless
    assert list(world.jobs) == ["job-1"]


@pytest.mark.parametrize("job_id", [None, "", "None", {"job": "1"}])
def test_a_missing_job_id_says_how_it_is_made_up_for(job_id):
    with pytest.raises(
        errors.VideoConfigurationError, match=r"marked as success by hand.*return_value.*clear this task"
    ):
        job_id_of(job_id)


def test_what_a_search_needs_is_kept_until_the_job_is_known():
    world, seen = World(), []

    class Watching(FakeHook):
        def submit_job(self, request, **arguments):
            seen.append(world.stored[RECORD_KEY]["search"])
            return super().submit_job(request, **arguments)

    operator = SubmitVideoJobOperator(task_id="t", conn_id="fake_default", request={"title": "A"})
    operator.__dict__["hook"] = Watching(world, KeySupport.EXACT, needs_title=True)
    operator.execute(context_of(world, operator))
    assert seen == [{"title": "A"}]
    record = world.stored[RECORD_KEY]
    assert (record["state"], record["job_id"], record["search"]) == ("submitted", "job-1", None)
