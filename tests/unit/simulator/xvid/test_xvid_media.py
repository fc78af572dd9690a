# SPDX-License-Identifier: Apache-2.0
"""Xvid's files; with them, how files are served: ranges, ETags, true sizes and sums, and files of any size."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
import requests
from PIL import Image


@pytest.fixture
def film(clients, simulator):
    """A finished Xvid job of two outputs with thumbnails, and the client."""
    client = clients("xvid")
    thumbnails = [{"thumbnail_names": "T_{resolution}", "thumbnail_preset": "small"}]
    outputs = [{"output_name": "one", "thumbnails": thumbnails}, {"output_name": "two"}]
    job = {"pipeline": {"id": "P"}, "input": {"input_name": "a.mp4"}, "outputs": outputs}
    job_id = client.post("/jobs/", {"job": job})["job"]["id"]
    simulator.move(job_id, finish=True)
    return client, job_id


def fetch(client, file_id):
    answer = client.call("GET", f"/files/downloads/?file_id={file_id}&redirect=true")
    assert answer.status_code == 302
    return requests.get(answer.headers["location"], timeout=60)


def test_all_files_of_a_job_are_what_they_say(film, probe):
    client, job_id = film
    files = client.get(f"/files/?job.id={job_id}")["files"]
    assert [file["name"] for file in files] == ["one.mp4", "T_640x360.jpg", "one_thumbnails.zip", "two.mp4"]
    contents = {}
    for file in files:
        answer = fetch(client, file["id"])
        contents[file["name"]] = answer.content
        # The file's object says of an MP4 what the vendor's own example says; the link has a proper media type.
        shown = file["mime_type"].replace("video/quicktime, variant=(string)iso", "video/mp4")
        assert answer.headers["content-type"] == shown
        assert len(answer.content) == file["size"]
        assert hashlib.md5(answer.content).hexdigest() == file["md5_checksum"]
    assert contents["one.mp4"] != contents["two.mp4"]
    assert probe(contents["one.mp4"])[2] * 1000 == files[0]["duration"]
    assert Image.open(io.BytesIO(contents["T_640x360.jpg"])).size == (640, 360)
    assert len(zipfile.ZipFile(io.BytesIO(contents["one_thumbnails.zip"])).namelist()) == 3


def test_a_file_is_the_same_every_time(film, simulator):
    client, job_id = film
    file = client.get(f"/files/?job.id={job_id}")["files"][0]
    assert fetch(client, file["id"]).content == fetch(client, file["id"]).content


@pytest.mark.parametrize("size", [None, 3_000_017])
def test_ranges(film, simulator, size):
    client, job_id = film
    simulator.settings(file_bytes=size)
    url = fetch(client, client.get(f"/jobs/{job_id}")["job"]["outputs"][0]["file"]["id"]).url
    whole = requests.get(url, timeout=20)
    body, etag = whole.content, whole.headers["etag"]
    for text, start, end in (
        ("0-9", 0, 10),
        ("5-", 5, len(body)),
        ("-7", len(body) - 7, len(body)),
        (f"100-{len(body) * 2}", 100, len(body)),
    ):
        answer = requests.get(url, headers={"range": f"bytes={text}", "if-range": etag}, timeout=20)
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(body)}"
        assert answer.content == body[start:end]
    answer = requests.get(url, headers={"range": "bytes=5-", "if-range": '"another"'}, timeout=20)
    assert (answer.status_code, answer.content) == (200, body)
    answer = requests.get(url, headers={"range": f"bytes={len(body)}-"}, timeout=20)
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(body)}")
    head = requests.head(url, timeout=20)
    assert (head.headers["content-length"], head.headers["etag"], head.content) == (str(len(body)), etag, b"")


def boxes(content):
    """Names and sizes of the top boxes, which must tile the file."""
    found, at = [], 0
    while at < len(content):
        size, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16], "big")
        found.append((name, size))
        at += size
    assert at == len(content)
    return found


def test_a_file_of_any_size_is_whole_and_plays(film, simulator, probe):
    client, job_id = film
    simulator.settings(file_bytes=5_000_001)
    files = client.get(f"/files/?job.id={job_id}&type=file")["files"]
    videos = [file for file in files if file["name"].endswith(".mp4")]
    first, second = (fetch(client, file["id"]).content for file in videos)
    assert len(first) == len(second) == videos[0]["size"] == 5_000_001
    assert hashlib.md5(first).hexdigest() == videos[0]["md5_checksum"]
    assert hashlib.md5(second).hexdigest() == videos[1]["md5_checksum"] != videos[0]["md5_checksum"]
    assert [name for name, _ in boxes(first)] == [b"ftyp", b"moov", b"free", b"mdat", b"free", b"free"]
    assert probe(first)[0] == "h264"


def test_the_end_of_a_file_larger_than_four_gib(film, simulator):
    client, job_id = film
    simulator.settings(file_bytes=5 << 30, xvid={})
    file_id = client.get(f"/jobs/{job_id}")["job"]["outputs"][0]["file"]["id"]
    url = client.call("GET", f"/files/downloads/?file_id={file_id}&redirect=true").headers["location"]
    answer = requests.get(url, headers={"range": "bytes=-32"}, timeout=20)
    assert answer.headers["content-range"].endswith(f"/{5 << 30}")
    assert answer.content.endswith(b"video-0")
