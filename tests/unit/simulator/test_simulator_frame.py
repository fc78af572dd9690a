# SPDX-License-Identifier: Apache-2.0
"""What the frame offers to vendors' modules: files in several formats, uploads by PUT, replays, links without end."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from dataclasses import replace
from urllib.parse import urlsplit

import av
import pytest
import requests
from PIL import Image
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from airflow_video_providers.simulator import callbacks, uploads
from airflow_video_providers.simulator import contents as contents_module
from airflow_video_providers.simulator.contents import NEVER, Contents
from airflow_video_providers.simulator.media import Studio
from airflow_video_providers.simulator.settings_book import SettingsBook
from airflow_video_providers.simulator.vendor import RefusedError, Replays, json_notice, new_job
from airflow_video_providers.simulator.vendors import load_vendors
from airflow_video_providers.simulator.world import MOST_TOKENS, World

VENDOR = replace(next(iter(load_vendors().values())), notices=lambda *_: [])


@pytest.fixture
def world():
    return World(SettingsBook(render_seconds=0))


@pytest.fixture
def shelf(world, tmp_path):
    world.media_origin = "http://testserver"
    return Contents(world, Studio(tmp_path), "secret")


@pytest.fixture
def job(world, shelf):
    return new_job(world, VENDOR, shelf, job_id="J", name="A title", request={})


def path_of(link):
    return link.removeprefix("http://testserver/media")


@pytest.mark.parametrize(
    ("label", "media_type"),
    [
        ("video", "video/mp4"),
        ("video-captioned.mov", "video/quicktime"),
        ("video.webm", "video/webm"),
        ("audio", "audio/mp4"),
        ("audio.mp3", "audio/mpeg"),
        ("audio.wav", "audio/wav"),
        ("image", "image/png"),
        ("image-preview.gif", "image/gif"),
        ("thumbnail", "image/jpeg"),
        ("subtitles", "text/vtt"),
        ("subtitles-de.srt", "application/x-subrip"),
        ("archive", "application/zip"),
    ],
)
def test_a_label_names_kind_and_format(shelf, job, label, media_type):
    answer = TestClient(contents_module.create_app(shelf)).get(path_of(shelf.link(job, label)))
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, media_type)
    content = io.BytesIO(answer.content)
    if media_type.startswith(("video", "audio")):
        with av.open(content) as container:
            assert sum(1 for _ in container.decode(container.streams[0])) > 0
    elif media_type.startswith("image"):
        Image.open(content).verify()
    else:
        assert answer.content[:2] in (b"WE", b"1\n", b"PK")


@pytest.mark.parametrize("label", ["film", "video.exe", "video.", ".mp4", "subtitles-de.mp5"])
def test_no_other_file_is_there(shelf, job, label):
    assert TestClient(contents_module.create_app(shelf)).get(path_of(shelf.link(job, label))).status_code == 404


def test_a_link_can_live_as_long_as_its_file(world, shelf, job):
    client = TestClient(contents_module.create_app(shelf))
    world.settings.patch({"link_seconds": -1e12})
    assert client.get(path_of(shelf.link(job, "video"))).status_code == 403
    assert client.get(path_of(shelf.link(job, "video", expires=NEVER))).status_code == 200


def test_a_signed_link_takes_a_file_by_put(world, shelf):
    world.put(f"{VENDOR.name}.uploads", "U", {"id": "U"})
    client = TestClient(uploads.create_app(world, shelf))
    url = urlsplit(shelf.upload_link(VENDOR.name, "U"))
    path = url.path.removeprefix("/upload")
    assert client.put(f"{path}?{url.query}", content=b"abc", headers={"authorization": "x"}).status_code == 403
    assert client.put(f"{path}?{url.query}x", content=b"abc").status_code == 403
    assert client.put(f"{path}?{url.query}", content=b"abc", headers={"content-type": "video/mp4"}).status_code == 200
    kept = world.resources[f"{VENDOR.name}.uploads"]["U"]
    digest = hashlib.md5(b"abc", usedforsecurity=False).hexdigest()
    assert (kept["size"], kept["md5"], kept["mime_type"]) == (3, digest, "video/mp4")
    assert world.counts[VENDOR.name]["upload_bytes"] == 3
    gone = urlsplit(shelf.upload_link(VENDOR.name, "V"))
    assert client.put(f"/{VENDOR.name}/V?{gone.query}", content=b"abc").status_code == 404
    late = urlsplit(shelf.upload_link(VENDOR.name, "U", expires=1))
    assert client.put(f"{path}?{late.query}", content=b"abc").status_code == 403
    link = shelf.link_to(VENDOR.name, "U", "upload", "u.mp4")
    answer = TestClient(contents_module.create_app(shelf)).get(path_of(link))
    assert (answer.content, answer.headers["content-type"]) == (b"abc", "video/mp4")


def test_a_key_is_replayed_while_it_is_kept(world):
    replays, made = Replays(world, VENDOR.name, 3600), []

    async def make():
        made.append(1)
        await asyncio.sleep(0.05)
        return JSONResponse({"number": len(made)}, 402)

    async def scene():
        first, second = await asyncio.gather(
            replays.answer("POST /videos", "k", make),
            replays.answer("POST /videos", "k", make),
            return_exceptions=True,
        )
        assert isinstance(second, RefusedError)
        assert (second.status, second.code) == (409, "request_in_progress")
        again = await replays.answer("POST /videos", "k", make)
        assert (first.body, first.status_code) == (again.body, again.status_code) == (b'{"number":1}', 402)
        await replays.answer("POST /templates/1", "k", make)
        await replays.answer("POST /videos", None, make)
        assert len(made) == 3
        kept = world.resources[f"{VENDOR.name}.replays"]
        for name in kept:
            kept[name] = {**kept[name], "until": 0}
        await replays.answer("POST /videos", "k", make)
        assert (len(made), len(kept)) == (4, 1)

    asyncio.run(scene())


def test_tokens_are_bounded(world):
    first = world.issue_token(1e6)
    for _ in range(MOST_TOKENS):
        last = world.issue_token(1e6, scopes=["a"])
    assert len(world.tokens) == MOST_TOKENS
    assert world.find_token(first) is None
    assert world.find_token(last)["scopes"] == ["a"]
    assert world.find_token(world.issue_token(0)) is None


@pytest.mark.parametrize(
    ("effect", "body", "late"),
    [({}, b"{}", 0), ({"signed_ago": 1000}, b"{}", 1000), ({"wrong_signature": True}, b"{} ", 0)],
)
def test_a_callback_is_signed_as_of_the_time_it_is_sent(receiver, effect, body, late):
    signed = []

    def sign(content, now):
        signed.append((content, round((time.time() - now) / 100) * 100))
        return {"x-signature": "s"}

    callbacks._send(json_notice("n", f"{receiver.url}/there", {}, sign), effect, 5)
    path, headers, sent = receiver.calls.get(timeout=20)
    assert (path, headers["x-signature"], sent) == ("/there", "s", b"{}")
    assert signed == [(body, late)]


@pytest.mark.parametrize("name", load_vendors())
def test_every_setting_of_a_vendor_says_what_it_means(simulator, name):
    shown = requests.get(f"{simulator.url}/_simulator/vendors", timeout=20).json()[name]
    assert {"create", "status"} <= set(shown["operations"])
    assert all(setting["meaning"] for setting in shown["settings"].values())
    own = {field: setting["default"] for field, setting in shown["settings"].items()}
    kept = requests.get(f"{simulator.url}/_simulator/settings", timeout=20).json().get(name, {})
    assert own.items() <= kept.items()
