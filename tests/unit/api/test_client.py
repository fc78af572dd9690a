# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import socket
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import BaseModel

from airflow_video_providers.api import retries
from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.errors import parse_error
from airflow_video_providers.api.retry_after import parse_retry_after
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiRedirectError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks.common import HeaderAuth
from tests.support.local_api import Answer, LocalApi

SECRET = "s3cr3t-key-of-the-account"


def make_client(url: str, **settings: Any) -> VideoApiClient:
    settings = {"connect_timeout": 5.0, "read_timeout": 5.0, "retry_deadline": 20.0, **settings}
    return VideoApiClient(
        vendor="acme",
        base_url=f"{url}/v1",
        auth=HeaderAuth("Authorization", SECRET),
        settings=ClientSettings(**settings),
        secrets=[SECRET],
    )


@pytest.fixture
def client(local_api: LocalApi) -> VideoApiClient:
    return make_client(local_api.url)


class TestCalls:
    def test_answer_is_decoded_and_the_path_lies_below_the_base_url(
        self, client: VideoApiClient, local_api: LocalApi
    ) -> None:
        local_api.on("GET", "/v1/jobs", Answer(json={"n": 1}))
        assert client.get_json("/jobs", endpoint="GET /jobs", params={"limit": 3}) == {"n": 1}
        (request,) = local_api.received
        assert request.query == {"limit": ["3"]}
        assert request.headers["authorization"] == SECRET
        assert request.headers["user-agent"].startswith("airflow-video-providers/")

    def test_no_content_is_none(self, client: VideoApiClient, local_api: LocalApi) -> None:
        local_api.on("DELETE", "/v1/jobs/1", Answer(status=204))
        assert client.call_json("DELETE", "/jobs/1", endpoint="DELETE /jobs/{id}") is None

    @pytest.mark.parametrize("base_url", ["api.example.com", "ftp://api.example.com", "https://", ""])
    def test_base_url_must_be_a_full_one(self, base_url: str) -> None:
        with pytest.raises(VideoConfigurationError, match="full base URL"):
            VideoApiClient(vendor="acme", base_url=base_url)


