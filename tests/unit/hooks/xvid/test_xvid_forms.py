# SPDX-License-Identifier: Apache-2.0
"""What the Xvid hook reads and sends beside jobs: XML, parameters, the small resources."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiPermissionError,
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.hooks.xvid.schemas import FileReference
from tests.support.scripted_api import Answer, ScriptedApi
from tests.support.xvid_answers import job, jobs


class TestErrorsInXml:
    TEXT = b"<response><error><error_code>%s</error_code><error_message>Not for you</error_message></error></response>"

    @pytest.mark.parametrize(
        ("code", "expected"),
        [(b"0x0000003", VideoApiAuthenticationError), (b"0x0050001", VideoApiPermissionError)],
    )
    @pytest.mark.parametrize("wrapped", [True, False])
    def test_are_read_as_those_in_json(
        self, api: ScriptedApi, hook: XvidHook, code: bytes, expected: type[Exception], wrapped: bool
    ) -> None:
        text = self.TEXT % code
        if not wrapped:
            text = text.replace(b"<response>", b"").replace(b"</response>", b"")
        api.on("GET", "/v1/jobs/j1", Answer(text, status=403, headers={"Content-Type": "application/xml"}))
        with pytest.raises(VideoApiError, match="Not for you") as caught:
            hook.read_job("j1", format="xml")
        assert type(caught.value) is expected
        assert caught.value.code == code.decode()

    @pytest.mark.parametrize("text", [b"<html><body>Bad gateway</body></html>", b"Bad gateway", b"<a>Bad <b>gateway"])
    def test_a_page_is_still_a_page(self, api: ScriptedApi, hook: XvidHook, text: bytes) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(text, status=403))
        with pytest.raises(VideoApiPermissionError, match="Bad gateway"):
            hook.read_job("j1")


def test_a_reason_with_a_signed_link_is_shown_without_it(api: ScriptedApi, hook: XvidHook) -> None:
    text = "cannot read https://in.example/?client_id=1&signature=feed"
    api.on("GET", "/v1/jobs/j1", Answer({"job": job("j1", "FAILURE", error_code="7", error_msg=text)}))
    assert "feed" not in str(hook.get_job("j1").to_xcom())


class TestForms:
    def test_xml_is_read_into_the_same_shape(self, api: ScriptedApi, hook: XvidHook) -> None:
        text = b"""<?xml version="1.0"?><job><id>j1</id><status>SUCCESS</status><user_data/>
        <created_at>1436335084087</created_at><percentage_completed>100</percentage_completed>
        <outputs><output><output_name>one</output_name><file><id>f1</id></file>
        <thumbnails><thumbnail><file><id>t1</id></file></thumbnail></thumbnails></output></outputs></job>"""
        api.on("GET", "/v1/jobs/j1", Answer(text, headers={"Content-Type": "application/xml"}))
        found = hook.read_job("j1", format="xml")
        assert found.user_data is None
        assert found.outputs is not None
        assert found.outputs[0].file is not None
        assert found.outputs[0].file.id == "f1"
        assert found.outputs[0].thumbnails is not None
        assert found.outputs[0].thumbnails[0].file == FileReference(id="t1")
        assert found.created_at == datetime(2015, 7, 8, 5, 58, 4, 87000, tzinfo=timezone.utc)
        assert api.asked[-1].query == {"format": "xml"}

    @pytest.mark.parametrize(
        ("text", "ids"),
        [
            (b"<response><jobs><job><id>a</id><status>QUEUED</status></job></jobs><start>0</start></response>", ["a"]),
            (
                b"<jobs><job><id>a</id><status>X</status></job><job><id>b</id><status>X</status></job></jobs>",
                ["a", "b"],
            ),
            (b"<response><jobs/><start>0</start></response>", []),
        ],
    )
    def test_xml_lists(self, api: ScriptedApi, hook: XvidHook, text: bytes, ids: list[str]) -> None:
        api.on("GET", "/v1/jobs/", Answer(text))
        assert [found.id for found in hook.list_jobs(format="xml").jobs] == ids

    @pytest.mark.parametrize(
        "text",
        [
            b"<job><id>",
            b'<!DOCTYPE j [<!ENTITY a "aaaa">]><job><id>&a;</id><status>SUCCESS</status></job>',
            b'<!DOCTYPE j SYSTEM "file:///etc/passwd"><job><id>j1</id><status>SUCCESS</status></job>',
        ],
    )
    def test_broken_or_hostile_xml_is_refused(self, api: ScriptedApi, hook: XvidHook, text: bytes) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(text))
        with pytest.raises(VideoApiUnreadableAnswerError, match="not acceptable XML"):
            hook.read_job("j1", format="xml")

    @pytest.mark.parametrize("text", [b"<a>" * 200_001, b"<a>" * 3000 + b"</a>" * 3000])
    def test_xml_is_bounded(self, api: ScriptedApi, hook: XvidHook, text: bytes) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(text))
        with pytest.raises(VideoApiUnreadableAnswerError, match="XML"):
            hook.read_job("j1", format="xml")

    def test_an_answer_for_people_is_refused(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer(b"{ job: { id: 'j1' } }"))
        with pytest.raises(VideoApiUnreadableAnswerError, match="not JSON"):
            hook.read_job("j1", human=True)

    def test_every_documented_parameter_of_the_list(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs())
        hook.list_jobs(
            user_data="a&b",
            status="SUCCESS",
            inprogress=False,
            autograph=True,
            pipeline_id="P",
            input_file_name="in",
            bin_data=True,
            start=5,
            limit=2,
            sort="created_at",
            direction=-1,
            format="json",
            human=False,
            show_null=True,
            expand=("file", "preset"),
            expand_all=True,
        )
        assert api.asked[-1].query == {
            "user_data": "a&b",
            "status": "SUCCESS",
            "inprogress": "false",
            "autograph": "true",
            "pipeline.id": "P",
            "input.file.name": "in",
            "bin_data": "true",
            "start": "5",
            "limit": "2",
            "sort": "created_at",
            "direction": "-1",
            "format": "json",
            "human": "false",
            "show_null": "true",
            "expand": "file,preset",
            "expand_all": "true",
        }

    def test_a_misspelt_parameter_is_an_error(self, api: ScriptedApi, hook: XvidHook) -> None:
        with pytest.raises(TypeError, match="GET /jobs/ takes no offset"):
            hook.list_jobs(offset=3)  # type: ignore[call-arg]
        assert api.asked == []


class TestSmallResources:
    def test_job_templates(self, api: ScriptedApi, hook: XvidHook) -> None:
        template = {"id": "t1", "name": "mine", "job_settings": {"pipeline": {"id": "P"}}}
        api.on("POST", "/v1/jobs/templates/", Answer({"template": template}))
        api.on("GET", "/v1/jobs/templates/", Answer({"templates": [template]}))
        api.on("GET", "/v1/jobs/templates/t1", Answer({"template": template}))
        api.on("PUT", "/v1/jobs/templates/t1", Answer({"template": {**template, "description": None}}))
        assert hook.create_job_template({"name": "mine", "job_settings": {}}).id == "t1"
        assert api.asked[-1].json == {"template": {"name": "mine", "job_settings": {}}}
        assert [found.name for found in hook.list_job_templates(limit=2).templates] == ["mine"]
        assert hook.read_job_template("t1").job_settings == {"pipeline": {"id": "P"}}
        assert hook.update_job_template("t1", {"description": None}).id == "t1"
        assert api.asked[-1].json == {"template": {"description": None}}

    def test_files(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/files/f1", Answer({"file": {"id": "f1", "size": "7"}}))
        api.on("GET", "/v1/files/", Answer({"files": [{"id": "f1"}]}))
        assert hook.read_file("f1").size == 7
        assert len(hook.list_files(job_id="j", pipeline_id="p", type="archive", start=1, limit=2).files) == 1
        assert api.asked[-1].query == {
            "job.id": "j",
            "pipeline.id": "p",
            "type": "archive",
            "start": "1",
            "limit": "2",
        }

    @pytest.mark.parametrize("kind", ["pipeline", "preset"])
    def test_pipelines_and_presets(self, api: ScriptedApi, hook: XvidHook, kind: str) -> None:
        thing = {"id": "x1", "name": "mine", "output_upload_dir": "s3://key:secret@bucket"}
        api.on("POST", f"/v1/{kind}s/", Answer({kind: thing}))
        api.on("GET", f"/v1/{kind}s/", Answer({f"{kind}s": [thing]}))
        api.on("GET", f"/v1/{kind}s/x1", Answer({kind: thing}))
        assert getattr(hook, f"create_{kind}")({"name": "mine"}).id == "x1"
        assert api.asked[-1].json == {kind: {"name": "mine"}}
        assert getattr(hook, f"read_{kind}")("x1").name == "mine"
        assert len(getattr(getattr(hook, f"list_{kind}s")(), f"{kind}s")) == 1

    def test_a_pipelines_own_secrets_are_not_shown(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/pipelines/x1", Answer({"pipeline": {"id": "x1", "output_upload_dir": "s3://k:hidden@b"}}))
        found = hook.read_pipeline("x1")
        assert found.output_upload_dir == "s3://k:hidden@b"
        assert "hidden" not in repr(found)
