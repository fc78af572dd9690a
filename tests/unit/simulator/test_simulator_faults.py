# SPDX-License-Identifier: Apache-2.0
"""Faults strike where, when and as often as they were ordered."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

ALL = pytest.mark.parametrize("client", ["colossyan", "hourone", "oxolo", "xvid"], indirect=True)


@ALL
def test_a_lost_answer_has_its_effect(client, simulator):
    simulator.fault(client.vendor, "create", lose_answer=True)
    with pytest.raises(requests.ConnectionError):
        client.create()
    assert simulator.counts(client.vendor)["creates"] == 1
    client.create()
    assert [job["state"] for job in simulator.jobs(client.vendor)] == [
        "queued" if client.vendor != "oxolo" else "running"
    ] * 2


@ALL
def test_an_error_after_the_effect(client, simulator):
    simulator.fault(client.vendor, "create", answer_status_after_effect=502)
    with pytest.raises(AssertionError):
        client.create()
    assert simulator.counts(client.vendor)["creates"] == 1


@ALL
def test_an_error_before_the_effect_is_worded_as_the_vendor_would(client, simulator):
    simulator.fault(client.vendor, "create", status=503, retry_after=7, message="Down for a while")
    path = {
        "colossyan": "/video-generation-jobs",
        "hourone": "/videos",
        "oxolo": "/videos/create/url",
        "xvid": "/jobs/",
    }
    answer = client.call("POST", path[client.vendor], json={})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "7"
    body = answer.json()
    forms = {
        "colossyan": lambda: body["message"],
        "hourone": lambda: body["detail"],
        "oxolo": lambda: body["message"],
        "xvid": lambda: body["error"]["error_message"],
    }
    assert forms[client.vendor]() == "Down for a while"
    assert simulator.counts(client.vendor)["creates"] == 0


def test_times_and_after(clients, simulator):
    client = clients("xvid")
    simulator.fault("xvid", "list", status=500, times=2, after=1)
    statuses = [client.call("GET", "/jobs/").status_code for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]
    assert requests.get(f"{simulator.url}/_simulator/faults", timeout=20).json() == []
    simulator.fault("xvid", "*", status=500, times=None)
    assert [client.call("GET", "/jobs/").status_code for _ in range(3)] == [500] * 3
    requests.delete(f"{simulator.url}/_simulator/faults", timeout=20)
    assert client.call("GET", "/jobs/").status_code == 200


def test_a_page_of_html_and_broken_json(clients, simulator):
    client = clients("hourone")
    simulator.fault("hourone", "list", html=True)
    simulator.fault("hourone", "create", malformed=True)
    answer = client.call("GET", "/videos")
    assert (answer.status_code, answer.text[:9]) == (200, "<!DOCTYPE")
    answer = client.call("POST", "/videos", json={"name": "n"})
    assert answer.status_code == 201
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)
    assert simulator.counts("hourone")["creates"] == 1


def test_a_download_is_cut_resumed_slowed_and_expired(clients, simulator):
    client = clients("oxolo")
    job_id = client.create()
    simulator.move(job_id, finish=True)
    url = client.video_url(job_id)
    whole = requests.get(url, timeout=20).content
    simulator.fault("oxolo", "download", cut_after=1000)
    received = b""
    with pytest.raises(requests.exceptions.ChunkedEncodingError):  # noqa: PT012
        for piece in requests.get(url, stream=True, timeout=20).iter_content(100):
            received += piece
    assert received == whole[:1000]
    simulator.fault("oxolo", "download", expired_link=True)
    assert requests.get(url, timeout=20).status_code == 403
    simulator.fault("oxolo", "video", expired_link=True)
    assert requests.get(client.video_url(job_id), timeout=20).status_code == 403
    simulator.fault("oxolo", "download", bytes_per_second=len(whole) * 4)
    assert requests.get(url, timeout=20).content == whole
    assert simulator.counts("oxolo")["bytes"] == 2 * len(whole) + 1000


def test_requests_in_flight_are_counted(clients, simulator):
    client = clients("colossyan")
    simulator.fault("colossyan", "voices", delay=1, times=3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: client.get("/assets/voices"), range(3)))
    for _ in range(20):
        client.get("/assets/voices")
    assert simulator.counts("colossyan")["max_in_flight"] == 3


def test_a_fault_without_effect_or_of_an_unknown_kind_is_refused(simulator):
    for body in ({"vendor": "xvid"}, {"vendor": "nobody", "status": 500}, {"vendor": "xvid", "explode": True}):
        answer = requests.post(f"{simulator.url}/_simulator/faults", json=body, timeout=20)
        assert answer.status_code == 422


def test_unknown_and_impossible_settings_are_refused(simulator):
    for body in ({"rendering": 3}, {"xvid": {"render_seconds": "soon"}}, {"file_bytes": 100}, {"token_seconds": 5}):
        answer = requests.patch(f"{simulator.url}/_simulator/settings", json=body, timeout=20)
        assert answer.status_code == 422
    simulator.settings(xvid={"render_seconds": 5})
    kept = requests.get(f"{simulator.url}/_simulator/settings", timeout=20).json()
    assert (kept["render_seconds"], kept["xvid"]["render_seconds"]) == (1, 5)
    simulator.reset()
    assert "render_seconds" not in requests.get(f"{simulator.url}/_simulator/settings", timeout=20).json()["xvid"]
