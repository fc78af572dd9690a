# SPDX-License-Identifier: Apache-2.0
"""What must hold of the client when something is wrong: no secret in a text, no false word about what was sent."""

from __future__ import annotations

import copy
import inspect
import io
import logging
import pickle
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers import exceptions
from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.api.retry_after import parse_retry_after
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.source.http import HttpSource
from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiQuotaError,
    VideoApiRedirectError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoCallbackRefusedError,
    VideoConfigurationError,
    VideoJobError,
    VideoProviderError,
)
from airflow_video_providers.hooks.common import HeaderAuth
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.retry_policy import VideoRetryPolicy
from airflow_video_providers.text.redaction import redact
from tests.support.local_api import Answer, LocalApi

SECRET = "s3cr3t-key-of-the-account"


def make_client(url: str, *, secret: str = SECRET, **settings: Any) -> VideoApiClient:
    settings = {"connect_timeout": 5.0, "read_timeout": 5.0, "retry_deadline": 0.01, **settings}
    return VideoApiClient(
        vendor="acme",
        base_url=f"{url}/v1",
        auth=HeaderAuth("Authorization", secret),
        settings=ClientSettings(**settings),
        secrets=[secret],
    )


def post(client: VideoApiClient, **kwargs: Any) -> VideoApiError:
    with pytest.raises(VideoApiError) as caught:
        client.call_json("POST", "/jobs", endpoint="POST /jobs", **{"json": {}, **kwargs})
    return caught.value


