# SPDX-License-Identifier: Apache-2.0
"""Faults strike where, when and as often as they were ordered."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest
import requests

from tests.support.simulator import VENDORS

VENDOR = next(iter(VENDORS))


def test_a_lost_answer_has_its_effect(client, simulator):
    simulator.fault(client.vendor, "create", lose_answer=True)
    with pytest.raises(requests.ConnectionError):
        client.create()
    assert simulator.counts(client.vendor)["creates"] == 1
    client.create()
    assert len(simulator.jobs(client.vendor)) == 2


def test_an_error_after_the_effect(client, simulator):
    simulator.fault(client.vendor, "create", answer_status_after_effect=502)
    with pytest.raises(AssertionError):
        client.create()
    assert simulator.counts(client.vendor)["creates"] == 1


def test_an_error_before_the_effect_is_worded_as_the_vendor_would(client, simulator):
    simulator.fault(client.vendor, "create", status=503, retry_after=7, message="Down for a while")
    answer = client.call("POST", client.create_path, json={})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "7"
    assert client.message_in(answer.json()) == "Down for a while"
    assert simulator.counts(client.vendor)["creates"] == 0


def test_times_and_after(any_client, simulator):
    client, path = any_client, any_client.status_path.format(any_client.create())

    def statuses(number):
        return [client.call("GET", path).status_code for _ in range(number)]

    simulator.fault(client.vendor, "status", status=500, times=2, after=1)
    assert statuses(5) == [200, 500, 500, 200, 200]
    assert requests.get(f"{simulator.url}/_simulator/faults", timeout=20).json() == []
    simulator.fault(client.vendor, "*", status=500, times=None)
    assert statuses(3) == [500] * 3
    requests.delete(f"{simulator.url}/_simulator/faults", timeout=20)
    assert statuses(1) == [200]


def test_a_page_of_html_and_broken_json(client, simulator):
    path = client.status_path.format(client.create())
    simulator.fault(client.vendor, "status", html=True)
    answer = client.call("GET", path)
    assert (answer.status_code, answer.text[:9]) == (200, "<!DOCTYPE")
    simulator.fault(client.vendor, "create", malformed=True)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.create()
    assert simulator.counts(client.vendor)["creates"] == 2


def test_a_download_is_cut_resumed_slowed_and_expired(client, simulator):
    job_id = client.create()
    simulator.move(job_id, finish=True)
    url = client.video_url(job_id)
    whole = requests.get(url, timeout=20).content
    simulator.fault(client.vendor, "download", cut_after=1000)
    received = b""
    with pytest.raises(requests.exceptions.ChunkedEncodingError):  # noqa: PT012
        for piece in requests.get(url, stream=True, timeout=20).iter_content(100):
            received += piece
    assert received == whole[:1000]
    simulator.fault(client.vendor, "download", expired_link=True)
    assert requests.get(url, timeout=20).status_code == 403
    simulator.fault(client.vendor, client.link_operation, expired_link=True)
    assert requests.get(client.video_url(job_id), timeout=20).status_code == 403
    simulator.fault(client.vendor, "download", bytes_per_second=len(whole) * 4)
    assert requests.get(url, timeout=20).content == whole
    assert simulator.counts(client.vendor)["bytes"] == 2 * len(whole) + 1000


def test_requests_in_flight_are_counted(any_client, simulator):
    client, path = any_client, any_client.status_path.format(any_client.create())
    simulator.fault(client.vendor, "status", delay=1, times=3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: client.get(path), range(3)))
    for _ in range(20):
        client.get(path)
    assert simulator.counts(client.vendor)["max_in_flight"] == 3


def test_a_fault_of_callbacks_strikes_nothing_else(simulator):
    for body in ({"operation": "callback", "status": 500}, {"operation": "create", "lost": True}):
        answer = requests.post(f"{simulator.url}/_simulator/faults", json=body, timeout=20)
        assert answer.status_code == 422
        assert "Not an effect" in answer.json()["detail"]


def test_a_fault_without_effect_or_of_an_unknown_kind_is_refused(simulator):
    for body in ({"vendor": VENDOR}, {"vendor": "nobody", "status": 500}, {"vendor": VENDOR, "explode": True}):
        answer = requests.post(f"{simulator.url}/_simulator/faults", json=body, timeout=20)
        assert answer.status_code == 422


HALF = "\\ud83d"


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("faults", '{"status": 503, "retry_after": "1\\r\\nX-Evil: 1"}', "printable ASCII"),
        ("faults", '{"status": 503, "retry_after": "\\u00fc"}', "printable ASCII"),
        ("faults", f'{{"status": 503, "retry_after": "{HALF}"}}', "half of a character"),
        ("faults", f'{{"status": 503, "message": "{HALF}"}}', "half of a character"),
        ("faults", '{"status": 503, "message": "a\\u0000b"}', "no control characters"),
        ("faults", f'{{"status": 503, "operation": "{HALF}"}}', "half of a character"),
        ("faults", '{"status": 101}', "greater than or equal to 200"),
        ("faults", '{"answer_status_after_effect": 100}', "greater than or equal to 200"),
        ("faults", '{"operation": "callback", "signed_ago": 1e300}', "less than or equal"),
        ("jobs/JOB", '{"progress": NaN}', "finite number"),
        ("jobs/JOB", '{"progress": 1e400}', "finite number"),
        ("jobs/JOB", f'{{"error": {{"{HALF}": 1}}}}', "half of a character"),
        ("jobs/JOB", f'{{"fail": "{HALF}"}}', "half of a character"),
        ("webhooks", f'{{"vendor": "{VENDOR}", "url": "http://127.0.0.1/{HALF}"}}', "half of a character"),
        ("settings", f'{{"fail_titles_containing": "{HALF}"}}', "half of a character"),
    ],
)
def test_what_no_response_can_hold_is_refused_in_words(any_client, simulator, path, body, reason):
    client = any_client
    job_id, control = client.create(), f"{simulator.url}/_simulator/"
    method = "PATCH" if path == "settings" else "POST"
    headers = {"content-type": "application/json"}
    before = requests.get(control + "settings", timeout=20).json()
    answer = requests.request(method, control + path.replace("JOB", job_id), data=body, headers=headers, timeout=20)
    assert (answer.status_code, requests.get(control + "faults", timeout=20).json()) == (422, [])
    assert reason in answer.json()["detail"]
    assert requests.get(control + "settings", timeout=20).json() == before
    assert client.get(client.status_path.format(job_id))


def test_the_message_of_a_store_is_escaped(any_client, simulator):
    client, job_id = any_client, any_client.create()
    simulator.move(job_id, finish=True)
    simulator.fault(client.vendor, "download", status=403, message="<a> & b")
    answer = requests.get(client.video_url(job_id), timeout=20)
    assert (answer.status_code, ElementTree.fromstring(answer.text).findtext("Message")) == (403, "<a> & b")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_leaves_the_connection_usable(any_client, simulator, status):
    client, path = any_client, any_client.status_path.format(any_client.create())
    simulator.fault(client.vendor, "status", status=status)
    with requests.Session() as session:
        empty = session.get(client.base + path, headers=client.headers, timeout=20)
        after = session.get(client.base + path, headers=client.headers, timeout=20)
    assert (empty.status_code, empty.content, after.status_code) == (status, b"", 200)


def test_unknown_and_impossible_settings_are_refused(simulator):
    for body in ({"rendering": 3}, {VENDOR: {"render_seconds": "soon"}}, {"file_bytes": 100}, {"file_bytes": 10**20}):
        answer = requests.patch(f"{simulator.url}/_simulator/settings", json=body, timeout=20)
        assert answer.status_code == 422
    simulator.settings(**{VENDOR: {"render_seconds": 5}})
    kept = requests.get(f"{simulator.url}/_simulator/settings", timeout=20).json()
    assert (kept["render_seconds"], kept[VENDOR]["render_seconds"]) == (1, 5)
    simulator.reset()
    kept = requests.get(f"{simulator.url}/_simulator/settings", timeout=20).json()
    assert "render_seconds" not in kept.get(VENDOR, {})


def test_an_example_holds_any_text(simulator):
    text = 'a "b" \\ \x00 \n é'
    examples = requests.get(f"{simulator.url}/_simulator/examples", params={"text": text}, timeout=20).json()
    assert json.dumps(text)[1:-1] in json.dumps(examples[VENDOR])
