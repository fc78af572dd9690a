# SPDX-License-Identifier: Apache-2.0
"""What is known about a request before it is paid: fields, price, the vendor's check, a dry run that sends nothing."""

from __future__ import annotations

import logging

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pydantic import Field

from airflow_video_providers.exceptions import VideoApiUnavailableError, VideoConfigurationError, VideoCostError
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.jobs import JobCost, JobState
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.retry_policy import VideoRetryPolicy
from airflow_video_providers.submission.preflight import DRY_KEY
from tests.support.submission import DirectHook, FakeHook, World, context_of


class Voice(VendorRequest):
    speed: float | None = None


class Request(VendorRequest):
    title: str
    voices: list[Voice] | None = None
    template_id: str | None = Field(default=None, alias="templateId")


class PricedHook(FakeHook):
    price: JobCost | None = JobCost(amount=5, unit="credits")

    def request_model(self, request):
        return Request if "title" in request else None

    def estimate_cost(self, request):
        return self.price

    def check_request(self, request):
        if request.get("title") == "bad":
            raise VideoConfigurationError("The vendor would refuse the request: no such title")
        return "it is valid"


@pytest.fixture
def world():
    return World()


def run(world, request, kind=PricedHook, try_number=1, **arguments):
    operator = SubmitVideoJobOperator(task_id="t", conn_id="fake_default", request=request, **arguments)
    hook = operator.__dict__["hook"] = kind(world, KeySupport.EXACT)
    if "price" in world.__dict__:
        hook.price = world.price
    return operator.execute(context_of(world, operator, try_number))


def sends(world):
    return [step for step in world.steps.seen if step == "before the POST"]


# ---------------------------------------------------------------- fields


def test_a_field_of_a_wrong_type_is_refused_with_its_path_before_anything_is_sent(world, caplog):
    with pytest.raises(VideoConfigurationError) as caught:
        run(world, {"title": "A", "voices": [{"speed": 1}, {"speed": "fast"}], "templateId": []})
    assert str(caught.value).startswith("The request is not what Fake documents: request.voices.1.speed: ")
    assert "request.templateId: " in caplog.text
    assert (sends(world), world.stored) == ([], {})


def test_a_field_that_the_model_does_not_know_is_passed_on(world):
    assert run(world, {"title": "A", "brand_new": [1]}) == "job-1"
    assert run(World(), {"of no known form": 1}) == "job-1"


def test_a_model_can_be_passed_and_is_sent_by_the_vendors_names(world):
    model = Request(title="A {{ ds }}", template_id="t-1", brand_new=True)
    operator = SubmitVideoJobOperator(task_id="t", conn_id="c", request=model)
    assert operator.request == {"title": "A {{ ds }}", "templateId": "t-1", "brand_new": True} == model.to_request()


# ---------------------------------------------------------------- price


def test_a_render_within_the_limit_is_submitted(world, caplog):
    with caplog.at_level(logging.INFO):
        assert run(world, {"title": "A"}, max_cost=5) == "job-1"
    assert "at most 5 credits, within max_cost=5" in caplog.text


@pytest.mark.parametrize(
    ("kind", "price", "error", "text"),
    [
        (PricedHook, JobCost(amount=5.5, unit="credits"), VideoCostError, "5.5 credits at Fake, more than max_cost=5"),
        (PricedHook, None, VideoConfigurationError, "tells no price for this request"),
        (PricedHook, JobCost(amount=None, unit="usd"), VideoConfigurationError, "tells no price for this request"),
        (FakeHook, None, VideoConfigurationError, "tells no price before a submission"),
    ],
)
def test_a_limit_that_is_broken_or_cannot_be_kept_stops_before_anything_is_paid(world, kind, price, error, text):
    world.price = price
    with pytest.raises(error, match=text):
        run(world, {"title": "A"}, kind, max_cost=5)
    assert (sends(world), world.stored) == ([], {})


def test_a_job_that_is_adopted_is_not_priced_again(world):
    operator = SubmitVideoJobOperator(task_id="t", conn_id="fake_default", request={"title": "A"}, max_cost=5)
    hook = operator.__dict__["hook"] = PricedHook(world, KeySupport.EXACT)
    assert operator.execute(context_of(world, operator)) == "job-1"
    hook.price = JobCost(amount=9, unit="credits")
    assert operator.execute(context_of(world, operator)) == "job-1"


class AfterwardsHook(FakeHook):
    """A vendor that names the cost in its response to the submission."""

    cost: JobCost | None = JobCost(amount=5, unit="credits")
    state = JobState.QUEUED

    def estimates_at_submission(self, request):
        return request["title"] == "A"

    def submit_job(self, request, *, key=None):
        job = super().submit_job(request, key=key).model_copy(update={"cost": self.cost, "state": self.state})
        self.world.jobs[job.job_id] = job
        return job


