# SPDX-License-Identifier: Apache-2.0
"""The simulator calls back, in each vendor's way."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests


@pytest.fixture
def receiver():
    """A receiver: its URL, and a queue of (path, headers, body)."""
    calls = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            calls.put((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()
    server.server_close()


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


def test_hourone_signs(clients, simulator, receiver):
    client, (url, calls) = clients("hourone"), receiver
    webhook = {"name": "n", "url": url, "events": ["video.ready", "video.failed"]}
    assert client.call("POST", "/webhooks", json=webhook).status_code == 401
    session = {"authorization": "Bearer simulator"}
    secret = client.call("POST", "/webhooks", json=webhook, headers=session).json()["secret"]
    job_id = client.create()
    simulator.move(job_id, fail="no")
    _, headers, body = calls.get(timeout=20)
    assert headers["x-hourone-signature"] == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
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