class TestRepeating:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
    def test_get_is_repeated(self, client: VideoApiClient, local_api: LocalApi, naps: list[float], status: int) -> None:
        local_api.on("GET", "/v1/jobs", Answer(status=status), Answer(status=status), Answer(json=[]))
        assert client.get_json("/jobs", endpoint="GET /jobs") == []
        assert local_api.count() == 3
        assert len(naps) == 2

    def test_get_is_repeated_after_a_reset_connection(
        self, client: VideoApiClient, local_api: LocalApi, naps: list[float]
    ) -> None:
        local_api.on("GET", "/v1/jobs", Answer(reset=True), Answer(json=[]))
        assert client.get_json("/jobs", endpoint="GET /jobs") == []
        assert local_api.count() == 2

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
    def test_a_clear_refusal_is_not_repeated(self, client: VideoApiClient, local_api: LocalApi, status: int) -> None:
        local_api.on("GET", "/v1/jobs", Answer(status=status))
        with pytest.raises(VideoApiError):
            client.get_json("/jobs", endpoint="GET /jobs")
        assert local_api.count() == 1

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(status=500),
            Answer(status=502),
            Answer(status=503),
            Answer(status=504),
            Answer(reset=True),
            Answer(json={}, delay=1.0),
        ],
        ids=["500", "502", "503 without Retry-After", "504", "reset", "no answer in time"],
    )
    def test_a_create_with_unknown_outcome_is_sent_once(
        self, local_api: LocalApi, naps: list[float], answer: Answer
    ) -> None:
        local_api.on("POST", "/v1/jobs", answer)
        client = make_client(local_api.url, read_timeout=0.3)
        with pytest.raises(VideoApiUnavailableError) as caught:
            client.call_json("POST", "/jobs", endpoint="POST /jobs", json={})
        assert caught.value.outcome_unknown
        assert local_api.count() == 1
        assert naps == []

    @pytest.mark.parametrize(
        "answer", [Answer(status=429), Answer(status=503, headers={"Retry-After": "0"})], ids=["429", "503 Retry-After"]
    )
    def test_a_refused_create_is_sent_again(
        self, client: VideoApiClient, local_api: LocalApi, naps: list[float], answer: Answer
    ) -> None:
        local_api.on("POST", "/v1/jobs", answer, Answer(status=201, json={"id": "1"}))
        assert client.call_json("POST", "/jobs", endpoint="POST /jobs", json={"a": 1}) == {"id": "1"}
        assert [request.json() for request in local_api.received] == [{"a": 1}, {"a": 1}]

    def test_a_create_that_never_arrived_is_sent_again(self, dead_url: str, naps: list[float]) -> None:
        with pytest.raises(VideoApiUnavailableError, match="could not connect") as caught:
            make_client(dead_url).call_json("POST", "/jobs", endpoint="POST /jobs", json={})
        assert not caught.value.outcome_unknown
        assert naps, "a refused connection is worth another try"

    def test_a_name_that_is_not_resolved_was_never_sent(self, naps: list[float]) -> None:
        client = make_client("http://no-such-host.invalid", retry_deadline=0.01)
        with pytest.raises(VideoApiUnavailableError, match="could not connect") as caught:
            client.call_json("POST", "/jobs", endpoint="POST /jobs", json={})
        assert not caught.value.outcome_unknown

    def test_a_delete_is_not_repeated_when_its_outcome_is_unknown(
        self, client: VideoApiClient, local_api: LocalApi
    ) -> None:
        local_api.on("DELETE", "/v1/jobs/1", Answer(status=500))
        with pytest.raises(VideoApiUnavailableError) as caught:
            client.call("DELETE", "/jobs/1", endpoint="DELETE /jobs/{id}")
        assert caught.value.outcome_unknown
        assert local_api.count() == 1

    def test_a_caller_may_say_that_a_call_is_repeatable(
        self, client: VideoApiClient, local_api: LocalApi, naps: list[float]
    ) -> None:
        local_api.on("PUT", "/v1/part", Answer(status=500), Answer(json={}))
        client.call("PUT", "/part", endpoint="PUT /part", repeatable=True, data=b"x")
        assert local_api.count() == 2

    @pytest.mark.parametrize("answer", [Answer(status=429), Answer(status=503, headers={"Retry-After": "0"})])
    def test_once_means_once(self, client: VideoApiClient, local_api: LocalApi, answer: Answer) -> None:
        local_api.on("POST", "/v1/upload", answer)
        with pytest.raises(VideoApiError):
            client.call("POST", "/upload", endpoint="POST /upload", once=True)
        assert local_api.count() == 1


class TestRetryAfter:
    def test_seconds_are_waited(self, client: VideoApiClient, local_api: LocalApi, naps: list[float]) -> None:
        local_api.on("GET", "/v1/jobs", Answer(status=503, headers={"Retry-After": "7"}), Answer(json=[]))
        client.get_json("/jobs", endpoint="GET /jobs")
        assert 7 <= naps[0] <= 8

    def test_a_date_is_waited_for(self, client: VideoApiClient, local_api: LocalApi, naps: list[float]) -> None:
        when = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=9), usegmt=True)
        local_api.on("GET", "/v1/jobs", Answer(status=429, headers={"Retry-After": when}), Answer(json=[]))
        client.get_json("/jobs", endpoint="GET /jobs")
        assert 6 <= naps[0] <= 10

    def test_a_wait_beyond_the_deadline_is_left_to_the_caller(
        self, client: VideoApiClient, local_api: LocalApi, naps: list[float]
    ) -> None:
        local_api.on("GET", "/v1/jobs", Answer(status=429, headers={"Retry-After": "3600"}))
        with pytest.raises(VideoApiQuotaError) as caught:
            client.get_json("/jobs", endpoint="GET /jobs")
        assert caught.value.retry_after == 3600
        assert local_api.count() == 1
        assert naps == []

    @pytest.mark.parametrize("value", ["0", "-7", "Mon, 01 Jan 2001 00:00:00 GMT"])
    def test_a_retry_after_that_is_over_does_not_switch_the_backoff_off(
        self, local_api: LocalApi, naps: list[float], monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setattr(retries, "_backoff", lambda state: 2.0**state.attempt_number)
        tries = [Answer(status=429, headers={"Retry-After": value})] * 4
        local_api.on("GET", "/v1/jobs", *tries, Answer(json=[]))
        make_client(local_api.url, retry_deadline=100.0).get_json("/jobs", endpoint="GET /jobs")
        assert naps == [2, 4, 8, 16]

    def test_tries_end_at_the_deadline(self, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/jobs", Answer(status=500))
        with pytest.raises(VideoApiUnavailableError):
            make_client(local_api.url, retry_deadline=0.2).get_json("/jobs", endpoint="GET /jobs")
        assert local_api.count() >= 1

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            "soon",
            "Mon, 99 Foo 2026",
            "Mon, 01 Jan 999999999999 00:00:00 GMT",
            "Mon, 01 Jan 2027 00:00:00 +99999999999999",
            "Mon, 01 Jan 2027 99999999999:00:00 GMT",
        ],
    )
    def test_absent_or_unreadable(self, value: str | None) -> None:
        assert parse_retry_after(value) is None

    def test_one_that_is_sent_twice(self) -> None:
        assert parse_retry_after("30, 30") == 30
        assert parse_retry_after("5, 40") == 40

    def test_the_past_is_now(self) -> None:
        assert parse_retry_after("-5") == 0
        assert parse_retry_after("Mon, 01 Jan 2001 00:00:00 GMT") == 0


