# SPDX-License-Identifier: Apache-2.0
"""The life of a job, the same questions to all four vendors."""

from __future__ import annotations

import pytest
import requests

VENDORS = ("colossyan", "hourone", "oxolo", "xvid")
ALL = pytest.mark.parametrize("client", VENDORS, indirect=True)
PHASES = {
    "colossyan": ["in_queue", "preprocessing", "preprocessing_finished", "generating", "finished"],
    "hourone": ["not_started", "started", "processing", "ready", "published"],
    "oxolo": ["in_progress", "done"],
    "xvid": ["QUEUED", "PROCESSING", "SUCCESS"],
}
FAILED = {"colossyan": "failed", "hourone": "failed", "oxolo": "failed", "xvid": "FAILURE"}
REFUSED = {"colossyan": 401, "hourone": 401, "oxolo": 401, "xvid": 403}


@ALL
def test_wrong_and_missing_credentials_are_refused(client):
    path = {"colossyan": "/assets/voices", "hourone": "/videos", "oxolo": "/videos", "xvid": "/jobs/"}[client.vendor]
    for headers in ({}, {"authorization": "Bearer wrong", "api-key": "wrong"}):
        assert client.call("GET", path, headers=headers).status_code == REFUSED[client.vendor]


@ALL
def test_every_status_passes_in_order(client, simulator):
    simulator.settings(render_seconds=1)
    job_id = client.create()
    seen = []
    while not seen or seen[-1] != PHASES[client.vendor][-1]:
        if (status := client.status(job_id)) not in seen:
            seen.append(status)
    assert seen == PHASES[client.vendor]
    assert simulator.jobs()[0]["state"] == "succeeded"


@ALL
def test_a_title_can_ask_for_a_failure(client, simulator):
    simulator.settings(render_seconds=0)
    assert client.status(client.create("This one [fail] please")) == FAILED[client.vendor]
    assert simulator.jobs()[0]["state"] == "failed"


@ALL
def test_a_job_moves_by_hand(client, simulator):
    job_id = client.create()
    assert client.status(job_id) == PHASES[client.vendor][0]
    simulator.move(job_id, status="something_new")
    assert client.status(job_id) == "something_new"
    simulator.move(job_id, fail="Not today")
    assert client.status(job_id) == FAILED[client.vendor]
    simulator.move(job_id, finish=True)
    assert client.status(job_id) in PHASES[client.vendor][-2:]


@ALL
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


@ALL
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


@ALL
def test_deleting_a_running_job_cancels_it(client, simulator):
    job_id = client.create()
    assert client.delete(job_id).status_code in (200, 204)
    assert simulator.jobs()[0]["state"] == "cancelled"
    counts = simulator.counts(client.vendor)
    assert (counts["cancels"], counts["finished_deletes"]) == (1, 0)
    path = {"colossyan": "deleted", "hourone": "cancelled"}
    if client.vendor in path:
        assert client.status(job_id) == path[client.vendor]
    else:
        assert client.delete(job_id).status_code == 404


@ALL
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


@pytest.mark.parametrize("client", ["hourone", "oxolo", "xvid"], indirect=True)
def test_a_list_can_lag_behind(client, simulator):
    simulator.settings(list_lag_seconds=3600)
    job_id = client.create()
    path = {"hourone": "/videos", "oxolo": "/videos", "xvid": "/jobs/"}[client.vendor]
    assert job_id not in client.call("GET", path).text
    assert client.status(job_id) == PHASES[client.vendor][0]
    simulator.settings(list_lag_seconds=0)
    assert job_id in client.call("GET", path).text


@ALL
def test_an_unknown_job_is_not_found(client):
    for path in ("/videos/none", "/jobs/none", "/video-generation-jobs/none", "/files/none", "/nowhere"):
        answer = client.call("GET", path)
        assert answer.status_code == 404
        assert answer.json()
