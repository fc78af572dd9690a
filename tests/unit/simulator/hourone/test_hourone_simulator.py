# SPDX-License-Identifier: Apache-2.0
"""Hour One's own ways, as its documents have them."""

from __future__ import annotations

import pytest
import requests


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "create", "template_id": "t"}, "character_id"),
        ({"type": "override"}, "scenes"),
        ({"type": "workflow", "workflow_id": "w"}, "variables"),
        ({"type": "override", "scenes": [{"transcript": "x"}]}, "name"),
        ({"type": "workflow", "workflow_id": "w", "variables": [], "correlation_id": "k" * 101}, "correlation_id"),
        ({"type": "workflow", "workflow_id": "w", "variables": [], "metadata": {"a": {"deep": 1}}}, "metadata"),
        ({"name": "of an older page", "source_draft_id": "d"}, "body"),
        ({"type": "of tomorrow"}, "body"),
    ],
)
def test_refuses_with_a_list_of_details(clients, simulator, body, field):
    answer = clients("hourone").call("POST", "/videos", json=body)
    assert answer.status_code == 422
    details = answer.json()["detail"]
    assert any(field in item["loc"] and item["msg"] and item["type"] for item in details)
    assert simulator.counts("hourone")["creates"] == 0


def test_answers_with_the_whole_object_and_201(clients, simulator):
    client = clients("hourone")
    bodies = [
        {"type": "override", "scenes": [{"name": "s"}], "correlation_id": "k", "metadata": {"a": 1}},
        {"type": "create", "template_id": "t", "character_id": "c", "voice_id": "v", "scenes": []},
        {"type": "workflow", "workflow_id": "w", "variables": [{"name": "n", "value": "v"}]},
    ]
    answers = [client.call("POST", "/videos", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [201] * 3
    videos = [answer.json() for answer in answers]
    assert {"id", "status", "req_id", "draft_id", "video_player_url"} <= videos[0].keys()
    assert "download_url" not in videos[0]
    assert (videos[0]["progress"], videos[0]["correlation_id"], videos[0]["metadata"]) == (-1, "k", {"a": 1})
    assert [video["id"] for video in client.get("/videos")] == [video["id"] for video in videos]
    assert [span["videos_created"] for span in client.get("/analytics/summary?correlation_id=k")] == [1]
    assert [span["videos_created"] for span in client.get("/analytics/summary?breakdown=daily")] == [3]
    assert client.get("/analytics/summary?to_date=2020-01-01") == []
    assert client.get(f"/videos/{videos[0]['id']}/metadata")["scenes_metadata"][0]["start_time"] == 0
    assert client.call("POST", f"/videos/{videos[0]['id']}/subtitles", json={"language_code": "en"}).status_code == 400


def test_previews_a_voice(clients, simulator):
    client = clients("hourone")
    simulator.settings(render_seconds=0)
    task = client.post("/voice-preview", {"transcript": "Hello", "source_draft_id": "d"})
    ready = client.get(f"/voice-preview/{task['id']}")
    assert (task["status"], ready["status"]) == ("in_progress", "ready")
    assert requests.get(ready["url"], timeout=20).content[:4] == b"RIFF"


def test_makes_subtitles(clients, simulator):
    client = clients("hourone")
    job_id = client.create("Words to read")
    simulator.move(job_id, finish=True)
    for form, start in (("vtt", "WEBVTT"), ("srt", "1\n")):
        made = client.post(f"/videos/{job_id}/subtitles", {"language_code": "en", "format": form})
        assert requests.get(made["url"], timeout=20).text.startswith(start)


def test_the_player_is_a_page_of_the_simulator(clients, simulator):
    client = clients("hourone")
    job_id = client.create()
    link = client.get(f"/videos/{job_id}")["video_player_url"]
    assert link == f"{simulator.url}/renders/hourone/{job_id}"
