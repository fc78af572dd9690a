# SPDX-License-Identifier: Apache-2.0
"""Oxolo's own ways, as its documents have them."""

from __future__ import annotations

import json

import requests


def test_has_an_envelope_and_says_one_key_twice(clients, simulator):
    client = clients("oxolo")
    made = client.post("/videos/create/url", {"url": "https://shop.example/p/1"})["results"]["identifier"]
    answer = client.call("GET", f"/videos/{made}")
    assert answer.text.count('"generated_from"') == 2
    video = answer.json()["results"]
    assert (video["generated_from"], video["website"], video["progress"]) == ("URL", "https://shop.example/p/1", "0")
    product = {"title": "P", "short_description": "s", "long_description": "l", "media": []}
    second = client.post("/videos/create/product", product)["results"]["identifier"]
    assert "website" not in client.get(f"/videos/{second}")["results"]
    newest = client.get("/videos?sortField=created&sortType=desc")["results"]
    assert [item["identifier"] for item in newest] == [second, made]
    assert client.call("POST", "/videos/create/form", json={"title": "t"}).status_code == 400
    assert client.get("/account/credits")["results"] == 100_000 - 10
    assert client.get("/account/plan")["results"]
    simulator.settings(oxolo={"credits": 14})
    assert client.call("POST", "/videos/create/url", json={"url": "u"}).status_code == 400


def test_media_and_catalogue(clients, simulator):
    client = clients("oxolo")
    files = {"media_type": (None, "IMAGE"), "file": ("a.png", b"image", "image/png")}
    media_id = client.call("POST", "/assets/media/request", files=files).json()["results"]
    assert [item["id"] for item in client.get("/assets/media?skip=0&take=5")["results"]] == [media_id]
    assert client.get(f"/assets/IMAGE/{media_id}")["results"]["size"] == 5
    assert simulator.uploads()["oxolo"][0]["name"] == "a.png"
    assert client.call("DELETE", f"/assets/media/{media_id}").json() == {"results": media_id}
    assert client.call("GET", f"/assets/IMAGE/{media_id}").status_code == 404
    items = client.get("/catalogue?filter=ACTOR&take=2")["results"]
    assert len(items) == 2
    assert client.get(f"/catalogue/{next(iter(items))}")["results"]["type"] == "ACTOR"


def test_a_callback_tells_its_subscribers(clients, simulator, receiver):
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


def test_has_a_thumbnail_and_subtitles(clients, simulator):
    client = clients("oxolo")
    job_id = client.create("Words to read")
    simulator.move(job_id, finish=True)
    video = client.get(f"/videos/{job_id}")["results"]
    assert requests.get(video["thumbnail"], timeout=20).content[:3] == b"\xff\xd8\xff"
    assert "Words to read" in requests.get(video["s3_vtt_path"], timeout=20).text
