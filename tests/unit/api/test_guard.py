# SPDX-License-Identifier: Apache-2.0
"""What a guard is told of the sends that may have an effect, over a real connection."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import SubmissionError, VideoApiError
from tests.support.local_api import Answer, LocalApi

BUSY = Answer(status=429, headers={"Retry-After": "0"})


class Notes:
    """Keeps what it is told; refuses a send where it is asked to."""

    def __init__(self, api: LocalApi, *, refuse_from: int | None = None) -> None:
        self.api = api
        self.refuse_from = refuse_from
        self.told: list[Any] = []

    def before_send(self, request) -> None:
        if self.told.count("send") + 1 == self.refuse_from:
            raise SubmissionError("another try has taken over")
        self.told.append("send")
        assert len(self.api.received) < self.told.count("send"), "told only after it was sent"

    def after_response(self, status: int) -> None:
        self.told.append(status)

    def after_failure(self, error: VideoApiError) -> None:
        self.told.append(type(error).__name__)


@pytest.fixture
def client(local_api: LocalApi, monkeypatch) -> VideoApiClient:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return VideoApiClient(vendor="acme", base_url=local_api.url, settings=ClientSettings(retry_deadline=20.0))


def post(client: VideoApiClient, **options: Any) -> Any:
    return client.call_json("POST", "/jobs", endpoint="POST /jobs", json={}, **options)


def test_it_is_told_before_each_send_and_after_each_refusal(client, local_api):
    local_api.on("POST", "/jobs", BUSY, BUSY, Answer(json={"id": 1}))
    guard = Notes(local_api)
    with client.guarded(guard):
        assert post(client) == {"id": 1}
    refused = ["send", 429, "VideoApiQuotaError"]
    assert guard.told == [*refused, *refused, "send", 200]


def test_what_it_raises_stops_the_repetition(client, local_api):
    local_api.on("POST", "/jobs", BUSY, Answer(json={"id": 1}))
    with client.guarded(Notes(local_api, refuse_from=2)), pytest.raises(SubmissionError, match="taken over"):
        post(client)
    assert len(local_api.received) == 1


def test_it_hears_nothing_of_reads_of_other_threads_of_other_clients_and_after_its_block(client, local_api):
    local_api.on("POST", "/jobs", Answer(json={}))
    local_api.on("GET", "/jobs", Answer(json={}))
    other = VideoApiClient(vendor="acme", base_url=local_api.url)
    guard = Notes(local_api)
    with client.guarded(guard):
        client.get_json("/jobs", endpoint="GET /jobs")
        post(other)
        thread = threading.Thread(target=post, args=(client,))
        thread.start()
        thread.join()
    post(client)
    assert guard.told == []
    assert len(local_api.received) == 4


def test_a_request_that_never_reached_the_vendor_is_a_failure_without_a_response(local_api):
    client = VideoApiClient(vendor="acme", base_url="http://127.0.0.1:1", settings=ClientSettings(retry_deadline=0.01))
    guard = Notes(local_api)
    with client.guarded(guard), pytest.raises(VideoApiError):
        post(client)
    assert guard.told == ["send", "VideoApiUnavailableError"]