class TestCauses:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (400, VideoApiInvalidRequestError),
            (401, VideoApiAuthenticationError),
            (402, VideoApiPermissionError),
            (403, VideoApiPermissionError),
            (404, VideoApiNotFoundError),
            (409, VideoApiInvalidRequestError),
            (410, VideoApiNotFoundError),
            (422, VideoApiInvalidRequestError),
            (429, VideoApiQuotaError),
            (500, VideoApiUnavailableError),
            (503, VideoApiUnavailableError),
        ],
    )
    def test_each_cause_has_its_class(self, local_api: LocalApi, status: int, expected: type[VideoApiError]) -> None:
        local_api.on("GET", "/v1/jobs/1", Answer(status=status, json={"message": "because"}))
        with pytest.raises(VideoApiError) as caught:
            make_client(local_api.url).call("GET", "/jobs/1", endpoint="GET /jobs/{id}", once=True)
        error = caught.value
        assert type(error) is expected
        assert (error.vendor, error.endpoint, error.status, error.message) == (
            "acme",
            "GET /jobs/{id}",
            status,
            "because",
        )
        assert str(error).startswith(f"acme: GET /jobs/{{id}} responded {status}: because")
        assert not error.outcome_unknown, "a GET has no outcome"

    def test_messages_by_field(self, client: VideoApiClient, local_api: LocalApi) -> None:
        detail = [{"loc": ["body", "scenes", 0, "name"], "msg": "field required", "type": "value_error.missing"}]
        local_api.on("POST", "/v1/jobs", Answer(status=422, json={"detail": detail}))
        with pytest.raises(VideoApiInvalidRequestError, match=r"scenes\.0\.name: field required") as caught:
            client.call_json("POST", "/jobs", endpoint="POST /jobs", json={})
        assert caught.value.fields == {"scenes.0.name": "field required"}
        assert not caught.value.outcome_unknown

    @pytest.mark.parametrize(
        ("body", "message", "code"),
        [
            ({"message": "m", "code": 7}, "m", "7"),
            ({"error": "m"}, "m", None),
            ({"error": {"error_message": "m", "error_code": 105}}, "m", "105"),
            ({"error": {"message": "m", "code": "c"}}, "m", "c"),
            ({"detail": "m"}, "m", None),
            ({"error_description": "m"}, "m", None),
            ({"odd": 1}, '{"odd": 1}', None),
            ("m", "m", None),
        ],
    )
    def test_forms_of_an_error(self, body: Any, message: str, code: str | None) -> None:
        error = parse_error(body)
        assert (error.message, error.code) == (message, code)

    def test_an_error_page_is_read_as_text(self, client: VideoApiClient, local_api: LocalApi) -> None:
        page = b"<html><body><h1>Not here</h1>\n<p>Go away</p></body></html>"
        local_api.on("GET", "/v1/jobs", Answer(status=404, body=page, headers={"Content-Type": "text/html"}))
        with pytest.raises(VideoApiNotFoundError, match="Not here Go away"):
            client.get_json("/jobs", endpoint="GET /jobs")

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_page_in_place_of_json(self, client: VideoApiClient, local_api: LocalApi, method: str) -> None:
        local_api.on(method, "/v1/jobs", Answer(body=b"<html>", headers={"Content-Type": "text/html"}))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"not JSON \(text/html, 6 bytes\)") as caught:
            client.call_json(method, "/jobs", endpoint=f"{method} /jobs")
        assert caught.value.outcome_unknown is (method == "POST")
        assert local_api.count() == 1

    def test_a_missing_field_is_named(self, client: VideoApiClient) -> None:
        class Job(BaseModel):
            id: str

        with pytest.raises(VideoApiUnreadableAnswerError, match="id: Field required") as caught:
            client.parse(Job, {"link": "https://x/?token=abc"}, endpoint="POST /jobs", outcome_unknown=True)
        assert caught.value.outcome_unknown
        assert "abc" not in str(caught.value)


