# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import pytest
import requests
from airflow.sdk import Connection
from pydantic import Field
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import ClosedPoolError

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.retries import was_never_sent
from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobError,
    VideoJobFailedError,
    VideoProviderError,
)
from airflow_video_providers.hooks.base import (
    KeySupport,
    VideoHook,
    aget_video_hook,
    get_video_hook,
    raise_if_unfinished,
)
from airflow_video_providers.hooks.common import HeaderAuth, cancel_by_deleting, id_in_path, share_of, state_of
from airflow_video_providers.hooks.schemas import Timestamp, VendorModel
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput
from tests.support.local_api import Answer, LocalApi
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS, schemas_of


class AcmeHook(VideoHook):
    """A third party's hook: no more than the contract asks for."""

    conn_type = "acme"
    hook_name = "Acme"
    vendor = "acme"
    default_base_url = "https://api.acme.invalid/v1"

    def make_auth(self) -> AuthBase:
        return HeaderAuth("x-key", self.secret())

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        return self._job(self.client.call_json("POST", "/jobs", endpoint="POST /jobs", json=dict(request)))

    def get_job(self, job_id: str) -> VideoJob:
        return self._job(self.client.get_json(f"/jobs/{id_in_path(job_id)}", endpoint="GET /jobs/{id}"))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        names = self.client.get_json(f"/jobs/{id_in_path(job_id)}/files", endpoint="GET /jobs/{id}/files")
        return [VideoOutput(kind="video", name=name, url=f"https://files.invalid/{name}") for name in names]

    def check_connection(self) -> str:
        self.client.get_json("/me", endpoint="GET /me")
        return "fine"

    def delete_job(self, job_id: str) -> None:
        self.client.call("DELETE", f"/jobs/{id_in_path(job_id)}", endpoint="DELETE /jobs/{id}", once=True)

    def _job(self, answer: dict[str, str]) -> VideoJob:
        return VideoJob(
            vendor=self.vendor, job_id=answer["id"], state=JobState(answer["state"]), vendor_status=answer["state"]
        )


