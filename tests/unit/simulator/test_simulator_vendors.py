# SPDX-License-Identifier: Apache-2.0
"""Each vendor's own ways, as its documents have them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import xml.etree.ElementTree as ET

import pytest
import requests


def test_colossyan_has_ids_of_two_kinds_and_progress_of_three(clients, simulator):
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


def test_colossyan_refuses_what_is_incomplete_and_makes_drafts(clients, simulator):
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


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "create", "template_id": "t"}, "character_id"),
        ({"type": "override"}, "scenes"),
        ({"type": "workflow", "workflow_id": "w"}, "variables"),
        ({"type": "override", "scenes": [{"transcript": "x"}]}, "name"),
        ({"name": "n", "correlation_id": "k" * 101}, "correlation_id"),
        ({"name": "n", "metadata": {"a": {"deep": 1}}}, "metadata"),
    ],
)
def test_hourone_refuses_with_a_list_of_details(clients, simulator, body, field):
    answer = clients("hourone").call("POST", "/videos", json=body)
    assert answer.status_code == 422
    details = answer.json()["detail"]
    assert any(field in item["loc"] and item["msg"] and item["type"] for item in details)
    assert simulator.counts("hourone")["creates"] == 0


def test_hourone_answers_with_the_whole_object_and_201(clients, simulator):
    client = clients("hourone")
    bodies = [
        {"type": "override", "scenes": [{"name": "s"}], "correlation_id": "k", "metadata": {"a": 1}},
        {"type": "create", "template_id": "t", "character_id": "c", "voice_id": "v", "scenes": []},
        {"type": "workflow", "workflow_id": "w", "variables": [{"name": "n", "value": "v"}]},
        {"name": "old", "source_draft_id": "d"},
    ]
    answers = [client.call("POST", "/videos", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [201] * 4
    videos = [answer.json() for answer in answers]
    assert {"id", "status", "req_id", "draft_id", "video_player_url"} <= videos[0].keys()
    assert "download_url" not in videos[0]
    assert (videos[0]["progress"], videos[0]["correlation_id"], videos[0]["metadata"]) == (-1, "k", {"a": 1})
    assert [video["id"] for video in client.get("/videos")] == [video["id"] for video in videos]
    assert client.get("/analytics/summary?correlation_id=k")["videos_created"] == 1
    assert client.get("/analytics/summary?breakdown=daily")["videos_created"] == 4
    assert client.get(f"/videos/{videos[0]['id']}/metadata")["scenes_metadata"][0]["start_time"] == 0
    assert client.call("POST", f"/videos/{videos[0]['id']}/subtitles", json={"language_code": "en"}).status_code == 400


def test_hourone_previews_a_voice(clients, simulator):
    client = clients("hourone")
    simulator.settings(render_seconds=0)
    task = client.post("/voice-preview", {"transcript": "Hello", "source_draft_id": "d"})
    ready = client.get(f"/voice-preview/{task['id']}")
    assert (task["status"], ready["status"]) == ("in_progress", "ready")
    assert requests.get(ready["url"], timeout=20).content[:4] == b"RIFF"


def test_oxolo_has_an_envelope_and_says_one_key_twice(clients, simulator):
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


def test_oxolo_media_and_catalogue(clients, simulator):
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


def test_xvid_tokens(clients, simulator):
    client = clients("xvid")
    base = {"client_id": "simulator", "client_secret": "c2ltdWxhdG9y"}
    for form, status in (
        ({**base, "grant_type": "client_credentials"}, 400),
        ({**base, "grant_type": "client_credential", "client_secret": "wrong"}, 403),
        ({**base, "grant_type": "client_credential", "scope": "me mediahub"}, 400),
    ):
        answer = client.call("POST", "/oauth2/token/", data=form, headers={})
        assert answer.status_code == status
        assert answer.json()["error"]["error_code"]
    form = {**base, "grant_type": "client_credential", "scope": "me,mediahub", "expires_in": "77"}
    assert client.call("POST", "/oauth2/token/", data=form, headers={}).json()["expires_in"] == "77"
    simulator.settings(xvid={"token_seconds": 0, "token_expires_in_text": False})
    answer = client.call("GET", "/jobs/", headers=client.login())
    assert answer.status_code == 403
    assert answer.json()["error"] == {"error_code": "0x0000003", "error_message": "Invalid access token"}


def test_xvid_takes_signed_urls(clients):
    client = clients("xvid")
    path = f"/v1/jobs/?client_id=simulator&expiry_time={int(time.time()) + 60}"
    signature = hmac.new(base64.b64decode("c2ltdWxhdG9y"), path.encode(), hashlib.sha256).hexdigest()
    below = path.removeprefix("/v1")
    assert client.call("GET", f"{below}&signature={signature}", headers={}).status_code == 200
    assert client.call("GET", f"{below}&signature={signature[::-1]}", headers={}).status_code == 403


def test_xvid_lists_with_filters_and_pages(clients, simulator):
    client = clients("xvid")
    for index in range(5):
        job = {"pipeline": {"id": f"P{index % 2}"}, "input": {"input_name": f"in/Movie{index}.mp4"}}
        client.post("/jobs/", {"job": {**job, "user_data": f"key {index}/ä"}})
    ids = [job["job_id"] for job in simulator.jobs("xvid")]
    simulator.move(ids[3], finish=True)

    def listed(**params):
        return [job["id"] for job in client.get("/jobs/", params=params)["jobs"]]

    assert listed() == ids
    assert listed(start=1, limit=2) == ids[1:3]
    assert listed(sort="created_at", direction=-1) == ids[::-1]
    assert listed(user_data="key 2/ä") == [ids[2]]
    assert listed(status="SUCCESS") == [ids[3]]
    assert listed(**{"pipeline.id": "P1"}) == [ids[1], ids[3]]
    assert listed(**{"input.file.name": "movie4"}) == [ids[4]]
    assert listed(inprogress="true") == ids
    page = client.get("/jobs/?limit=2")
    assert (page["start"], page["limit"], page["total"]) == (0, 2, 5)


def test_xvid_answers_in_the_form_asked_for(clients, simulator):
    client = clients("xvid")
    job_id = client.create("Tom & Jerry")
    job = client.get(f"/jobs/{job_id}")["job"]
    assert "error_msg" not in job
    assert isinstance(job["created_at"], int)
    assert client.get(f"/jobs/{job_id}?show_null=true")["job"]["error_msg"] is None
    assert "\n" in client.call("GET", f"/jobs/{job_id}?human=true").text
    root = ET.fromstring(client.call("GET", f"/jobs/{job_id}?format=xml").content)
    assert (root.tag, root.findtext("id"), root.findtext("outputs/output/output_name")) == (
        "job",
        job_id,
        "Tom & Jerry",
    )
    root = ET.fromstring(
        client.call("GET", "/jobs/none", headers={**client.headers, "accept": "application/xml"}).content
    )
    assert (root.tag, root.findtext("error_code")) == ("error", "0x0050005")
    simulator.move(job_id, finish=True)
    plain = client.get(f"/jobs/{job_id}")["job"]["outputs"][0]["file"]
    full = client.get(f"/jobs/{job_id}?expand=file")["job"]["outputs"][0]["file"]
    assert plain.keys() == {"id", "href"}
    assert full == client.get(f"/files/{plain['id']}")["file"]
    assert requests.get(plain["href"], headers=client.headers, timeout=20).json()["file"] == full


def test_xvid_keeps_pipelines_presets_and_templates(clients):
    client = clients("xvid")
    for path, name in (("/pipelines", "pipeline"), ("/presets", "preset"), ("/jobs/templates/", "template")):
        made = client.post(path, {name: {"name": "N"}})[name]
        assert client.get(f"{path.rstrip('/')}/{made['id']}")[name]["name"] == "N"
        assert len(client.get(path)[f"{name}s"]) == 1
    job = {"job": {"pipeline": {"id": "P"}, "input": {}}}
    answer = client.call("POST", "/jobs/", json=job)
    assert answer.status_code == 400
    assert "job.input.input_name" in answer.json()["error"]["error_message"]


def test_xvid_uploads_in_four_steps(clients, simulator):
    client = clients("xvid")
    simulator.settings(render_seconds=0)
    content = bytes(range(256)) * 10_000
    answer = client.call("POST", "/files/uploads/?object_key=in/movie.mp4&pipeline_id=P")
    upload = answer.json()["upload"]
    assert upload["status"] == "UPLOADING"
    path = f"/files/uploads/{upload['id']}"
    assert client.call("PUT", path, json={"upload": {"nb_chunks": 1}}).json()["error"]["error_code"] == "0x0230002"
    form = [(name, (None, value)) for name, value in upload["form_post_params"].items()]
    file = ("file", ("movie.mp4", content))
    url = upload["form_post_url"]
    assert requests.post(url, files=[file, *form], timeout=20).status_code == 400
    assert requests.post(url, files=[*form, file], headers=client.headers, timeout=20).status_code == 403
    assert requests.post(url, files=[*form[1:], file], timeout=20).status_code == 403
    assert requests.post(url, files=[*form, file], timeout=20).status_code == 204
    assert client.call("PUT", path, json={"upload": {"nb_chunks": 1}}).json()["upload"]["status"] == "COMPLETING"
    assert client.get(path)["upload"]["status"] == "COMPLETED"
    shown = client.get(f"/files/{upload['file']['id']}")["file"]
    assert (shown["size"], shown["md5_checksum"]) == (len(content), hashlib.md5(content).hexdigest())
    link = client.get(f"/files/downloads/?file_id={upload['file']['id']}")["download"]["url"]
    assert requests.get(link, timeout=20).content == content
    assert simulator.counts("xvid")["upload_bytes"] == len(content)
    job = {"pipeline": {"id": "P"}, "input": {"input_name": "in/movie.mp4"}}
    assert client.post("/jobs/", {"job": job})["job"]["input"]["file"]["id"] == upload["file"]["id"]
