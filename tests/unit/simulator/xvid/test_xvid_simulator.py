# SPDX-License-Identifier: Apache-2.0
"""Xvid's own ways, as its documents have them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import xml.etree.ElementTree as ET

import pytest
import requests


def test_tokens(clients, simulator):
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


def test_takes_signed_urls(clients):
    client = clients("xvid")
    path = f"/v1/jobs/?client_id=simulator&expiry_time={int(time.time()) + 60}"
    signature = hmac.new(base64.b64decode("c2ltdWxhdG9y"), path.encode(), hashlib.sha256).hexdigest()
    below = path.removeprefix("/v1")
    assert client.call("GET", f"{below}&signature={signature}", headers={}).status_code == 200
    assert client.call("GET", f"{below}&signature={signature[::-1]}", headers={}).status_code == 403


def test_lists_with_filters_and_pages(clients, simulator):
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


def test_answers_in_the_form_asked_for(clients, simulator):
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


def test_keeps_pipelines_presets_and_templates(clients):
    client = clients("xvid")
    for path, name in (("/pipelines", "pipeline"), ("/presets", "preset"), ("/jobs/templates/", "template")):
        made = client.post(path, {name: {"name": "N"}})[name]
        assert client.get(f"{path.rstrip('/')}/{made['id']}")[name]["name"] == "N"
        assert len(client.get(path)[f"{name}s"]) == 1
    job = {"job": {"pipeline": {"id": "P"}, "input": {}}}
    answer = client.call("POST", "/jobs/", json=job)
    assert answer.status_code == 400
    assert "job.input.input_name" in answer.json()["error"]["error_message"]


def test_uploads_in_four_steps(clients, simulator):
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


def test_a_callback_pings_the_pipeline_and_counts(clients, simulator, receiver):
    client, (url, calls) = clients("xvid"), receiver
    pings = {"started": f"{url}/started", "finished": f"{url}/finished"}
    pipeline = client.post("/pipelines", {"pipeline": {"name": "p", "ping_urls": pings}})["pipeline"]["id"]
    job = {"pipeline": {"id": pipeline}, "input": {"input_name": "a.mp4"}}
    job_id = client.post("/jobs/", {"job": job})["job"]["id"]
    simulator.move(job_id, finish=True)
    assert {calls.get(timeout=20)[0] for _ in range(2)} == {"/started", "/finished"}
    assert simulator.jobs()[0]["state"] == "succeeded"


JOB = {"pipeline": {"id": "P"}, "input": {"input_name": "a.mp4"}}
READ, SUBMIT, CANCEL, UPLOAD, PIPELINE, DOWNLOAD, MARK = range(7)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("", {READ, SUBMIT, CANCEL, UPLOAD, PIPELINE, DOWNLOAD, MARK}),
        ("mediahub", {READ, SUBMIT, CANCEL, UPLOAD, PIPELINE, DOWNLOAD}),
        ("mediahub_read,mediahub_write", {READ, SUBMIT, CANCEL, UPLOAD, PIPELINE, DOWNLOAD}),
        ("mediahub,autograph", {READ, SUBMIT, CANCEL, UPLOAD, PIPELINE, DOWNLOAD, MARK}),
        ("mediahub_read,mediahub_submit_jobs,mediahub_download_files", {READ, SUBMIT, DOWNLOAD}),
        ("mediahub_read", {READ, DOWNLOAD}),
        ("mediahub_submit_jobs", {SUBMIT}),
        ("mediahub_download_files", {DOWNLOAD}),
        ("mediahub_write", {SUBMIT, CANCEL, UPLOAD, PIPELINE}),
        ("me", set()),
    ],
)
def test_a_token_does_what_its_scopes_grant(clients, simulator, scope, allowed):
    client = clients("xvid")
    done, running = client.create(), client.create()
    simulator.move(done, finish=True)
    file_id = client.get(f"/jobs/{done}")["job"]["outputs"][0]["file"]["id"]
    headers = client.login(scope=scope)
    calls = {
        READ: ("GET", f"/jobs/{done}", None),
        SUBMIT: ("POST", "/jobs/", {"job": JOB}),
        UPLOAD: ("POST", "/files/uploads/?object_key=a.mp4&pipeline_id=P", None),
        PIPELINE: ("POST", "/pipelines/", {"pipeline": {"name": "p"}}),
        DOWNLOAD: ("GET", f"/files/downloads/?file_id={file_id}", None),
        MARK: ("POST", "/jobs/", {"job": {**JOB, "autograph": {"watermark_strength": "light"}}}),
        CANCEL: ("DELETE", f"/jobs/{running}", None),
    }
    answers = {name: client.call(*call[:2], json=call[2], headers=headers) for name, call in calls.items()}
    assert {name for name, answer in answers.items() if answer.ok} == allowed
    refused = [answer.json()["error"]["error_code"] for answer in answers.values() if not answer.ok]
    assert set(refused) <= {"0x0000006"}
    assert {answer.status_code for answer in answers.values() if not answer.ok} <= {403}


def test_no_two_viewers_get_the_same_copy_of_a_watermarked_file(clients, simulator):
    client = clients("xvid")
    job = {**JOB, "autograph": {"watermark_strength": "light"}}
    marked, plain = (client.post("/jobs/", {"job": body})["job"]["id"] for body in (job, JOB))
    for job_id in (marked, plain):
        simulator.move(job_id, finish=True)

    def file_of(job_id):
        return client.get(f"/jobs/{job_id}?expand=file")["job"]["outputs"][0]["file"]

    def copy_for(file, query=""):
        answer = client.call("GET", f"/files/downloads/?file_id={file['id']}&redirect=true{query}")
        return requests.get(answer.headers["location"], timeout=60).content

    file = file_of(marked)
    copies = [
        copy_for(file, query) for query in ("", "", "&autograph_tag=ann", "&autograph_tag=bob", "&expert_mode=true")
    ]
    assert len(set(copies)) == 5
    assert copy_for(file, "&autograph_tag=ann") == copies[2]
    assert {len(copy) for copy in copies} == {file["size"]}
    assert file["md5_checksum"] not in {hashlib.md5(copy).hexdigest() for copy in copies}
    assert file["autograph"] is True
    refused = client.call("GET", f"/files/downloads/?file_id={file_of(plain)['id']}&autograph_tag=ann")
    assert refused.status_code == 400