def test_a_render_that_turns_out_within_the_limit_goes_on(world):
    assert run(world, {"title": "A"}, AfterwardsHook, max_cost=5) == "job-1"
    assert world.cancelled == []


@pytest.mark.parametrize("cost", [JobCost(amount=5.5, unit="credits"), JobCost(amount=None, unit="credits"), None])
def test_a_render_that_turns_out_too_dear_is_cancelled_and_not_submitted_again(world, cost):
    kind = type("Hook", (AfterwardsHook,), {"cost": cost})
    with pytest.raises(VideoCostError, match=r"job-1 .*max_cost=5.* was cancelled") as caught:
        run(world, {"title": "A"}, kind, max_cost=5)
    assert isinstance(caught.value, AirflowFailException)  # no retry, which would submit another one
    assert (world.cancelled, len(sends(world))) == (["job-1"], 1)


def test_a_dear_render_that_cannot_be_cancelled_is_cancelled_by_the_next_try(world):
    kind = type("Hook", (AfterwardsHook,), {"cost": JobCost(amount=9, unit="credits")})
    cancel, kind.cancel_job = kind.cancel_job, refuse_to_cancel
    with pytest.raises(VideoCostError, match="could not be cancelled") as caught:
        run(world, {"title": "A"}, kind, max_cost=5)
    assert not isinstance(caught.value, AirflowFailException)
    assert VideoRetryPolicy().evaluate(caught.value, 1, 3).action is not RetryAction.FAIL
    kind.cancel_job = cancel
    with pytest.raises(VideoCostError, match="was cancelled"):
        run(world, {"title": "A"}, kind, try_number=2, max_cost=5)
    assert (world.cancelled, len(sends(world))) == (["job-1"], 1)


def refuse_to_cancel(self, job_id):
    raise VideoApiUnavailableError("down", vendor="fake", endpoint="DELETE /jobs/{id}")


def test_a_dear_render_that_has_ended_is_kept(world):
    kind = type("Hook", (AfterwardsHook,), {"cost": JobCost(amount=9, unit="credits"), "state": JobState.SUCCEEDED})
    assert run(world, {"title": "A"}, kind, max_cost=5) == "job-1"
    assert world.cancelled == []


def test_a_vendor_that_names_the_cost_of_some_requests_only_refuses_a_limit_for_the_others(world):
    with pytest.raises(VideoConfigurationError, match="tells no price"):
        run(world, {"title": "B"}, AfterwardsHook, max_cost=5)
    assert sends(world) == []


@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), float("inf")])
def test_a_limit_is_an_amount(value):
    with pytest.raises(VideoConfigurationError, match="max_cost"):
        SubmitVideoJobOperator(task_id="t", conn_id="c", request={"a": 1}, max_cost=value)


# ---------------------------------------------------------------- dry run


def test_a_dry_run_shows_the_body_and_sends_nothing(world, caplog):
    request = {"title": "A", "webhook": "https://hooks.example/in?token=s3cr3t"}
    with caplog.at_level(logging.INFO), pytest.raises(AirflowSkipException, match="nothing was submitted"):
        run(world, request, dry_run=True)
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("This would be sent: POST http://127.0.0.1/jobs") for line in lines)
    assert any(line.strip().startswith('"title": "A"') for line in lines)
    assert DRY_KEY in caplog.text
    assert "s3cr3t" not in caplog.text
    assert "Fake checked the request: it is valid" in lines
    assert "The render would cost at most 5 credits" in lines
    assert (sends(world), world.stored, world.xcoms) == ([], {}, {})


def test_a_dry_run_fails_where_the_request_would(world):
    for request in ({"title": "bad"}, {"title": 1, "voices": 1}):
        with pytest.raises(VideoConfigurationError):
            run(world, request, dry_run=True)
    with pytest.raises(VideoCostError):
        run(world, {"title": "A"}, dry_run=True, max_cost=1)
    assert sends(world) == []


def test_a_vendor_without_a_check_says_so(world, caplog):
    with caplog.at_level(logging.INFO), pytest.raises(AirflowSkipException):
        run(world, {"a": 1}, FakeHook, dry_run=True)
    assert "Fake documents no free check" in caplog.text


def test_a_hook_that_sends_by_other_means_is_not_asked_to_submit(world, caplog):
    class Direct(DirectHook):
        submits_by_client = False

    with caplog.at_level(logging.INFO), pytest.raises(AirflowSkipException):
        run(world, {"a": 1}, Direct, dry_run=True)
    assert '"a": 1' in caplog.text
    assert (sends(world), world.jobs) == ([], {})


def test_the_method_of_airflow_that_has_the_arguments_name_still_works():
    operator = SubmitVideoJobOperator(task_id="t", conn_id="c", request={"a": 1}, dry_run=True)
    assert SubmitVideoJobOperator.dry_run is BaseOperator.dry_run
    operator.dry_run()
