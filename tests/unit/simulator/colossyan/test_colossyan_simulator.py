# SPDX-License-Identifier: Apache-2.0
"""Colossyan's own ways, as its documents have them."""

from __future__ import annotations

import json

import pytest
import requests


def test_has_ids_of_two_kinds_and_progress_of_three(clients, simulator):
    client = clients("colossyan")
    body = {"templateJobId": "t", "dynamicVariables": {"name": "Ann"}, "callbackPayload": {"k": "1"}}
    made = client.post("/video-generation-jobs/template-jobs", body)
    job = client.get(f"/video-generation-jobs/{made['id']}")
    assert made["id"] != made["videoId"] == job["videoId"]
    assert (job["progress"], job["maximumProgress"], job["templateJobId"]) == (None, None, "t")
    simulator.move(made["id"], status="preprocessing")
    job = client.get(f"/video-generation-jobs/{made['id']}")
    assert (job["progress"], job["maximumProgress"]) == (0, 0)
    simulator.move(made["id"], status="generating", progress=60)
    job = client.get(f"/video-generation-jobs/{made['id']}")
    assert (job["progress"], job["maximumProgress"]) == (60, 240)
    assert client.call("GET", f"/video-generation-jobs/{made['videoId']}").status_code == 404
    assert client.call("GET", f"/generated-videos/{made['videoId']}").status_code == 404
    simulator.move(made["id"], finish=True)
    assert client.get(f"/generated-videos/{made['videoId']}")["jobId"] == made["id"]
    assert client.call("DELETE", f"/generated-videos/{made['videoId']}").json()["message"]
    assert simulator.counts("colossyan")["finished_deletes"] == 1


def test_refuses_what_is_incomplete_and_makes_drafts(clients, simulator):
    client = clients("colossyan")
    for path, body, missing in (
        ("/video-generation-jobs", {"videoCreative": {"settings": {}}}, "scenes"),
        ("/video-generation-jobs/template-jobs", {"templateJobId": "t"}, "dynamicVariables"),
    ):
        answer = client.call("POST", path, json=body)
        assert answer.status_code == 400
        assert missing in answer.json()["message"]
    assert simulator.counts("colossyan")["creates"] == 0
    answer = client.call(
        "POST", "/assets/actors", json={"displayName": "Me", "sourceFileUrl": "https://x.example/me.jpg"}
    )
    assert answer.status_code == 201
    assert answer.json()["name"] in [one["name"] for one in client.get("/assets/actors")]
    url = client.base.removesuffix("/v1") + "/knowledge-to-draft/generate-draft"
    summary = {"title": "T", "description": "D", "chapters": [{"title": "C", "script": "S", "searchTerms": []}]}
    answer = requests.post(url, json={"summary": summary}, headers=client.headers, timeout=20)
    assert answer.json()["url"].startswith("https://")


@pytest.mark.parametrize("field", ["callback", "callbackUrl"])
def test_a_callback_merges_the_payload(clients, simulator, receiver, field):
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


def test_shows_subtitles_and_size(clients, simulator):
    client = clients("colossyan")
    job_id = client.create("Words to read")
    simulator.move(job_id, finish=True)
    video_id = client.get(f"/video-generation-jobs/{job_id}")["videoId"]
    shown = client.get(f"/generated-videos/{video_id}")
    assert shown["vttSubtitleString"].startswith("WEBVTT")
    assert shown["videoSizeBytes"] == len(requests.get(shown["publicUrl"], timeout=20).content)
