# SPDX-License-Identifier: Apache-2.0
"""The files of a job of Xvid, and how they are reached."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiUnreadableAnswerError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.hooks.xvid.schemas import FileReference
from tests.support.scripted_api import Answer, ScriptedApi
from tests.support.xvid_answers import connect, job


class TestOutputs:
    def test_embedded_files_need_no_second_request(self, api: ScriptedApi, hook: XvidHook) -> None:
        outputs = [
            {"output_name": "one", "file": {"id": "f1", "name": "one.mp4", "size": 5}},
            {"output_name": "two", "file": {"id": "f2", "mime_type": "video/webm"}, "thumbnails": None},
            {"output_name": "sent away"},
        ]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        found = hook.get_outputs("j1")
        assert [(output.kind, output.output_id, output.name, output.size) for output in found] == [
            ("video", "f1", "one.mp4", 5),
            ("video", "f2", "two", None),
        ]
        assert not api.calls("GET", "/v1/files/")

    def test_what_is_no_media_type_is_left_out(self, api: ScriptedApi, hook: XvidHook) -> None:
        outputs = [{"file": {"id": "f1", "name": "Intro.mp4", "mime_type": "video/quicktime, variant=(string)iso"}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        (output,) = hook.get_outputs("j1")
        assert (output.media_type, output.name) == (None, "Intro.mp4")

    @pytest.mark.parametrize(
        ("names", "labels"),
        [(["one"], [None]), (["one", "two"], ["one", "two"]), (["one", "one"], ["1", "2"]), (["a", None], ["1", "2"])],
    )
    def test_several_videos_have_labels(
        self, api: ScriptedApi, hook: XvidHook, names: list[str | None], labels: list[str | None]
    ) -> None:
        outputs = [
            {"output_name": name, "file": {"id": f"f{number}", "name": f"{number}.mp4"}, "thumbnails": []}
            for number, name in enumerate(names)
        ]
        outputs[0]["thumbnail_zip"] = {"file": {"id": "z", "name": "z.zip"}}
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        found = hook.get_outputs("j1")
        assert [output.label for output in found if output.kind == "video"] == labels
        assert [output.label for output in found if output.kind == "archive"] == [None]

    def test_a_job_whose_files_went_elsewhere(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=[{"output_name": "x"}])}))
        with pytest.raises(VideoApiNotFoundError, match="offers no file"):
            hook.get_outputs("j1")

    def test_a_failed_job_has_none(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="FAILURE", error_msg="No such input")}))
        with pytest.raises(VideoJobFailedError, match="No such input"):
            hook.get_outputs("j1")

    def test_a_link_is_the_target_of_a_redirect_that_is_not_followed(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/downloads/", Answer(status=302, headers={"Location": f"{api.url}/store/f1?sig=s"}))
        outputs = [{"file": {"id": "f1", "name": "one.mp4"}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        (output,) = hook.get_outputs("j1")
        fresh = hook.refresh_output("j1", output)
        assert fresh == output.model_copy(update={"url": f"{api.url}/store/f1?sig=s"})
        assert fresh.identity == output.identity
        assert "sig" not in repr(fresh)
        assert api.calls("GET", "/v1/files/downloads/")[0].query == {"file_id": "f1", "redirect": "true"}
        assert not api.calls("GET", "/store/f1")

    @pytest.mark.parametrize("target", ["{api}/a//b;?", "//127.0.0.1/a//b?", "../store//f1?", "/f\u00c3\u00a9?sig=%2f"])
    def test_a_link_is_the_very_text_of_a_redirect(self, api: ScriptedApi, hook: XvidHook, target: str) -> None:
        target = target.replace("{api}", api.url)
        api.on("GET", "/v1/files/downloads/", Answer(status=302, headers={"Location": target}))
        (link,) = hook.get_download_links("f1")
        wanted = {"//": f"http:{target}", "..": f"{api.url}/v1/files/store//f1?", "/f": f"{api.url}/f\u00e9?sig=%2f"}
        assert link == wanted.get(target[:2], target)

    def test_a_redirect_to_no_address(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/downloads/", Answer(status=302, headers={"Location": "http://[x/f1"}))
        with pytest.raises(VideoApiUnreadableAnswerError, match="leads to no address"):
            hook.get_download_links("f1")

    @pytest.mark.parametrize(
        "body",
        [
            {"url": "https://s/1?x=y"},
            {"download": {"file": {"uri": "{api}/files/f1"}, "href": "https://s/1?x=y"}},
            ["https://s/1?x=y"],
            b'"https://s/1?x=y"',
        ],
    )
    def test_a_link_in_any_form_of_answer(self, api: ScriptedApi, hook: XvidHook, body: Any) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).replace("{api}", f"{api.url}/v1").encode()
        api.on("GET", "/v1/files/downloads/", Answer(text))
        when = datetime(2026, 11, 21, tzinfo=timezone.utc)
        assert hook.get_download_links("f1", redirect=False, expiry_time=when) == ["https://s/1?x=y"]
        query = {"file_id": "f1", "redirect": "false", "expiry_time": "1795219200"}
        assert api.asked[-1].query == query

    def test_an_archive_of_single_links_is_said_to_be_one(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/downloads/", Answer({"urls": ["https://s/1?secret=x", "https://s/2"]}))
        assert hook.get_download_links("f1") == ["https://s/1?secret=x", "https://s/2"]
        outputs = [{"file": {"id": "f1", "type": "archive"}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        (output,) = hook.get_outputs("j1")
        assert output.kind == "archive"
        with pytest.raises(VideoApiUnreadableAnswerError, match="2 single files") as caught:
            hook.refresh_output("j1", output)
        assert "secret" not in str(caught.value)

    def test_an_answer_without_a_link(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/downloads/", Answer({"state": "busy"}))
        with pytest.raises(VideoApiUnreadableAnswerError, match="holds no link"):
            hook.get_download_links("f1")

    def test_a_time_to_expire_of_0_is_never(self) -> None:
        assert FileReference.model_validate({"id": "f", "expires_at": 0}).expires_at is None


class TestAutoGraph:
    def offer(self, api: ScriptedApi, **file: Any) -> None:
        outputs = [{"file": {"id": "f1", "name": "one.mp4", "size": 7, "md5_checksum": "ab" * 16, **file}}]
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="SUCCESS", outputs=outputs)}))
        api.on("GET", "/v1/files/f1", Answer({"file": {"id": "f1", **file}}))
        api.on("GET", "/v1/files/downloads/", Answer(status=302, headers={"Location": f"{api.url}/store/f1"}))

    @pytest.mark.parametrize(("autograph", "md5"), [(True, None), (False, "ab" * 16), (None, "ab" * 16)])
    def test_a_copy_for_each_viewer_has_no_digest(
        self, api: ScriptedApi, hook: XvidHook, autograph: bool | None, md5: str | None
    ) -> None:
        self.offer(api, autograph=autograph)
        (output,) = hook.get_outputs("j1")
        assert (output.size, output.md5) == (7, md5)

    @pytest.mark.parametrize(
        ("extra", "query"),
        [
            ({}, {}),
            ({"autograph_tag": "viewer-7"}, {"autograph_tag": "viewer-7"}),
            ({"expert_mode": True}, {"expert_mode": "true"}),
        ],
    )
    def test_tag_and_expert_mode_are_sent_for_the_links_of_marked_files_alone(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], query: dict[str, str]
    ) -> None:
        hook = connect(api, monkeypatch, extra=extra)
        self.offer(api, autograph=True)
        (output,) = hook.get_outputs("j1")
        hook.refresh_output("j1", output)
        assert api.asked[-1].query == {"file_id": "f1", "redirect": "true", **query}
        self.offer(api, autograph=False)
        hook.refresh_output("j1", output)
        assert api.asked[-1].query == {"file_id": "f1", "redirect": "true"}
