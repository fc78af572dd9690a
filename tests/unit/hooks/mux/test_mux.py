# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from base64 import b64encode
from datetime import datetime, timezone
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoConfigurationError,
    VideoJobError,
    VideoSearchInconclusiveError,
)
from airflow_video_providers.hooks.mux import MuxHook
from airflow_video_providers.hooks.mux.hook import FILES_PREPARING
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

ASSETS = "/video/v1/assets"
BODY = {"inputs": [{"url": "https://example.com/in.mp4"}], "playback_policies": ["public"]}
NOW = 1_795_687_200
SINCE = datetime.fromtimestamp(NOW, timezone.utc)


def asset(asset_id: str = "a1", **fields: Any) -> dict[str, Any]:
    return {"id": asset_id, "status": "ready", "created_at": str(NOW), **fields}


def file(name: str, status: str = "ready", **fields: Any) -> dict[str, Any]:
    return {"name": name, "ext": name.rpartition(".")[2], "status": status, "filesize": "1234", **fields}


def connect(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, **extra: str) -> MuxHook:
    connection = {"conn_type": "mux", "host": local_api.url, "login": "id", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MUX_DEFAULT", json.dumps(connection))
    return MuxHook()


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> MuxHook:
    return connect(local_api, monkeypatch)


class TestSubmit:
    @pytest.mark.parametrize(
        ("own", "passthrough", "external_id"),
        [
            ({}, "key-1", "key-1"),
            ({"passthrough": "mine"}, "mine", "key-1"),
            ({"meta": {"external_id": "mine", "title": "T"}}, "key-1", "mine"),
        ],
    )
    def test_the_key_goes_where_there_is_room(
        self, hook: MuxHook, local_api: LocalApi, own: dict[str, Any], passthrough: str, external_id: str
    ) -> None:
        local_api.on("POST", ASSETS, Answer(status=201, json={"data": asset(status="preparing")}))
        assert hook.submit_job({**BODY, **own}, key="key-1").key == "key-1"
        (request,) = local_api.received
        sent = request.json()
        assert (sent["passthrough"], sent["meta"]["external_id"]) == (passthrough, external_id)
        assert request.headers["authorization"] == "Basic " + b64encode(b"id:secret").decode()

    def test_both_taken_is_refused_before_anything_is_sent(self, hook: MuxHook, local_api: LocalApi) -> None:
        with pytest.raises(SubmissionKeyConflictError, match="passthrough"):
            hook.submit_job({**BODY, "passthrough": "a", "meta": {"external_id": "b"}}, key="key-1")
        assert local_api.count() == 0

    def test_the_asset_of_an_upload_is_taken_and_not_made_again(self, hook: MuxHook, local_api: LocalApi) -> None:
        upload = {"id": "u1", "status": "asset_created", "asset_id": "a1"}
        local_api.on("GET", "/video/v1/uploads/u1", Answer(json={"data": upload}))
        local_api.on("GET", f"{ASSETS}/a1", Answer(json={"data": asset(status="preparing")}))
        assert hook.submit_job({"upload_id": "u1"}, key="key-1").job_id == "a1"
        assert {request.method for request in local_api.received} == {"GET"}

    def test_a_refusal_shows_all_messages(self, hook: MuxHook, local_api: LocalApi) -> None:
        error = {"type": "invalid_parameters", "messages": ["one", "two"]}
        local_api.on("POST", ASSETS, Answer(status=400, json={"error": error}))
        with pytest.raises(VideoApiInvalidRequestError, match="one; two") as caught:
            hook.submit_job(BODY)
        assert caught.value.code == "invalid_parameters"


class TestStatus:
    @pytest.mark.parametrize(
        ("fields", "state", "progress"),
        [
            ({"status": "preparing", "progress": {"state": "transcoding", "progress": 40}}, JobState.RUNNING, 0.4),
            ({"status": "preparing", "progress": {"state": "ingesting", "progress": -1}}, JobState.RUNNING, None),
            ({"static_renditions": {"files": [file("highest.mp4", "preparing")]}}, JobState.RUNNING, None),
            ({"master": {"status": "preparing"}}, JobState.RUNNING, None),
            ({"static_renditions": {"files": [file("highest.mp4"), file("x.mp4", "skipped")]}}, "succeeded", None),
            ({}, JobState.SUCCEEDED, None),
            ({"status": "errored", "errors": {"type": "invalid_input", "messages": ["no film"]}}, "failed", None),
        ],
    )
    def test_ready_is_not_yet_the_file(
        self, hook: MuxHook, local_api: LocalApi, fields: dict[str, Any], state: str, progress: float | None
    ) -> None:
        local_api.on("GET", f"{ASSETS}/a1", Answer(json={"data": asset(**fields)}))
        job = hook.get_job("a1")
        assert (job.state, job.progress) == (state, progress)
        assert job.created_at == SINCE
        if job.state is JobState.FAILED:
            assert str(job.error) == "[invalid_input] no film"

    def test_one_list_serves_many(self, hook: MuxHook, local_api: LocalApi) -> None:
        local_api.on("GET", ASSETS, Answer(json={"data": [asset("a1"), {"no": "id"}, asset("a2", status="preparing")]}))
        found = hook.get_jobs(["a1", "a2", "gone"])
        assert {job_id: job.state for job_id, job in found.items()} == {"a1": "succeeded", "a2": "running"}
        assert local_api.count() == 1


class TestFind:
    def test_a_list_that_begins_with_the_oldest_is_read_to_its_end(self, hook: MuxHook, local_api: LocalApi) -> None:
        old = [asset(f"o{n}", created_at=str(NOW - 9000 + n)) for n in range(5)]
        local_api.on("GET", ASSETS, Answer(json={"data": [*old, asset("a1", passthrough="key-1")]}))
        found = hook.find_job("key-1", request=BODY, since=SINCE)
        assert found is not None
        assert found.job_id == "a1"

    @pytest.mark.parametrize(
        "odd", [{"passthrough": ["key-1"]}, {"meta": {"external_id": {"a": "key-1"}}}, {"meta": ["key-1"]}]
    )
    def test_an_odd_key_is_no_proof_that_nothing_was_bought(
        self, hook: MuxHook, local_api: LocalApi, odd: dict[str, Any]
    ) -> None:
        local_api.on("GET", ASSETS, Answer(json={"data": [asset("a1", **odd)]}))
        with pytest.raises(VideoSearchInconclusiveError):
            hook.find_job("key-1", request=BODY, since=SINCE)

    @pytest.mark.parametrize("more", [{}, {"next_cursor": "c"}])
    def test_pages_that_the_server_cuts_shorter_are_all_searched(
        self, hook: MuxHook, local_api: LocalApi, more: dict[str, str]
    ) -> None:
        page = [asset(f"o{n}") for n in range(50)]
        last = [asset("a1", passthrough="key-1")]
        local_api.on(
            "GET", ASSETS, Answer(json={"data": page, **more}), Answer(json={"data": last}), Answer(json={"data": []})
        )
        found = hook.find_job("key-1", request=BODY, since=SINCE)
        assert found is not None
        assert found.job_id == "a1"

    def test_the_newest_first_is_read_no_further_than_needed(self, hook: MuxHook, local_api: LocalApi) -> None:
        page = [asset(f"o{n}", created_at=str(NOW - 9000 - n)) for n in range(100)]
        local_api.on("GET", ASSETS, Answer(json={"data": page}))
        assert hook.find_job("key-1", request=BODY, since=SINCE) is None
        assert local_api.count() == 1


class TestOutputs:
    def outputs(self, hook: MuxHook, local_api: LocalApi, **fields: Any) -> list[Any]:
        local_api.on("GET", f"{ASSETS}/a1", Answer(json={"data": asset(**fields)}))
        return hook.get_outputs("a1")

    def test_files_of_several_resolutions_have_labels(self, hook: MuxHook, local_api: LocalApi) -> None:
        files = [file("1080p.mp4", resolution="1080p"), file("720p.mp4", resolution="720p"), file("audio.m4a")]
        found = self.outputs(
            hook,
            local_api,
            playback_ids=[{"id": "s", "policy": "signed"}, {"id": "p", "policy": "public"}],
            static_renditions={"files": [*files, file("480p.mp4", "errored")]},
            tracks=[{"id": "t1", "type": "text", "status": "ready", "language_code": "en"}],
        )
        assert [(o.kind, o.label, o.size, o.url) for o in found] == [
            ("video", "1080p", 1234, "https://stream.mux.com/p/1080p.mp4"),
            ("video", "720p", 1234, "https://stream.mux.com/p/720p.mp4"),
            ("audio", None, 1234, "https://stream.mux.com/p/audio.m4a"),
            ("thumbnail", None, None, "https://image.mux.com/p/thumbnail.jpg"),
            ("subtitles", None, None, "https://stream.mux.com/p/text/t1.vtt"),
        ]

    @pytest.mark.parametrize("form", ["pem", "base64"])
    def test_signed_links(self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        text = pem.decode() if form == "pem" else b64encode(pem).decode()
        hook = connect(local_api, monkeypatch, signing_key_id="k1", signing_private_key=text)
        signed = {"playback_ids": [{"id": "s", "policy": "signed"}]}
        video, picture = self.outputs(hook, local_api, **signed, static_renditions={"files": [file("highest.mp4")]})
        for output, audience in ((video, "v"), (picture, "t")):
            token = output.url.partition("?token=")[2]
            claims = jwt.decode(token, key.public_key(), algorithms=["RS256"], audience=audience)
            assert claims["sub"] == "s"
            assert jwt.get_unverified_header(token)["kid"] == "k1"

    @pytest.mark.parametrize("extra", [{}, {"signing_key_id": "k1", "signing_private_key": "not a key"}])
    def test_signed_files_need_a_key(
        self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str]
    ) -> None:
        hook = connect(local_api, monkeypatch, **extra)
        with pytest.raises(VideoConfigurationError, match="signing_private_key"):
            self.outputs(
                hook,
                local_api,
                playback_ids=[{"id": "s", "policy": "signed"}],
                static_renditions={"files": [file("highest.mp4")]},
            )

    def test_there_is_no_picture_of_a_sound(self, hook: MuxHook, local_api: LocalApi) -> None:
        shown = asset(
            playback_ids=[{"id": "p", "policy": "public"}],
            static_renditions={"files": [file("audio.m4a")]},
            tracks=[{"id": "t1", "type": "audio"}],
        )
        local_api.on("GET", f"{ASSETS}/a1", Answer(json={"data": shown}))
        assert [output.kind for output in hook.get_outputs("a1")] == ["audio"]

    def test_the_master_alone_and_nothing_at_all(self, hook: MuxHook, local_api: LocalApi) -> None:
        (master,) = self.outputs(hook, local_api, master={"status": "ready", "url": "https://m.invalid/m.mp4"})
        assert (master.kind, master.label) == ("video", None)
        with pytest.raises(VideoJobError, match="static_renditions"):
            self.outputs(hook, local_api, playback_ids=[{"id": "p", "policy": "public"}])


class TestCancel:
    def test_a_playable_asset_is_never_deleted(self, hook: MuxHook, local_api: LocalApi) -> None:
        preparing = {"static_renditions": {"files": [file("highest.mp4", "preparing")]}}
        local_api.on("GET", f"{ASSETS}/a1", Answer(json={"data": asset(**preparing)}))
        with pytest.raises(VideoJobError, match=FILES_PREPARING):
            hook.cancel_job("a1")
        assert {request.method for request in local_api.received} == {"GET"}