class TestNeverSent:
    @pytest.mark.parametrize("end", ["\n", "\r\nX-More: 1", "\0", "\nmore", "ключ"])
    def test_a_header_that_cannot_be_written(self, local_api: LocalApi, end: str) -> None:
        local_api.on("POST", "/v1/jobs", Answer(json={}))
        error = post(make_client(local_api.url, secret=SECRET + end))
        assert not error.outcome_unknown
        assert SECRET not in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__
        assert local_api.received == []

    @pytest.mark.parametrize("body", [{"at": object()}, {"n": float("nan")}])
    def test_a_body_that_is_no_json(self, local_api: LocalApi, body: Any) -> None:
        error = post(make_client(local_api.url), json=body)
        assert isinstance(error, VideoApiInvalidRequestError)
        assert not error.outcome_unknown
        assert local_api.received == []

    def test_a_name_that_is_no_name(self) -> None:
        assert not post(make_client(f"http://{'a' * 70}.example")).outcome_unknown

    def test_a_bad_proxy(self) -> None:
        error = post(make_client("http://api.invalid", proxy="socks9://u:pr0xypass@host:1"))
        assert not error.outcome_unknown
        assert "pr0xypass" not in str(error)
        with pytest.raises(ValueError, match="full URL") as caught:
            ClientSettings(proxy="http://u:pr0xypass@host:bad")
        assert "pr0xypass" not in str(caught.value)

    def test_a_bundle_that_is_not_there(self, tls_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
        for settings in ({"ca_bundle": "/not/there.pem"}, {}):
            with pytest.raises(VideoConfigurationError, match=r"/not/there\.pem.*does not exist"):
                make_client(tls_api.url, **settings).call_json("POST", "/jobs", endpoint="POST /jobs")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/not/there.pem")
        assert tls_api.received == []

    def test_a_bundle_that_is_none(self, tls_api: LocalApi, tmp_path: Path, naps: list[float]) -> None:
        (tmp_path / "empty.pem").write_text("garbage")
        assert not post(make_client(tls_api.url, ca_bundle=str(tmp_path / "empty.pem"))).outcome_unknown

    def test_a_stream_that_breaks_may_have_been_sent_in_part(self, local_api: LocalApi) -> None:
        stream = io.BytesIO(b"x" * 10)
        broken = _Broken(stream)
        with pytest.raises(ValueError, match="closed"):
            make_client(local_api.url).call("POST", "/up", endpoint="POST /up", once=True, data=broken)


class _Broken:
    def __init__(self, stream: io.BytesIO) -> None:
        self.len = 100
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if self._stream.tell():
            raise ValueError("closed")
        return self._stream.read(10)


class TestRedirects:
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    @pytest.mark.parametrize(
        ("location", "named"),
        [
            ("https://app.acme.example/v1/jobs?key=feed", "https://app.acme.example."),
            ("https://feed:feed@app.acme.example/", "https://app.acme.example."),
            ("/v1/jobs/", "http://127.0.0.1"),
            ("http://[bad", "malformed"),
            (None, "http://127.0.0.1"),
        ],
    )
    def test_a_redirect_is_a_fault_of_the_connection_and_nothing_was_bought(
        self, local_api: LocalApi, method: str, status: int, location: str | None, named: str
    ) -> None:
        local_api.on(method, "/v1/jobs", Answer(status=status, headers={"Location": location} if location else {}))
        with pytest.raises(VideoConfigurationError, match="host of the Airflow connection") as caught:
            make_client(local_api.url).call(method, "/jobs", endpoint=f"{method} /jobs")
        error = caught.value
        assert isinstance(error, VideoApiRedirectError)
        assert not error.outcome_unknown
        assert error.status == status
        assert named in str(error)
        assert "feed" not in str(error)
        assert local_api.count() == 1

    def test_the_target_in_raw_utf_8(self, local_api: LocalApi) -> None:
        location = "https://app.acme.example/jöbs".encode().decode("latin-1")
        local_api.on("POST", "/v1/jobs", Answer(status=308, headers={"Location": location}))
        error = post(make_client(local_api.url))
        assert isinstance(error, VideoApiRedirectError)
        assert "https://app.acme.example" in str(error)

    @pytest.mark.parametrize("status", [300, 303, 304])
    def test_see_other_says_that_the_job_is_made(self, local_api: LocalApi, status: int) -> None:
        local_api.on("POST", "/v1/jobs", Answer(status=status, headers={"Location": "/v1/jobs/1"}))
        error = post(make_client(local_api.url))
        assert isinstance(error, VideoApiUnreadableAnswerError)
        assert error.outcome_unknown
        assert local_api.count() == 1

    def test_see_other_of_a_get_is_a_redirect(self, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/jobs", Answer(status=303, headers={"Location": "/"}))
        with pytest.raises(VideoApiRedirectError):
            make_client(local_api.url).get_json("/jobs", endpoint="GET /jobs")


class TestErrorBodies:
    @pytest.mark.parametrize(
        ("detail", "fields"),
        [
            ([{"loc": None, "msg": "m"}], {"body": "m"}),
            ([{"loc": "body", "msg": "m"}], {"body": "m"}),
            ([{"loc": "name", "msg": "m"}], {"name": "m"}),
            ([{"loc": ["body", "a", 0], "msg": "m"}, {"loc": ["a", 0], "msg": "n"}], {"a.0": "m; n"}),
            (["m"], {"body": "m"}),
            ([None, 7], {"body": "None; 7"}),
            ([], {}),
        ],
    )
    def test_legal_forms_of_a_detail(self, detail: Any, fields: dict[str, str]) -> None:
        assert parse_error({"detail": detail}).fields == fields

    def test_a_parser_that_fails_does_not_hide_the_answer(self, local_api: LocalApi) -> None:
        def fail(body: Any) -> VendorError:
            raise KeyError("form")

        local_api.on("POST", "/v1/jobs", Answer(status=422, json={"oops": "too long"}))
        client = make_client(local_api.url)
        client.error_parser = fail
        error = post(client)
        assert isinstance(error, VideoApiInvalidRequestError)
        assert "too long" in str(error)

    def test_every_part_is_short_and_without_secrets(self, local_api: LocalApi) -> None:
        link = f"https://files.example/?client_id=1&signature=feed {SECRET}"
        detail = [{"loc": [f"field{n} {link}"], "msg": link + "x" * 5000} for n in range(50)]
        local_api.on("POST", "/v1/jobs", Answer(status=422, json={"detail": detail}))
        fields = post(make_client(local_api.url))
        local_api.on("POST", "/v1/jobs", Answer(status=400, json={"message": "m", "code": link + "x" * 5000}))
        code = post(make_client(local_api.url))
        for error in (fields, code):
            shown = f"{error} {error.code} {getattr(error, 'fields', '')}"
            assert "feed" not in shown
            assert SECRET not in shown
            assert len(str(error)) < 4000


class TestCauses:
    """A vendor says by a code what went wrong, whatever the status says."""

    @pytest.mark.parametrize(
        ("status", "said", "cause", "unknown"),
        [
            (400, VendorError("too many renders", cause=VideoApiQuotaError), VideoApiQuotaError, False),
            (403, VendorError("bad key", cause=VideoApiAuthenticationError), VideoApiAuthenticationError, False),
            (
                409,
                VendorError("in progress", cause=VideoApiUnavailableError, outcome_unknown=True),
                VideoApiUnavailableError,
                True,
            ),
            (500, VendorError("bad input", cause=VideoApiInvalidRequestError), VideoApiInvalidRequestError, False),
            (409, VendorError("taken"), VideoApiInvalidRequestError, False),
            (500, VendorError("down"), VideoApiUnavailableError, True),
            (408, VendorError("late"), VideoApiUnavailableError, True),
        ],
    )
    def test_the_error_parser_decides(
        self, local_api: LocalApi, status: int, said: VendorError, cause: type[VideoApiError], unknown: bool
    ) -> None:
        local_api.on("POST", "/v1/jobs", Answer(status=status, json={"code": "x"}))
        client = make_client(local_api.url)
        client.error_parser = lambda body: said
        error = post(client, repeatable=False)
        assert type(error) is cause
        assert (error.status, error.outcome_unknown) == (status, unknown)
        assert said.message in str(error)

    def test_a_hint_takes_the_place_of_the_general_one(self, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/jobs", Answer(status=403, json={}))
        client = make_client(local_api.url)
        client.error_parser = lambda body: VendorError("no", hint="Add the scope 'files'.")
        error = post(client)
        assert str(error).endswith("no. Add the scope 'files'.")
        assert copy.copy(error).args == error.args

    @pytest.mark.parametrize(
        ("headers", "wait"),
        [
            ({"RateLimit-Reset": "30"}, 30),
            ({"X-RateLimit-Reset": "30"}, 30),
            ({"RateLimit-Reset": "soon", "X-RateLimit-Reset": "7"}, 7),
            ({"RateLimit-Reset": "30", "Retry-After": "5"}, 5),
            ({"RateLimit-Reset": "1000000000"}, 0),
            ({"RateLimit-Reset": "nan"}, None),
            ({"RateLimit-Reset": "1e400"}, None),
            ({}, None),
        ],
    )
    def test_the_end_of_a_rate_limit_is_a_wait(
        self, local_api: LocalApi, headers: dict[str, str], wait: float | None
    ) -> None:
        local_api.on("POST", "/v1/jobs", Answer(status=429, headers=headers))
        assert post(make_client(local_api.url), once=True).retry_after == wait

    @pytest.mark.parametrize(
        ("headers", "wait"), [({}, 60.0), ({"Retry-After": "5"}, 5), ({"RateLimit-Reset": "7"}, 7)]
    )
    def test_a_fixed_window_is_the_wait_where_the_vendor_names_none(
        self, local_api: LocalApi, headers: dict[str, str], wait: float
    ) -> None:
        client = make_client(local_api.url)
        client.rate_window = 60.0
        local_api.on("POST", "/v1/jobs", Answer(status=429, headers=headers), Answer(status=503))
        assert post(client, once=True).retry_after == wait
        assert post(client, once=True).retry_after is None

    def test_the_end_of_a_rate_limit_as_a_time(self, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/jobs", Answer(status=429, headers={"X-RateLimit-Reset": str(time.time() + 100)}))
        wait = post(make_client(local_api.url), once=True).retry_after
        assert wait is not None
        assert 50 < wait <= 100

    def test_a_window_says_nothing_about_a_success_or_another_failure(self, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/jobs", Answer(status=500, headers={"RateLimit-Reset": "30"}))
        assert post(make_client(local_api.url)).retry_after is None


@pytest.mark.parametrize(
    "text",
    ["https://x.example/?client_id=1&signature=feed", "see ?sig=feed", '{"u": "/f/?a=1\\u0026sig=feed"}', "a?b=feed"],
)
def test_a_query_is_cut_whatever_stands_before_it(text: str) -> None:
    assert "feed" not in redact(text, [])


def test_a_secret_is_found_percent_encoded_too() -> None:
    assert redact("client_secret=a%2Fb%3D%3D&x", ["a/b=="]) == "client_secret=***&x"


class TestLogOfTheLibrary:
    def test_no_signed_link_at_debug(self, local_api: LocalApi, caplog: pytest.LogCaptureFixture) -> None:
        local_api.on("GET", "/v1/file", Answer(json={}))
        local_api.on("GET", "/v1/", Answer(json={}))
        with caplog.at_level(logging.DEBUG):
            client = make_client(local_api.url)
            client.call("GET", f"{local_api.url}/v1/file?sig=feed", endpoint="GET file")
            source = HttpSource(ClientSettings())
            source.get(f"{local_api.url}/v1/?sig=feed").close()
            source.close()
        assert "GET /v1/file?***" in caplog.text
        assert "GET /*** HTTP" in caplog.text  # of a link, the path too
        assert "feed" not in caplog.text

    def test_the_log_of_others_is_left_alone(self) -> None:
        make_client("http://api.invalid")
        HttpSource(ClientSettings())
        for name in ("urllib3", "urllib3.connectionpool", "urllib3.util.retry"):
            assert logging.getLogger(name).filters == []

    def test_thirty_threads_need_no_more_connections_than_there_are(
        self, local_api: LocalApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        local_api.on("GET", "/v1/jobs", Answer(json={}, delay=0.3))
        client = make_client(local_api.url, retry_deadline=20)
        with caplog.at_level(logging.WARNING):
            threads = [
                threading.Thread(target=client.get_json, args=("/jobs",), kwargs={"endpoint": "GET /jobs"})
                for _ in range(30)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert local_api.count() == 30
        assert "pool is full" not in caplog.text


class TestRetryAfter:
    @pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999", "Infinity"])
    def test_what_is_no_number_of_seconds_is_nothing(self, value: str) -> None:
        assert parse_retry_after(value) is None

    def test_a_wait_of_ages_is_a_month(self) -> None:
        assert parse_retry_after("1e30") == 30 * 86400

    @pytest.mark.parametrize("seconds", [1e30, float("inf"), float("nan")])
    def test_the_policy_heeds_its_own_limit(self, seconds: float) -> None:
        error = VideoApiQuotaError("full", vendor="acme", endpoint="POST /jobs", retry_after=seconds)
        decision = VideoRetryPolicy(longest_delay=timedelta(hours=1)).evaluate(error, 1, 3)
        assert decision.retry_delay == timedelta(hours=1)


def test_headers_of_the_connection_stay_at_home(local_api: LocalApi, other_api: LocalApi) -> None:
    client = VideoApiClient(vendor="acme", base_url=f"{local_api.url}/v1", headers={"workspace-id": "w"})
    local_api.on("GET", "/v1/jobs", Answer(json={}))
    other_api.on("GET", "/file", Answer(json={}))
    client.get_json("/jobs", endpoint="GET /jobs")
    client.get_json(f"{other_api.url}/file", endpoint="GET file")
    assert local_api.received[0].headers["workspace-id"] == "w"
    assert "workspace-id" not in other_api.received[0].headers


@pytest.mark.parametrize("base_url", ["https://api.example:bad/v1", "https://[::1/v1", "https://api.example:99999/v1"])
def test_a_bad_port_or_address_is_a_bad_connection(base_url: str) -> None:
    with pytest.raises(VideoConfigurationError, match="full base URL"):
        VideoApiClient(vendor="acme", base_url=base_url)


@pytest.mark.parametrize("base_url", ["https://me:hush@api.example/v1", "ftp://me:hush@api.example", "me:hu/sh@x"])
def test_credentials_in_the_host_are_refused_and_not_shown(base_url: str) -> None:
    with pytest.raises(VideoConfigurationError) as caught:
        VideoApiClient(vendor="acme", base_url=base_url)
    assert "hu" not in str(caught.value).replace("must hold", "")


def test_settings_do_not_show_the_password_of_the_proxy() -> None:
    assert "hush" not in repr(ClientSettings(proxy="http://me:hush@proxy.example"))


def errors() -> list[VideoProviderError]:
    job = VideoJob(vendor="acme", job_id="1", state=JobState.FAILED, vendor_status="failed")
    made: list[VideoProviderError] = []
    for kind in vars(exceptions).values():
        if not (inspect.isclass(kind) and issubclass(kind, VideoProviderError)):
            continue
        fields: dict[str, Any] = {}
        if issubclass(kind, VideoApiError):
            fields = {"vendor": "acme", "endpoint": "GET /jobs", "status": 418, "code": "c", "retry_after": 2.0}
        if issubclass(kind, VideoApiInvalidRequestError):
            fields["fields"] = {"a": "b"}
        if issubclass(kind, VideoJobError):
            fields = {"job": job}
        if issubclass(kind, VideoCallbackRefusedError):
            fields = {"status": 401}
        made.append(kind("because", **fields))
    return made


@pytest.mark.parametrize("error", errors(), ids=lambda error: type(error).__name__)
def test_every_error_can_be_pickled_and_copied(error: VideoProviderError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))
