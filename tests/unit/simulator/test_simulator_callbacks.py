# SPDX-License-Identifier: Apache-2.0
"""Where callbacks go, and the webhooks of accounts."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from airflow.sdk import Connection

from airflow_video_providers.simulator.callbacks import is_receiver
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

if TYPE_CHECKING:
    from airflow_video_providers.hooks.base import VideoHook
    from tests.support.simulator import Simulator

REGISTERED = [name for name, vendor in VENDORS.items() if vendor.register_webhook is not None]
OTHERS = [name for name in VENDORS if name not in REGISTERED]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x?key=k", "https://localhost/", "http://[::1]:1/", "http://127.9.9.9"]
)
def test_this_machine_can_be_called(url: str) -> None:
    assert is_receiver(url)


@pytest.mark.parametrize(
    "url",
    ["", "x", "http://", "ftp://127.0.0.1/", "file:///etc/passwd", "http://10.0.0.1/", "http://169.254.169.254/",
     "http://example.com/", "http://127.0.0.1.example.com/", "http://localhost.example.com/", "http://[::ffff:10.0.0.1]/",
     "http://0.0.0.0/", "http://user@10.0.0.1", "http://127.0.0.1@10.0.0.1/", "http://127.0.0.1:99999/", "http://[bad"],
)  # fmt: skip
def test_no_other_machine_is_called(url: str) -> None:
    assert not is_receiver(url)


def hook_to(simulator: Simulator, vendor: str) -> VideoHook:
    """Return a vendor's hook with a connection to the simulator, and a callback secret."""
    fields = simulator.connection(vendor)
    fields["extra"] = json.dumps({**(fields.get("extra") or {}), "callback_secret": "a-secret-of-the-test"})
    hook = HOOKS[vendor](f"{vendor}_default")
    hook.connection = Connection(conn_id=f"{vendor}_default", **fields)
    return hook


def call(simulator: Simulator, body: dict[str, Any]) -> requests.Response:
    return requests.post(f"{simulator.url}/_simulator/webhooks", json=body, timeout=30)


@pytest.mark.parametrize("vendor", REGISTERED)
def test_a_webhook_of_an_account_is_registered_for_every_vendor_that_has_one(
    simulator: Simulator, receiver: Any, vendor: str
) -> None:
    secret = simulator.register_webhook(vendor, f"{receiver.url}/{vendor}")
    assert secret is None or len(secret) >= 16
    simulator.settings(render_seconds=600)
    hook = hook_to(simulator, vendor)
    job = hook.submit_job(VENDORS[vendor].request("Webhook"))
    simulator.move(job.job_id, fail="no")
    path, _, body = receiver.calls.get(timeout=20)
    assert path == f"/{vendor}"
    assert job.job_id in body.decode()
    hook.close()


def test_what_cannot_be_registered_is_said(simulator: Simulator) -> None:
    for vendor in OTHERS:
        answer = call(simulator, {"vendor": vendor, "url": "http://127.0.0.1:1/"})
        assert (answer.status_code, vendor in answer.text) == (422, True)
    assert call(simulator, {"vendor": REGISTERED[0], "url": "http://10.0.0.1/"}).status_code == 422
    assert call(simulator, {"vendor": "nobody", "url": "http://127.0.0.1:1/"}).status_code == 422


@pytest.mark.parametrize("vendor", [name for name, hook in HOOKS.items() if hook.takes_callback])
def test_a_callback_to_another_machine_is_not_sent(simulator: Simulator, vendor: str) -> None:
    simulator.settings(render_seconds=600)
    hook = hook_to(simulator, vendor)
    url = hook.callback_url("https://airflow.example.com", "key-1")
    job = hook.submit_job(hook.callback_request(VENDORS[vendor].request("Far"), url=url, key="key-1"), key="key-1")
    simulator.move(job.job_id, finish=True)
    deadline = time.monotonic() + 20
    while not (counts := simulator.counts(vendor))["callback_failures"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert counts["callback_attempts"] == 0
    hook.close()
