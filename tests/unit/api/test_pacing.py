# SPDX-License-Identifier: Apache-2.0
"""The rate that a vendor documents holds for all calls of an account, whoever makes them."""

from __future__ import annotations

import random

import pytest

from airflow_video_providers.api import pacing
from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.pacing import Pacer, shared_pacer
from airflow_video_providers.api.settings import ClientSettings
from tests.support.local_api import Answer, LocalApi


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when somebody sleeps."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            assert seconds > 0
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    return clock


def most_in(window, begun):
    """Return the most calls that began within any window of this many seconds."""
    return max(sum(start <= other < start + window - 1e-6 for other in begun) for start in begun)


@pytest.mark.parametrize(("rate", "burst"), [(3.0, 30), (5.0, 10), (2.5, 1), (0.2, 1), (0.5, 3)])
def test_no_window_holds_more_calls_than_documented(clock, rate, burst):
    pacer, chance, begun = Pacer(rate, burst), random.Random(1), []
    for _ in range(300):
        pacer.wait()
        begun.append(clock.now)
        if chance.random() < 0.1:
            clock.sleep(chance.uniform(0.001, 2 * burst / rate))
    assert most_in(burst / rate, begun) == burst


def test_an_idle_account_may_burst_and_then_keeps_the_rate(clock):
    pacer = Pacer(2.0, 4)
    assert [pacer.reserve() for _ in range(10)] == [0, 0, 0, 0, 2, 2, 2, 2, 4, 4]
    clock.sleep(60)
    assert [pacer.reserve() for _ in range(4)] == [0, 0, 0, 0]


def test_an_account_is_paced_as_one_also_through_two_connections():
    first = shared_pacer("https://api.example/v1", "key", requests_per_second=1, burst=2)
    assert shared_pacer("https://api.example/v1", "key", requests_per_second=1, burst=2) is first
    assert shared_pacer("https://api.example/v1", "other", requests_per_second=1, burst=2) is not first
    assert shared_pacer("https://api.example/stage", "key", requests_per_second=1, burst=2) is not first
    assert not [part for key in pacing._pacers for part in key if part == "key"]  # the key itself is not kept


class Told:
    """A pacer and a guard that write down when they are asked."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def wait(self) -> None:
        self.heard.append("its turn")

    def before_send(self, request) -> None:
        self.heard.append("about to send")

    def after_response(self, status: int) -> None:
        self.heard.append(str(status))

    def after_failure(self, error: Exception) -> None:
        pass


def test_each_send_waits_for_its_turn_before_it_is_noted_as_sent(local_api: LocalApi, naps: list[float]) -> None:
    client, told = VideoApiClient(vendor="acme", base_url=local_api.url), Told()
    client.pacer = told
    local_api.on("POST", "/jobs", Answer(status=429), Answer(json={}))
    with client.guarded(told):
        client.call_json("POST", "/jobs", endpoint="POST /jobs", json={})
    assert told.heard == ["its turn", "about to send", "429", "its turn", "about to send", "200"]


def test_what_goes_elsewhere_is_not_paced(local_api: LocalApi) -> None:
    settings = ClientSettings(allow_private_links=True)
    client, told = VideoApiClient(vendor="acme", base_url="https://api.example/v1", settings=settings), Told()
    client.pacer = told
    local_api.on("PUT", "/upload", Answer(json={}))
    client.call("PUT", f"{local_api.url}/upload", endpoint="PUT upload", data=b"x")
    assert told.heard == []
