# SPDX-License-Identifier: Apache-2.0
"""Uploading source media with the Xvid hook."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    DestinationError,
    SourceError,
    VideoApiUnavailableError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.hooks.xvid import upload as xvid_upload
from tests.support.scripted_api import Answer, ScriptedApi


class Upload:
    """An upload that becomes done after some looks."""

    def __init__(self, api: ScriptedApi, *statuses: str, **final: Any) -> None:
        form = {
            "form_post_url": f"{api.url}/store/",
            "form_post_params": {"policy": "p", "key": "tmp/in.mp4", "chunk": 0},
        }
        opened = {"id": "u1", "status": "UPLOADING", "object_key": "uploads/in.mp4", **form}
        api.on("POST", "/v1/files/uploads/", Answer({"upload": opened}))
        api.on("POST", "/store/", Answer(b"<ok/>", status=201))
        api.on("PUT", "/v1/files/uploads/u1", Answer({"upload": {"id": "u1", "status": "COMPLETING"}}))
        looks = [Answer({"upload": {"id": "u1", "status": status, **final}}) for status in statuses]
        api.on("GET", "/v1/files/uploads/u1", *looks)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xvid_upload, "_POLL_SECONDS", (0.0, 0.0))


@pytest.mark.usefixtures("no_pause")
class TestUploading:
    def send(self, hook: XvidHook, content: bytes = b"film", **options: Any) -> str:
        options = {"name": "uploads/in.mp4", "size": len(content), "pipeline_id": "P", **options}
        return hook.upload_media(io.BytesIO(content), media_type="video/mp4", **options)

    def test_four_steps(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "COMPLETING", "READY")
        assert self.send(hook, expires_at=0) == "uploads/in.mp4"
        steps = [(asked.method, asked.path) for asked in api.asked if "oauth2" not in asked.path]
        assert steps == [
            ("POST", "/v1/files/uploads/"),
            ("POST", "/store/"),
            ("PUT", "/v1/files/uploads/u1"),
            ("GET", "/v1/files/uploads/u1"),
            ("GET", "/v1/files/uploads/u1"),
        ]
        opened, posted, completed = (api.calls(*step)[0] for step in steps[:3])
        assert opened.query == {"object_key": "uploads/in.mp4", "pipeline_id": "P", "expires_at": "0"}
        assert completed.json == {"upload": {"nb_chunks": 1}}
        assert "Authorization" in opened.headers
        assert "Authorization" not in posted.headers
        assert posted.headers["Content-Length"] == str(len(posted.body))
        names = [
            part.split(b'name="')[1].split(b'"')[0] for part in posted.body.split(b"--")[1:-1] if b'name="' in part
        ]
        assert names == [b"policy", b"key", b"chunk", b"file"]
        assert b'filename="in.mp4"' in posted.body
        assert b"video/mp4\r\n\r\nfilm\r\n" in posted.body

    def test_a_large_source_is_read_in_pieces(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "READY")
        size = 3_000_000
        largest = 0

        class Source(io.RawIOBase):
            left = size

            def read(self, wanted: int = -1) -> bytes:
                nonlocal largest
                piece = min(wanted, self.left)
                largest = max(largest, piece)
                self.left -= piece
                return b"x" * piece

        hook.upload_media(Source(), name="in.mp4", size=size, pipeline_id="P")  # type: ignore[arg-type]
        assert api.calls("POST", "/store/")[0].body.count(b"x" * 1000) == size // 1000
        assert largest < 100_000

    @pytest.mark.parametrize(("size", "text"), [(5, "ended after 4 of 5 bytes"), (3, "longer than the 3 bytes")])
    def test_a_source_of_another_length(self, api: ScriptedApi, hook: XvidHook, size: int, text: str) -> None:
        Upload(api, "READY")
        with pytest.raises(SourceError, match=text):
            self.send(hook, size=size)
        assert not api.calls("PUT", "/v1/files/uploads/u1")

    def test_the_form_is_posted_once_even_if_refused(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "READY")
        api.on("POST", "/store/", Answer(status=503, headers={"Retry-After": "0"}))
        with pytest.raises(VideoApiUnavailableError):
            self.send(hook)
        assert len(api.calls("POST", "/store/")) == 1

    @pytest.mark.parametrize(("status", "final"), [("FAILED", {}), ("ODD", {"error_msg": "broken file"})])
    def test_a_failed_upload(self, api: ScriptedApi, hook: XvidHook, status: str, final: dict[str, str]) -> None:
        Upload(api, status, **final)
        with pytest.raises(DestinationError, match=f"ended as {status}"):
            self.send(hook)

    def test_a_reason_with_a_signed_link_is_shown_without_it(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "FAILED", error_msg="no https://s.example/?a=1&sig=feed")
        with pytest.raises(DestinationError, match=r"s\.example") as caught:
            self.send(hook)
        assert "feed" not in str(caught.value)

    def test_the_final_status_can_be_told(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "COMPLETING", "STORED", "VERIFIED")
        self.send(hook, done_status="VERIFIED")
        assert len(api.calls("GET", "/v1/files/uploads/u1")) == 3

    def test_a_status_that_never_moves_is_a_warning(
        self, api: ScriptedApi, hook: XvidHook, caplog: pytest.LogCaptureFixture
    ) -> None:
        Upload(api, "UPLOADING")
        with caplog.at_level(logging.WARNING):
            assert self.send(hook, wait_seconds=0.05) == "uploads/in.mp4"
        assert "upload u1 was taken, but Xvid still says UPLOADING" in caplog.text
        with pytest.raises(DestinationError, match="still UPLOADING"):
            self.send(hook, wait_seconds=0.05, done_status="READY")

    def test_the_wait_is_bounded(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "COMPLETING")
        with pytest.raises(DestinationError, match=r"still COMPLETING after 0\.05 s"):
            self.send(hook, wait_seconds=0.05)

    @pytest.mark.parametrize(
        "options",
        [
            {"pipeline_id": None},
            {"pipeline_id": 1e5},
            {"image": 1},
            {"size": -1},
            *({"wait_seconds": value} for value in ("soon", "nan", -1, None, [1], 10**400)),
        ],
    )
    def test_wrong_options(self, api: ScriptedApi, hook: XvidHook, options: dict[str, Any]) -> None:
        Upload(api, "READY")
        with pytest.raises(VideoConfigurationError):
            self.send(hook, **options)
        assert not api.calls("POST", "/store/")

    def test_options_as_templates_render_them(self, api: ScriptedApi, hook: XvidHook) -> None:
        Upload(api, "COMPLETING", "READY")
        self.send(hook, wait_seconds="600", pipeline_id=547)
        (opened,) = api.calls("POST", "/v1/files/uploads/")
        assert opened.query["pipeline_id"] == "547"