class TestClass:
    """What a hook's class lacks is an error when it is made, and what it offers is read off it."""

    COMPLETE: ClassVar[dict[str, Any]] = {
        "conn_type": "other",
        "hook_name": "Other",
        "default_base_url": "https://api.other.invalid",
        "make_auth": AcmeHook.make_auth,
        "submit_job": AcmeHook.submit_job,
        "get_job": AcmeHook.get_job,
        "get_outputs": AcmeHook.get_outputs,
        "check_connection": AcmeHook.check_connection,
    }

    @pytest.mark.parametrize("name", COMPLETE)
    def test_what_is_missing_is_named(self, name: str) -> None:
        members = {key: value for key, value in self.COMPLETE.items() if key != name}
        with pytest.raises(TypeError, match=rf"OtherHook .* lacks {name}(\(\))?\."):
            type("OtherHook", (VideoHook,), members)

    def test_all_that_is_missing_is_named_at_once(self) -> None:
        with pytest.raises(TypeError, match=r"conn_type, .* make_auth\(\), submit_job\(\), get_job\(\)"):
            type("OtherHook", (VideoHook,), {})

    def test_a_key_that_can_be_searched_needs_a_search(self) -> None:
        with pytest.raises(TypeError, match=r"find_job\(\), which its key_support EXACT needs"):
            type("OtherHook", (VideoHook,), {**self.COMPLETE, "key_support": KeySupport.EXACT})

    def test_an_estimate_that_comes_with_the_job_needs_a_way_to_cancel_it(self) -> None:
        members = {**self.COMPLETE, "estimates_at_submission": lambda self, request: True}
        with pytest.raises(TypeError, match=r"cancel_job\(\), by which its estimates_at_submission"):
            type("OtherHook", (VideoHook,), members)

    def test_names_that_are_not_given_follow_the_connection_type(self) -> None:
        hook = type("OtherHook", (VideoHook,), self.COMPLETE)
        assert (hook.vendor, hook.default_conn_name, hook().conn_id) == ("other", "other_default", "other_default")

    def test_the_base_of_a_hook_need_not_be_complete(self) -> None:
        class Endpoints(VideoHook, abstract=True):
            def upload_media(self, *args: Any, **kwargs: Any) -> str:
                return ""

        hook = type("OtherHook", (Endpoints,), self.COMPLETE)
        assert hook.can_upload
        assert hook.vendor == "other"
        with pytest.raises(TypeError, match="get_job"):
            type("OtherHook", (Endpoints,), {key: self.COMPLETE[key] for key in self.COMPLETE if key != "get_job"})

    @pytest.mark.parametrize(
        ("method", "offer"),
        [
            ("get_jobs", "can_list"),
            ("find_job", "can_find"),
            ("cancel_job", "can_cancel"),
            ("upload_media", "can_upload"),
        ],
    )
    def test_a_hook_offers_what_it_overrides(self, method: str, offer: str) -> None:
        hook = type("OtherHook", (VideoHook,), {**self.COMPLETE, method: lambda self, *args, **kwargs: None})
        offers = {name: getattr(hook, name) for name in ("can_list", "can_find", "can_cancel", "can_upload")}
        assert offers == {**dict.fromkeys(offers, False), offer: True}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_connection(**fields: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_ACME_DEFAULT", json.dumps({"conn_type": "acme", "password": "k3y", **fields}))

    return set_connection


@pytest.fixture
def hook(connect: Any, local_api: LocalApi) -> AcmeHook:
    connect(host=local_api.url, extra={"retry_deadline": 5})
    return AcmeHook()


class TestConnection:
    def test_nothing_is_looked_up_until_the_first_call(self) -> None:
        hook = AcmeHook("not_there")
        with pytest.raises(Exception, match="not_there"):
            _ = hook.connection

    def test_defaults(self, connect: Any) -> None:
        connect()
        client = AcmeHook().get_conn()
        assert client.base_url == "https://api.acme.invalid/v1"
        settings = client.settings
        assert (settings.connect_timeout, settings.read_timeout, settings.retry_deadline) == (10, 60, 120)
        assert (settings.proxy, settings.verify) == (None, True)

    def test_extras(self, connect: Any) -> None:
        connect(
            host="https://proxy.example/acme/",
            extra={
                "connect_timeout": "2.5",
                "read_timeout": 7,
                "retry_deadline": 9,
                "proxy": "http://p:1",
                "verify": "no",
            },
        )
        client = AcmeHook().client
        assert client.url("/jobs") == "https://proxy.example/acme/jobs"
        settings = client.settings
        assert (settings.connect_timeout, settings.read_timeout, settings.retry_deadline) == (2.5, 7, 9)
        assert (settings.proxy, settings.verify) == ("http://p:1", False)

    def test_uri_form(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_ACME_DEFAULT", "acme://:k3y@/?read_timeout=7&ca_bundle=%2Fetc%2Fca.pem")
        client = AcmeHook().client
        assert client.base_url == "https://api.acme.invalid/v1"
        assert (client.settings.read_timeout, client.settings.ca_bundle) == (7, "/etc/ca.pem")

    def test_a_poller_overrides_the_deadline(self, connect: Any) -> None:
        connect(extra={"retry_deadline": 100})
        assert AcmeHook(retry_deadline=1.5).client.settings.retry_deadline == 1.5

    @pytest.mark.parametrize("extra", [{"read_timeout": "soon"}, {"connect_timeout": 0}, {"retry_deadline": -1}])
    def test_seconds_must_be_seconds(self, connect: Any, extra: dict[str, Any]) -> None:
        connect(extra=extra)
        with pytest.raises(VideoConfigurationError, match=next(iter(extra))):
            _ = AcmeHook().client

    def test_verify_must_be_a_truth(self, connect: Any) -> None:
        connect(extra={"verify": "maybe"})
        with pytest.raises(VideoConfigurationError, match="verify"):
            _ = AcmeHook().client

    def test_host_without_scheme_is_refused(self, connect: Any) -> None:
        connect(host="api.acme.invalid")
        with pytest.raises(VideoConfigurationError, match="full base URL"):
            _ = AcmeHook().client

    def test_a_missing_key_is_named_not_sent(self, connect: Any) -> None:
        connect(password="")
        with pytest.raises(VideoConfigurationError, match="has no password"):
            AcmeHook().get_job("1")


class TestClosing:
    def test_closing_does_not_wait_for_a_client_that_is_being_made(
        self, monkeypatch: pytest.MonkeyPatch, local_api: LocalApi
    ) -> None:
        # In a triggerer, the thread that makes the client waits for the event loop, and the event loop closes the hook.
        fields = {"conn_type": "acme", "password": "k", "host": local_api.url}
        monkeypatch.setenv("AIRFLOW_CONN_ACME_DEFAULT", json.dumps(fields))
        making, go_on = threading.Event(), threading.Event()

        class SlowHook(AcmeHook):
            def make_client(self) -> VideoApiClient:
                making.set()
                assert go_on.wait(30)
                return super().make_client()

        hook, made = SlowHook("acme_default"), list[VideoApiClient]()
        maker = threading.Thread(target=lambda: made.append(hook.client), daemon=True)
        closer = threading.Thread(target=hook.close, daemon=True)
        try:
            maker.start()
            assert making.wait(30)
            closer.start()
            closer.join(10)
            assert not closer.is_alive()
        finally:
            go_on.set()
        maker.join(30)
        # The one that came late serves the call that wanted it, keeps no connection, and is not the hook's.
        local_api.on("GET", "/late", Answer(json={}))
        for _ in range(2):
            assert made[0].get_json("/late", endpoint="GET /late") == {}
        assert local_api.connections == 2
        assert hook.client is not made[0]
        assert hook.client is hook.client
        for _ in range(2):
            hook.client.get_json("/late", endpoint="GET /late")
        assert local_api.connections == 3
        hook.close()

    @pytest.mark.parametrize("vendor", HOOKS)
    def test_a_client_that_comes_late_leaves_nothing_open(self, vendor: str, local_api: LocalApi) -> None:
        hook = HOOKS[vendor]("late")
        fields = {"login": "me", "password": "k" * 32, **VENDORS[vendor].connection_to(local_api.url)}
        extra = json.dumps({**(fields.pop("extra", None) or {}), "retry_deadline": 0.01})
        hook.connection = Connection(**{**fields, "conn_id": "late", "extra": extra})
        make = hook.make_client

        def make_and_be_closed() -> VideoApiClient:
            client = make()
            hook.close()
            return client

        hook.make_client = make_and_be_closed  # type: ignore[method-assign]
        for job_id in ("job-1", "owner/app|job-1"):
            with suppress(VideoProviderError):
                hook.get_job(job_id)
        assert local_api.received
        local_api.wait_until_closed()

    def test_a_call_that_finds_the_session_closed_was_not_sent(self, local_api: LocalApi, hook: AcmeHook) -> None:
        error = requests.ConnectionError(ClosedPoolError(HTTPConnectionPool("127.0.0.1"), "Pool is closed."))
        assert was_never_sent(error)


class TestDefaults:
    def test_what_a_hook_promises_unless_it_says_otherwise(self, hook: AcmeHook) -> None:
        assert hook.key_support is KeySupport.NONE
        assert (hook.can_list, hook.can_find, hook.can_cancel, hook.can_upload) == (False, False, False, False)

    def test_many_jobs_one_by_one_without_those_that_are_gone(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs/1", Answer(json={"id": "1", "state": "running"}))
        local_api.on("GET", "/jobs/3", Answer(json={"id": "3", "state": "failed"}))
        found = hook.get_jobs(["1", "2", "3"])
        assert {job_id: job.state for job_id, job in found.items()} == {"1": JobState.RUNNING, "3": JobState.FAILED}
        assert local_api.count() == 3

    def test_a_fresh_link_of_the_same_output(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs/1/files", Answer(json=["a.mp4", "b.mp4"]))
        fresh = hook.refresh_output("1", VideoOutput(kind="video", name="b.mp4", url="https://files.invalid/old"))
        assert fresh.url == "https://files.invalid/b.mp4"

    def test_an_output_that_is_gone(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs/1/files", Answer(json=["a.mp4"]))
        with pytest.raises(VideoApiNotFoundError, match=r"no longer offers its video b\.mp4"):
            hook.refresh_output("1", VideoOutput(kind="video", name="b.mp4"))

    def test_no_upload_unless_documented(self, hook: AcmeHook) -> None:
        with pytest.raises(VideoConfigurationError, match="no upload"):
            hook.upload_media(None, name="a", size=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (JobState.QUEUED, VideoJobError),
        (JobState.RUNNING, VideoJobError),
        (JobState.FAILED, VideoJobFailedError),
        (JobState.CANCELLED, VideoJobCancelledError),
    ],
)
def test_an_unfinished_job_has_no_files(state: JobState, expected: type[Exception]) -> None:
    job = VideoJob(vendor="acme", job_id="1", state=state, vendor_status="odd")
    with pytest.raises(VideoJobError) as caught:
        raise_if_unfinished(job)
    assert type(caught.value) is expected
    assert caught.value.job is job


def test_a_finished_job_may_be_asked_for_files() -> None:
    raise_if_unfinished(VideoJob(vendor="acme", job_id="1", state=JobState.SUCCEEDED, vendor_status="done"))


class TestHookOfAConnection:
    def test_the_vendor_is_found_by_the_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps({"conn_type": next(iter(HOOKS)), "password": "k"}))
        hook = get_video_hook("mine")
        assert type(hook) is next(iter(HOOKS.values()))
        assert hook.conn_id == "mine"

    def test_the_same_without_blocking_a_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps({"conn_type": next(iter(HOOKS)), "password": "k"}))
        hook = asyncio.run(aget_video_hook("mine"))
        assert type(hook) is next(iter(HOOKS.values()))
        monkeypatch.delenv("AIRFLOW_CONN_MINE")
        assert hook.secret() == "k", "the connection was handed in, it is not looked up again"

    def test_another_kind_of_connection_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps({"conn_type": "fs"}))
        with pytest.raises(VideoConfigurationError, match="no video API"):
            get_video_hook("mine")


class TestCancelByDeleting:
    RUNNING = Answer(json={"id": "1", "state": "running"})
    FINISHED = Answer(json={"id": "1", "state": "succeeded"})

    def cancel(self, hook: AcmeHook) -> VideoJob | None:
        return cancel_by_deleting(hook, "1", hook.delete_job, running={"running"})

    def test_a_running_job_is_deleted_once(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs/1", self.RUNNING)
        local_api.on("DELETE", "/jobs/1", Answer(status=204))
        job = self.cancel(hook)
        assert job is not None
        assert job.state is JobState.RUNNING
        assert (local_api.count("GET"), local_api.count("DELETE")) == (1, 1)

    def test_a_finished_job_is_left_alone(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs/1", self.FINISHED)
        job = self.cancel(hook)
        assert job is not None
        assert job.state is JobState.SUCCEEDED
        assert local_api.count("DELETE") == 0

    def test_a_job_of_an_undocumented_status_is_left_alone(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs/1", Answer(json={"id": "1", "state": "queued"}))
        with pytest.raises(VideoJobError, match="not documented"):
            self.cancel(hook)
        assert local_api.count("DELETE") == 0

    def test_an_unknown_job_is_none(self, hook: AcmeHook, local_api: LocalApi) -> None:
        assert self.cancel(hook) is None
        assert local_api.count("DELETE") == 0

    def test_a_lost_answer_is_not_asked_for_twice(self, hook: AcmeHook, local_api: LocalApi, naps: list[float]) -> None:
        local_api.on("GET", "/jobs/1", self.RUNNING, Answer(status=404))
        local_api.on("DELETE", "/jobs/1", Answer(reset=True))
        job = self.cancel(hook)
        assert job is not None
        assert local_api.count("DELETE") == 1

    @pytest.mark.parametrize("failure", [Answer(status=500), Answer(status=429), Answer(reset=True)])
    def test_a_job_that_finished_meanwhile_keeps_its_files(
        self, hook: AcmeHook, local_api: LocalApi, naps: list[float], failure: Answer
    ) -> None:
        local_api.on("GET", "/jobs/1", self.RUNNING, self.FINISHED)
        local_api.on("DELETE", "/jobs/1", failure)
        job = self.cancel(hook)
        assert job is not None
        assert job.state is JobState.SUCCEEDED, "nobody is told that it was cancelled"
        assert local_api.count("DELETE") == 1

    def test_a_vendor_that_shows_deleted_jobs_as_cancelled(
        self, hook: AcmeHook, local_api: LocalApi, naps: list[float]
    ) -> None:
        local_api.on("GET", "/jobs/1", self.RUNNING, Answer(json={"id": "1", "state": "cancelled"}))
        local_api.on("DELETE", "/jobs/1", Answer(reset=True))
        job = self.cancel(hook)
        assert job is not None
        assert job.state is JobState.RUNNING, "it ran until it was cancelled here"
        assert local_api.count("DELETE") == 1

    def test_a_job_that_still_runs_is_tried_again_as_the_vendor_asks(
        self, hook: AcmeHook, local_api: LocalApi, naps: list[float]
    ) -> None:
        local_api.on("GET", "/jobs/1", self.RUNNING)
        local_api.on("DELETE", "/jobs/1", Answer(status=429, headers={"Retry-After": "2"}), Answer(status=204))
        self.cancel(hook)
        assert [request.method for request in local_api.received] == ["GET", "DELETE", "GET", "DELETE"]
        assert naps == [2.0]

    def test_it_ends_at_the_deadline(self, connect: Any, local_api: LocalApi) -> None:
        connect(host=local_api.url)
        local_api.on("GET", "/jobs/1", self.RUNNING)
        local_api.on("DELETE", "/jobs/1", Answer(status=500))
        with pytest.raises(VideoApiUnavailableError):
            self.cancel(AcmeHook(retry_deadline=0.2))
        assert local_api.received[-1].method == "GET", "the last word is a look"

    def test_a_refusal_is_told(self, hook: AcmeHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/jobs/1", self.RUNNING)
        local_api.on("DELETE", "/jobs/1", Answer(status=403))
        with pytest.raises(VideoApiError, match="403"):
            self.cancel(hook)
        assert local_api.count("DELETE") == 1


class TestSmallParts:
    @pytest.mark.parametrize("value", ["", ".", "..", None, "None"])
    def test_no_id_names_another_path(self, value: str | None) -> None:
        with pytest.raises(VideoConfigurationError, match="not an id"):
            id_in_path(value)

    def test_an_id_is_one_segment(self) -> None:
        assert id_in_path("a/../b?x=1#y z") == "a%2F..%2Fb%3Fx%3D1%23y%20z"

    @pytest.mark.parametrize(
        ("done", "total", "share"),
        [(1, 4, 0.25), (5, 4, 1.0), (-1, 100, 0.0), (0, 0, None), (1, None, None), (None, 3, None), (0, 7, 0.0)],
    )
    def test_share(self, done: float | None, total: float | None, share: float | None) -> None:
        assert share_of(done, total) == share

    def test_an_unknown_status_is_running_and_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert state_of("acme", "polishing", {}) is JobState.RUNNING
            assert state_of("acme", "waxing", {}) is JobState.RUNNING
        assert [record.getMessage().split("'")[1] for record in caplog.records] == ["polishing", "waxing"]


class Part(VendorModel):
    id: str


class Payload(VendorModel):
    id: str
    size: int | None = None
    at: Timestamp | None = None
    parts: list[Part] = Field(default_factory=list)


class Lifted(Payload):
    @classmethod
    def prepare(cls, data: Any) -> Any:
        return data["inner"]


class Nested(VendorModel):
    """A payload in a payload, which counts how often it is read."""

    reads: ClassVar[int] = 0

    size: int | None = None
    inner: Nested | None = None

    @classmethod
    def prepare(cls, data: Any) -> Any:
        Nested.reads += 1
        return data


class TestPayloads:
    def test_undocumented_fields_are_kept(self) -> None:
        assert Payload.model_validate({"id": "1", "new": [1]}).model_dump()["new"] == [1]

    def test_a_number_is_an_id(self) -> None:
        assert Payload.model_validate({"id": 17}).id == "17"

    def test_an_optional_field_of_another_form_is_ignored_and_logged_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                payload = Payload.model_validate({"id": "1", "size": "https://x/?sig=feed", "at": None})
        assert (payload.size, payload.at) == (None, None)
        assert len(caplog.records) == 1
        assert "Payload.size" in caplog.text
        assert "feed" not in caplog.text

    def test_what_is_ignored_counts_as_given_and_hides_nothing_else(self) -> None:
        """Whether a vendor sent a key in an odd form, or none, decides whether a render is paid once more."""
        body = {"id": "1", "size": [1], "at": "2024-05-01T12:00:00Z", "parts": [{"id": "2"}, 7], "new": 1}
        payload = Payload.model_validate(body)
        assert (payload.size, payload.parts, payload.model_dump()["new"]) == (None, [], 1)
        assert payload.at is not None
        assert payload.model_fields_set == set(body)
        assert "size" not in Payload.model_validate({"id": "1"}).model_fields_set

    def test_a_payload_in_another_form_is_prepared_first(self) -> None:
        lifted = Lifted.model_validate({"inner": {"id": "1", "size": "large"}})
        assert (lifted.id, lifted.size) == ("1", None)
        with pytest.raises(ValueError, match="validation error"):
            Lifted.model_validate({"inner": {"size": 1}})

    def test_odd_fields_at_every_level_cost_no_more_than_one_reading_of_each(self) -> None:
        body: dict[str, Any] | None = None
        depth = 8
        for _ in range(depth):
            body = {"size": "large", "inner": body}
        Nested.reads = 0
        payload: Nested | None = Nested.model_validate(body)
        assert Nested.reads == depth
        while payload is not None:
            assert payload.size is None
            depth, payload = depth - 1, payload.inner
        assert depth == 0

    @pytest.mark.parametrize("body", [{}, {"id": None}, {"id": "1", "parts": [{}]}, None, [], "text"])
    def test_a_required_field_is_required_at_any_depth(self, body: Any) -> None:
        with pytest.raises(ValueError, match="validation error"):
            Payload.model_validate(body)

    def test_no_link_is_shown(self) -> None:
        link = "https://x.example/v.mp4?sig=feed"
        payload = Payload.model_validate({"id": "1", "undocumented": {"deep": [link]}, "parts": [{"id": link}]})
        for shown in (repr(payload), str(payload)):
            assert "feed" not in shown
            assert "v.mp4" not in shown
            assert "https://***" in shown

    @pytest.mark.parametrize("vendor", HOOKS)
    def test_nor_in_any_field_of_a_vendor(self, vendor: str) -> None:
        models = [model for model in vars(schemas_of(vendor)).values() if isinstance(model, type)]
        for model in models:
            for name in getattr(model, "model_fields", {}):
                payload = model.model_construct(**{name: "https://x.example/feed.mp4?sig=feed"})
                assert "feed" not in f"{payload!r} {payload}", f"{model.__name__}.{name}"

    def test_a_long_value_is_shown_cut(self) -> None:
        assert len(repr(Payload.model_validate({"id": "1", "undocumented": "x" * 1_000_000}))) < 5000

    @pytest.mark.parametrize("text", ["2024-05-01T12:00:00", "2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00Z"])
    def test_times_are_utc(self, text: str) -> None:
        payload = Payload.model_validate({"id": "1", "at": text})
        assert payload.at is not None
        assert payload.at.isoformat() == "2024-05-01T12:00:00+00:00"
