# SPDX-License-Identifier: Apache-2.0
"""The simulator calls back, in each vendor's way."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests


class Receiver:
    """A receiver: ``url``, what came in (``calls``: path, headers, body), and what it answers next (``answers``)."""

    def __init__(self):
        self.calls, self.answers = queue.Queue(), []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.calls.put((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __iter__(self):
        return iter((self.url, self.calls))


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


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


@pytest.mark.parametrize("field", ["callback", "callbackUrl"])
def test_colossyan_merges_the_payload(clients, simulator, receiver, field):
    client, (url, calls) = clients("colossyan"), receiver
    body = {
        field: f"{url}/done",
        "callbackPayload": {"key": "k", "status": "mine"},
        "dynamicVariables": {"who": "Ann"},
        "videoCreative": {"scenes": []},
        "templateJobId": "t",
    }
    made = client.post("/video-generation-jobs" + ("" if field == "callback" else "/template-jobs"), body)
    simulator.move(made["id"], finish=True)
    path, _, content = calls.get(timeout=20)
    sent = json.loads(content)
    assert (path, sent["status"], sent["key"], sent["who"]) == ("/done", "finished", "k", "Ann")
    assert requests.get(sent["url"], timeout=20).headers["content-type"] == "video/mp4"
    assert sent["videoUrl"] == sent["shareUrl"]


def test_hourone_signs(hourone, simulator, receiver):
    (client, secret), (_, calls) = hourone, receiver
    assert client.call("POST", "/webhooks", json={}).status_code == 401  # the API key is no web session
    job_id = client.create()
    simulator.move(job_id, fail="no")
    _, headers, body = calls.get(timeout=20)
    assert headers["x-hourone-signature"] == signature(secret, body)
    sent = json.loads(body)
    assert (sent["event_name"], sent["data"]["id"], sent["data"]["status"]) == ("video_failed", job_id, "failed")


def test_oxolo_tells_its_subscribers(clients, simulator, receiver):
    client, (url, calls) = clients("oxolo"), receiver
    subscription = {"eventType": "videoUpdateStatus", "systemId": "mine", "apiKey": "simulator"}
    assert client.call("POST", "/webhooks", json=subscription).status_code == 404
    simulator.settings(oxolo={"webhook_systems": {"mine": {"webhookUrl": url, "token": "proof"}}})
    assert client.post("/webhooks", subscription)["results"]["system"]["webhookUrl"] == url
    job_id = client.create()
    simulator.move(job_id, finish=True)
    _, headers, body = calls.get(timeout=20)
    assert headers["authorization"] == "proof"
    assert json.loads(body)["data"] == {"identifier": job_id, "status": "done"}


def test_xvid_pings_the_pipeline_and_counts(clients, simulator, receiver):
    client, (url, calls) = clients("xvid"), receiver
    pings = {"started": f"{url}/started", "finished": f"{url}/finished"}
    pipeline = client.post("/pipelines", {"pipeline": {"name": "p", "ping_urls": pings}})["pipeline"]["id"]
    job = {"pipeline": {"id": pipeline}, "input": {"input_name": "a.mp4"}}
    job_id = client.post("/jobs/", {"job": job})["job"]["id"]
    simulator.move(job_id, finish=True)
    assert {calls.get(timeout=20)[0] for _ in range(2)} == {"/started", "/finished"}
    assert simulator.jobs()[0]["state"] == "succeeded"


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


def test_a_fault_of_callbacks_strikes_nothing_else(simulator):
    for body in ({"operation": "callback", "status": 500}, {"operation": "create", "lost": True}):
        answer = requests.post(f"{simulator.url}/_simulator/faults", json=body, timeout=20)
        assert answer.status_code == 422
        assert "Not an effect" in answer.json()["detail"]
