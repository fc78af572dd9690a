# SPDX-License-Identifier: Apache-2.0
"""Xvid's token: when it is asked for, how often, and that it goes nowhere but to the API."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock
from typing import Any

import pytest

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiPermissionError,
    VideoApiUnavailableError,
)
from airflow_video_providers.hooks.xvid import auth as xvid_auth
from airflow_video_providers.hooks.xvid.auth import XvidTokenAuth
from airflow_video_providers.hooks.xvid.client import XvidClient
from tests.support.scripted_api import Answer, Asked, ScriptedApi

TOKEN_PATH = "/v1/oauth2/token/"
REFUSED = {"error": {"error_code": "0x0000003", "error_message": "Invalid access token"}}


class Tokens:
    """Gives out tokens t1, t2 ... and accepts the newest only, or a given number of refusals more."""

    def __init__(self, api: ScriptedApi, *, expires_in: Any = 3600, refuse: Any = REFUSED, status: int = 403) -> None:
        self.api, self.expires_in, self.refuse, self.status = api, expires_in, refuse, status
        self.given = 0
        self.accepted: set[str] = set()
        api.on("POST", TOKEN_PATH, self.give)
        api.on("GET", "/v1/jobs/", self.serve)
        api.on("POST", "/v1/jobs/", self.serve)

    def give(self, asked: Asked) -> Answer:
        self.given += 1
        self.accepted = {f"t{self.given}"}
        body = {"access_token": f"t{self.given}"}
        return Answer(body if self.expires_in is None else {**body, "expires_in": self.expires_in})

    def serve(self, asked: Asked) -> Answer:
        if asked.headers["Authorization"].removeprefix("Bearer ") not in self.accepted:
            return Answer(self.refuse, status=self.status)
        return Answer({"jobs": [], "echo": asked.body.decode()})


def make_client(api: ScriptedApi, *, scope: str | None = None, deadline: float = 5) -> VideoApiClient:
    settings = ClientSettings(retry_deadline=deadline)
    plain = VideoApiClient(vendor="xvid", base_url=f"{api.url}/v1", settings=settings, secrets=["hush"])
    auth = XvidTokenAuth(plain, client_id="me", client_secret="hush", scope=scope)
    return XvidClient(
        plain=plain, scope=scope or "", vendor="xvid", base_url=f"{api.url}/v1", auth=auth, settings=settings
    )


def ask(client: VideoApiClient) -> Any:
    return client.get_json("/jobs/", endpoint="GET /jobs/")


def test_token_request_has_the_vendors_own_spelling(scripted_api: ScriptedApi) -> None:
    Tokens(scripted_api)
    ask(make_client(scripted_api, scope="mediahub,mediahub_download_files"))
    asked = scripted_api.calls("POST", TOKEN_PATH)[0]
    assert asked.form == {
        "grant_type": "client_credential",
        "client_id": "me",
        "client_secret": "hush",
        "scope": "mediahub,mediahub_download_files",
    }
    assert "Authorization" not in asked.headers


def test_without_scope_the_field_is_left_out(scripted_api: ScriptedApi) -> None:
    Tokens(scripted_api)
    ask(make_client(scripted_api))
    assert "scope" not in scripted_api.calls("POST", TOKEN_PATH)[0].form


@pytest.mark.parametrize("expires_in", [7200, "7200", None, "soon", 0])
def test_one_token_serves_many_calls_whatever_the_form_of_its_lifetime(
    scripted_api: ScriptedApi, expires_in: Any
) -> None:
    tokens = Tokens(scripted_api, expires_in=expires_in)
    client = make_client(scripted_api)
    for _ in range(5):
        ask(client)
    assert tokens.given == 1


@pytest.mark.parametrize(("expires_in", "fresh_after"), [("3600", 3570.0), (20, 10.0)])
def test_renewed_before_it_expires(
    scripted_api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, expires_in: Any, fresh_after: float
) -> None:
    now = [1000.0]
    monkeypatch.setattr(xvid_auth, "time", type("Clock", (), {"monotonic": staticmethod(lambda: now[0])}))
    tokens = Tokens(scripted_api, expires_in=expires_in)
    client = make_client(scripted_api)
    ask(client)
    now[0] += fresh_after - 0.1
    ask(client)
    assert tokens.given == 1
    now[0] += 0.2
    ask(client)
    assert tokens.given == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_renewed_once_and_the_call_repeated(scripted_api: ScriptedApi, status: int) -> None:
    tokens = Tokens(scripted_api, status=status)
    client = make_client(scripted_api)
    ask(client)
    tokens.accepted.clear()  # the vendor forgets the token
    answer = client.call_json("POST", "/jobs/", endpoint="POST /jobs/", json={"job": {"a": 1}})
    assert answer["echo"] == '{"job": {"a": 1}}'
    assert tokens.given == 2
    assert len(scripted_api.calls("POST", "/v1/jobs/")) == 2


@pytest.mark.parametrize(
    ("status", "refuse", "error"),
    [
        (403, REFUSED, VideoApiAuthenticationError),
        (
            403,
            {"error": {"error_code": "0000003", "error_message": "Invalid access token"}},
            VideoApiAuthenticationError,
        ),
        (401, {"error": {"error_message": "no"}}, VideoApiAuthenticationError),
        (403, {"error": {"error_code": "0x0000009", "error_message": "Not yours"}}, VideoApiPermissionError),
    ],
)
def test_a_second_refusal_is_final_and_its_cause_is_told(
    scripted_api: ScriptedApi, status: int, refuse: Any, error: type[VideoApiError]
) -> None:
    tokens = Tokens(scripted_api)
    scripted_api.on("GET", "/v1/jobs/", Answer(refuse, status=status))
    with pytest.raises(error) as caught:
        ask(make_client(scripted_api))
    assert type(caught.value) is error
    assert caught.value.status == status
    assert tokens.given == 2
    assert len(scripted_api.calls("GET", "/v1/jobs/")) == 2


def test_many_threads_renew_once(scripted_api: ScriptedApi) -> None:
    tokens = Tokens(scripted_api)
    client = make_client(scripted_api)
    threads = 12
    ask(client)
    for expected in (2, 3):
        tokens.accepted.clear()
        barrier = Barrier(threads)

        def work(_: int, barrier: Barrier = barrier) -> Any:
            barrier.wait()
            return ask(client)

        with ThreadPoolExecutor(threads) as pool:
            assert len(list(pool.map(work, range(threads)))) == threads
        assert tokens.given == expected


class CountedLock:
    """A lock that tells when a number of threads have come to it."""

    def __init__(self, expected: int) -> None:
        self.lock, self.arrived, self.expected, self.all_here = Lock(), 0, expected, Event()

    def __enter__(self) -> None:
        self.arrived += 1
        if self.arrived == self.expected:
            self.all_here.set()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_threads_that_waited_share_the_failure(scripted_api: ScriptedApi) -> None:
    threads = 6
    client = make_client(scripted_api)
    auth = client.auth
    assert isinstance(auth, XvidTokenAuth)
    lock = CountedLock(threads)
    auth._lock = lock  # type: ignore[assignment]

    def refuse(_: Asked) -> Answer:
        lock.all_here.wait(20)
        return Answer({"error": {"error_message": "bad secret"}}, status=400)

    scripted_api.on("POST", TOKEN_PATH, refuse)

    def work(_: int) -> str:
        with pytest.raises(VideoApiAuthenticationError) as caught:
            auth.token()
        return caught.value.message

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(work, range(threads))) == ["bad secret"] * threads
    assert len(scripted_api.calls("POST", TOKEN_PATH)) == 1
    with pytest.raises(VideoApiAuthenticationError):  # a later call tries for itself
        auth.token()
    assert len(scripted_api.calls("POST", TOKEN_PATH)) == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_wrong_secret_is_an_authentication_error_and_is_not_tried_again(
    scripted_api: ScriptedApi, status: int
) -> None:
    body = {"error": {"error_code": "0x0000005", "error_message": "Client hush is unknown"}}
    scripted_api.on("POST", TOKEN_PATH, Answer(body, status=status))
    with pytest.raises(VideoApiAuthenticationError) as caught:
        ask(make_client(scripted_api))
    assert "hush" not in str(caught.value)
    assert "client id and secret" in str(caught.value)
    assert caught.value.endpoint == "POST /oauth2/token/"
    assert len(scripted_api.calls("POST", TOKEN_PATH)) == 1
    assert not scripted_api.calls("GET", "/v1/jobs/")


def test_a_token_server_that_is_down_leaves_no_doubt_about_the_job(scripted_api: ScriptedApi) -> None:
    scripted_api.on("POST", TOKEN_PATH, Answer({"error": {"error_message": "down"}}, status=500))
    client = make_client(scripted_api, deadline=0.01)
    with pytest.raises(VideoApiUnavailableError) as caught:
        client.call_json("POST", "/jobs/", endpoint="POST /jobs/", json={})
    assert caught.value.outcome_unknown is False
    assert not scripted_api.calls("POST", "/v1/jobs/")


def test_a_token_server_that_recovers_is_asked_again(scripted_api: ScriptedApi) -> None:
    tokens = Tokens(scripted_api)
    scripted_api.on("POST", TOKEN_PATH, Answer(status=503, headers={"Retry-After": "0"}), tokens.give)
    ask(make_client(scripted_api, deadline=20))
    assert len(scripted_api.calls("POST", TOKEN_PATH)) == 2


def test_an_answer_without_a_token_names_the_field(scripted_api: ScriptedApi) -> None:
    scripted_api.on("POST", TOKEN_PATH, Answer({"expires_in": 3}))
    with pytest.raises(VideoApiError, match="access_token: Field required"):
        ask(make_client(scripted_api))


def test_no_secret_and_no_token_is_logged_or_shown(scripted_api: ScriptedApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scripted_api.on("POST", TOKEN_PATH, Answer({"access_token": "tok-visible", "expires_in": 9}))
    scripted_api.on("GET", "/v1/jobs/", Answer({"error": {"error_message": "you sent tok-visible"}}, status=500))
    client = make_client(scripted_api, deadline=2)
    with pytest.raises(VideoApiUnavailableError) as caught:
        ask(client)
    assert "you sent ***" in str(caught.value)
    assert "tok-visible" not in caplog.text + repr(client.auth) + str(caught.value)
    assert "hush" not in caplog.text
