# SPDX-License-Identifier: Apache-2.0
"""Hour One's webhooks; with them, how callbacks are sent, tried again, lost, doubled and forged."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import pytest


@pytest.fixture
def hourone(clients, receiver):
    """A client of Hour One with a webhook at the receiver, and the webhook's secret."""
    client = clients("hourone")
    webhook = {"name": "n", "url": receiver.url, "events": ["video.ready", "video.failed"]}
    session = {"authorization": "Bearer simulator"}
    return client, client.call("POST", "/webhooks", json=webhook, headers=session).json()["secret"]


def signature(secret, body):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def eventually(check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_callback_is_signed(hourone, simulator, receiver):
    (client, secret), (_, calls) = hourone, receiver
    assert client.call("POST", "/webhooks", json={}).status_code == 401  # the API key is no web session
    job_id = client.create()
    simulator.move(job_id, fail="no")
    _, headers, body = calls.get(timeout=20)
    assert headers["x-hourone-signature"] == signature(secret, body)
    sent = json.loads(body)
    assert (sent["event_name"], sent["data"]["id"], sent["data"]["status"]) == ("video_failed", job_id, "failed")


def test_a_receiver_that_is_registered_late_hears_of_running_jobs(clients, simulator, receiver):
    client = clients("hourone")
    job_id = client.create()
    webhook = {"name": "n", "url": receiver.url, "events": ["video.ready"]}
    client.call("POST", "/webhooks", json=webhook, headers={"authorization": "Bearer simulator"})
    simulator.move(job_id, finish=True)
    assert json.loads(receiver.calls.get(timeout=20)[2])["data"]["id"] == job_id


def test_a_receiver_that_fails_is_tried_again(hourone, simulator, receiver):
    simulator.settings(callback_attempts=2, callback_retry_seconds=0)
    receiver.answers += [(500, {}), (204, {})]
    simulator.move(hourone[0].create(), finish=True)
    first, second = (receiver.calls.get(timeout=20) for _ in range(2))
    assert first[2] == second[2]
    eventually(lambda: simulator.counts("hourone")["callbacks"] == 1)
    receiver.answers += [(500, {}), (404, {})]
    simulator.move(hourone[0].create(), finish=True)
    eventually(lambda: simulator.counts("hourone")["callback_failures"] == 1)
    assert simulator.counts("hourone")["callback_attempts"] == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_callback_follows_no_redirect(hourone, simulator, receiver, status):
    simulator.settings(callback_attempts=1)
    receiver.answers.append((status, {"location": f"{receiver.url}/elsewhere"}))
    simulator.move(hourone[0].create(), finish=True)
    assert receiver.calls.get(timeout=20)[0] == "/"
    eventually(lambda: simulator.counts("hourone")["callback_failures"] == 1)
    assert receiver.calls.empty()


def test_callbacks_are_lost_doubled_and_overtaken_on_demand(hourone, simulator, receiver):
    client, _ = hourone
    simulator.fault("hourone", "*", status=503, times=None, after=1000)  # of requests, so of no callback
    simulator.fault("hourone", "callback", lost=True)
    simulator.move(client.create("lost"), finish=True)
    eventually(lambda: simulator.counts("hourone")["callbacks_lost"] == 1)
    simulator.fault("hourone", "callback", duplicates=2)
    job_id = client.create("doubled")
    simulator.move(job_id, finish=True)
    assert [json.loads(receiver.calls.get(timeout=20)[2])["data"]["id"] for _ in range(3)] == [job_id] * 3
    simulator.fault("hourone", "callback", delay=1.5)
    late, early = client.create("late"), client.create("early")
    simulator.move(late, finish=True)
    eventually(lambda: simulator.counts("hourone")["faults"] == 3)
    simulator.move(early, finish=True)
    assert [json.loads(receiver.calls.get(timeout=20)[2])["data"]["id"] for _ in range(2)] == [early, late]
    assert receiver.calls.empty()


def test_callbacks_are_forged_and_broken_on_demand(hourone, simulator, receiver):
    client, secret = hourone
    simulator.fault("hourone", "callback", wrong_signature=True)
    simulator.move(client.create(), finish=True)
    _, headers, body = receiver.calls.get(timeout=20)
    assert json.loads(body)
    assert headers["x-hourone-signature"] != signature(secret, body)
    simulator.fault("hourone", "callback", malformed=True)
    simulator.move(client.create(), finish=True)
    _, headers, body = receiver.calls.get(timeout=20)
    assert headers["x-hourone-signature"] == signature(secret, body)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(body)