class TestOrigin:
    def test_the_key_goes_to_its_own_origin_only(
        self, client: VideoApiClient, local_api: LocalApi, other_api: LocalApi
    ) -> None:
        other_api.on("GET", "/file", Answer(json={}))
        local_api.on("GET", "/v2/job", Answer(json={}))
        client.get_json(f"{other_api.url}/file", endpoint="GET file")
        client.get_json(f"{local_api.url}/v2/job", endpoint="GET /v2/job")
        assert "authorization" not in other_api.received[0].headers
        assert local_api.received[0].headers["authorization"] == SECRET

    def test_no_redirect_is_followed(self, client: VideoApiClient, local_api: LocalApi, other_api: LocalApi) -> None:
        other_api.on("GET", "/stolen", Answer(json={}))
        local_api.on("GET", "/v1/jobs", Answer(status=302, headers={"Location": f"{other_api.url}/stolen"}))
        with pytest.raises(VideoApiRedirectError, match="redirect"):
            client.get_json("/jobs", endpoint="GET /jobs")
        assert other_api.received == []

    def test_an_expected_redirect_is_handed_out(
        self, client: VideoApiClient, local_api: LocalApi, other_api: LocalApi
    ) -> None:
        local_api.on("GET", "/v1/file", Answer(status=302, headers={"Location": f"{other_api.url}/file"}))
        response = client.call("GET", "/file", endpoint="GET /file", redirect_expected=True)
        assert response.headers["Location"] == f"{other_api.url}/file"
        assert other_api.received == []

    def test_a_netrc_is_not_read(
        self, local_api: LocalApi, other_api: LocalApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password something\n")
        monkeypatch.setenv("NETRC", str(netrc))
        other_api.on("GET", "/file", Answer(json={}))
        make_client(local_api.url).get_json(f"{other_api.url}/file", endpoint="GET file")
        assert "authorization" not in other_api.received[0].headers

    def test_cookies_stay_at_home(self, client: VideoApiClient, local_api: LocalApi) -> None:
        # Cookies ignore ports, so the test server's own name stands for another host.
        local_api.on("GET", "/v1/a", Answer(json={}, headers={"Set-Cookie": "sid=1; Path=/"}))
        local_api.on("GET", "/file", Answer(json={}))
        client.get_json("/a", endpoint="GET /a")
        client.get_json(f"{local_api.url.replace('127.0.0.1', 'localhost')}/file", endpoint="GET file")
        assert "cookie" not in local_api.received[1].headers
        assert "authorization" not in local_api.received[1].headers

    def test_a_proxy_of_the_connection_is_used(self, other_api: LocalApi) -> None:
        # A plain proxy is sent the whole URL as the path of the request.
        client = make_client("http://api.invalid", proxy=other_api.url, retry_deadline=0.01)
        with pytest.raises(VideoApiNotFoundError):
            client.get_json("/jobs", endpoint="GET /jobs")
        assert other_api.received[0].path == "/v1/jobs"
        assert other_api.received[0].headers["host"] == "api.invalid"

    def test_a_proxy_of_the_environment_is_used(self, other_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", other_api.url)
        with pytest.raises(VideoApiNotFoundError):
            make_client("http://api.invalid").get_json("/jobs", endpoint="GET /jobs")
        assert other_api.received[0].headers["host"] == "api.invalid"


class TestSecrets:
    def test_an_answer_that_repeats_the_key_or_a_signed_link(self, client: VideoApiClient, local_api: LocalApi) -> None:
        text = f"key {SECRET} may not read https://files.example/v.mp4?X-Amz-Signature=feed&x=1 now"
        fields = [{"loc": ["body", "key"], "msg": text}]
        local_api.on("POST", "/v1/a", Answer(status=403, json={"message": text}))
        local_api.on("POST", "/v1/b", Answer(status=422, json={"detail": fields}))
        for path in ("/a", "/b"):
            with pytest.raises(VideoApiError) as caught:
                client.call("POST", path, endpoint="POST")
            for shown in (str(caught.value), repr(caught.value), caught.value.message):
                assert SECRET not in shown
                assert "feed" not in shown
            assert "https://files.example/v.mp4?*** now" in str(caught.value)

    @pytest.mark.parametrize("answer", [Answer(reset=True), Answer(delay=1.0), Answer(status=500)])
    def test_the_query_of_a_link_is_in_no_error_and_no_log(
        self, local_api: LocalApi, naps: list[float], caplog: pytest.LogCaptureFixture, answer: Answer
    ) -> None:
        local_api.on("GET", "/v1/file", answer)
        client = make_client(local_api.url, read_timeout=0.2, retry_deadline=1.0)
        with caplog.at_level(logging.INFO), pytest.raises(VideoApiUnavailableError) as caught:
            client.call("GET", f"{local_api.url}/v1/file?sig=feedbeef", endpoint="GET file")
        assert "feedbeef" not in str(caught.value) + caplog.text

    def test_neither_when_nobody_listens(
        self, dead_url: str, naps: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        client = make_client(dead_url, retry_deadline=2.0)
        with caplog.at_level(logging.INFO), pytest.raises(VideoApiUnavailableError) as caught:
            client.call("GET", f"{dead_url}/file?sig=feedbeef", endpoint="GET file")
        assert "feedbeef" not in str(caught.value) + caplog.text
        assert caught.value.__cause__ is None, "the library's own error, which holds the link, is not shown"

    def test_a_long_page_is_cut(self, client: VideoApiClient, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/a", Answer(status=400, json={"message": "x" * 100_000}))
        with pytest.raises(VideoApiInvalidRequestError) as caught:
            client.get_json("/a", endpoint="GET /a")
        assert len(str(caught.value)) < 1000


def test_connections_are_pooled(client: VideoApiClient, local_api: LocalApi) -> None:
    local_api.on("GET", "/v1/a", Answer(json={}))
    for _ in range(5):
        client.get_json("/a", endpoint="GET /a")
    assert (local_api.count(), local_api.connections) == (5, 1)


def test_the_proxies_of_the_environment_are_read_once_for_each_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "near.example")
    reads: list[str] = []
    read = requests.utils.get_environ_proxies
    monkeypatch.setattr(requests.utils, "get_environ_proxies", lambda url: reads.append(url) or read(url))
    settings = ClientSettings()
    for _ in range(3):
        assert (
            settings.for_request("https://far.example/v1/jobs?a=1")["proxies"]["https"] == "http://proxy.example:3128"
        )
        assert settings.for_request("https://near.example/v1/jobs")["proxies"] == {}
    assert reads == ["https://far.example", "https://near.example"]
    monkeypatch.setenv("HTTPS_PROXY", "http://other.example:3128")
    assert settings.for_request("https://far.example/v1")["proxies"]["https"] == "http://other.example:3128"


def test_a_dead_proxy_has_sent_nothing_on(dead_url: str, naps: list[float]) -> None:
    client = make_client("http://api.invalid", proxy=dead_url, retry_deadline=0.01)
    with pytest.raises(VideoApiUnavailableError, match="could not connect") as caught:
        client.call_json("POST", "/jobs", endpoint="POST /jobs", json={})
    assert not caught.value.outcome_unknown


def test_a_server_that_accepts_and_says_nothing_is_given_up(naps: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = make_client(f"http://127.0.0.1:{silent.getsockname()[1]}", read_timeout=0.2, retry_deadline=0.01)
        with pytest.raises(VideoApiUnavailableError, match="no response") as caught:
            client.call_json("POST", "/jobs", endpoint="POST /jobs", json={})
    assert caught.value.outcome_unknown
    assert not isinstance(caught.value, requests.RequestException)


@pytest.mark.parametrize(("method", "unknown"), [("POST", True), ("GET", False)])
def test_an_answer_with_two_lengths_was_an_answer(naps: list[float], method: str, unknown: bool) -> None:
    """The library names it like a fault of the request's own headers, but it comes after the request was sent."""
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 40, 41\r\n\r\n" + b" " * 40)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        client = make_client(f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(VideoApiUnreadableAnswerError, match="cannot be read") as caught:
            client.call_json(method, "/jobs", endpoint=f"{method} /jobs")
        thread.join(5)
    assert caught.value.outcome_unknown is unknown
    assert len(received) == 1
