# SPDX-License-Identifier: Apache-2.0
"""The life of a job, the same questions to each vendor."""

from __future__ import annotations

import pytest
import requests

from tests.support.simulator import VENDORS


def test_wrong_and_missing_credentials_are_refused(client):
    for headers in ({}, {"authorization": "Bearer wrong", "api-key": "wrong"}):
        assert client.call("GET", client.checked_path, headers=headers).status_code == client.refused


def test_every_status_passes_in_order(client, simulator):
    simulator.settings(render_seconds=1)
    job_id = client.create()
    seen = []
    while not seen or seen[-1] != client.phases[-1]:
        if (status := client.status(job_id)) not in seen:
            seen.append(status)
    lifecycle = VENDORS[client.vendor].lifecycle
    assert [word for _, word in lifecycle.active + lifecycle.succeeded] == client.phases
    assert [phase for phase in client.phases if phase in seen] == seen, "a slow machine may miss one"
    assert simulator.jobs()[0]["state"] == "succeeded"


def test_a_title_can_ask_for_a_failure(client, simulator):
    simulator.settings(render_seconds=0)
    assert client.status(client.create("This one [fail] please")) == client.failed
    assert simulator.jobs()[0]["state"] == "failed"


def test_a_job_moves_by_hand(client, simulator):
    job_id = client.create()
    assert client.status(job_id) == client.phases[0]
    simulator.move(job_id, status="something_new")
    assert client.status(job_id) == "something_new"
    simulator.move(job_id, fail="Not today")
    assert client.status(job_id) == client.failed
    simulator.move(job_id, finish=True)
    assert client.status(job_id) in client.phases[-2:]


def test_the_video_plays_and_its_link_refuses_credentials(client, simulator, probe):
    job_id = client.create("A film to play")
    simulator.move(job_id, finish=True)
    url = client.video_url(job_id)
    assert not url.startswith(simulator.url)
    codec, frames, seconds = probe(requests.get(url, timeout=20).content)
    assert codec == "h264"
    assert frames == seconds * 12
    assert 4 <= seconds <= 6
    assert requests.get(url, headers=client.headers, timeout=20).status_code == 403
    assert simulator.counts(client.vendor)["downloads"] == 2


def test_links_expire_and_files_are_not_kept_for_ever(client, simulator):
    job_id = client.create()
    simulator.move(job_id, finish=True)
    simulator.settings(link_seconds=0)
    assert requests.get(client.video_url(job_id), timeout=20).status_code == 403
    simulator.settings(link_seconds=60)
    url = client.video_url(job_id)
    assert requests.get(url.replace("signature=", "signature=0"), timeout=20).status_code == 403
    assert requests.get(url, timeout=20).status_code == 200
    simulator.settings(retention_seconds=0)
    assert requests.get(url, timeout=20).status_code == 404


def test_deleting_a_running_job_cancels_it(client, simulator):
    job_id = client.create()
    assert client.delete(job_id).status_code in (200, 204)
    assert simulator.jobs()[0]["state"] == "cancelled"
    counts = simulator.counts(client.vendor)
    assert (counts["cancels"], counts["finished_deletes"]) == (1, 0)
    if client.cancelled:
        assert client.status(job_id) == client.cancelled
    else:
        assert client.delete(job_id).status_code == 404


def test_deleting_a_finished_job_takes_its_file(client, simulator):
    job_id = client.create()
    simulator.move(job_id, finish=True)
    url = client.video_url(job_id)
    client.delete(job_id)
    assert requests.get(url, timeout=20).status_code == 404
    assert client.delete(job_id).status_code == 404
    counts = simulator.counts(client.vendor)
    assert (counts["cancels"], counts["finished_deletes"]) == (0, 1)
    assert simulator.jobs()[0]["deleted_after_finish"] is True


def test_a_list_can_lag_behind(client, simulator):
    if client.list_path is None:
        pytest.skip("this vendor has no list")
    simulator.settings(list_lag_seconds=3600)
    job_id = client.create()
    assert job_id not in client.call("GET", client.list_path).text
    assert client.status(job_id) == client.phases[0]
    simulator.settings(list_lag_seconds=0)
    assert job_id in client.call("GET", client.list_path).text


def test_an_unknown_job_is_not_found(client):
    for path in (client.status_path.format("none"), "/nowhere"):
        answer = client.call("GET", path)
        assert answer.status_code == 404
        assert answer.json()


def test_the_control_api_lists_operations_and_statuses(client, simulator):
    about = requests.get(f"{simulator.url}/_simulator/vendors", timeout=20).json()[client.vendor]
    assert {"create", "status", "delete", "download"} <= set(about["operations"])
    assert {*client.phases, client.failed} <= set(about["statuses"])
