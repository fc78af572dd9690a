# SPDX-License-Identifier: Apache-2.0
"""Tokens, scopes and the connection test of the Xvid hook."""

from __future__ import annotations

import io
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiPermissionError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from tests.support.scripted_api import Answer, ScriptedApi
from tests.support.xvid_answers import REQUEST, connect, error, job, jobs


def test_the_life_of_a_token_can_be_asked_for(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
    connect(api, monkeypatch, extra={"token_lifetime": "7200"}).get_job("j1")
    connect(api, monkeypatch).get_job("j1")
    forms = [asked.form for asked in api.calls("POST", "/v1/oauth2/token/")]
    assert [form.get("expires_in") for form in forms] == ["7200", None]


class TestScopes:
    @pytest.mark.parametrize(
        ("scope", "missing"),
        [
            ("", "left to Xvid"),
            ("mediahub,autograph", "lets it do all"),
            ("mediahub_read, mediahub_write autograph", "lets it do all"),
            (["mediahub_read", "mediahub_write"], "does not let it use AutoGraph"),
            (
                "mediahub_read,mediahub_submit_jobs,mediahub_download_files",
                "does not let it cancel jobs and upload media,",
            ),
        ],
    )
    def test_the_connection_test_says_what_the_token_may_not_do(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, scope: Any, missing: str
    ) -> None:
        api.on("GET", "/v1/jobs/", jobs())
        works, text = connect(api, monkeypatch, extra={"scope": scope}).test_connection()
        assert works
        assert missing in text
        sent = api.calls("POST", "/v1/oauth2/token/")[0].form.get("scope")
        assert sent is None if not scope else " " not in sent

    @pytest.mark.parametrize("call", ["cancel", "upload", "links"])
    def test_a_right_that_is_missing_names_the_scope(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        hook = connect(api, monkeypatch, extra={"scope": "mediahub_submit_jobs"})
        refused = error(403, "0x0000006", "Not allowed")
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        api.on("DELETE", "/v1/jobs/j1", refused)
        api.on("POST", "/v1/files/uploads/", refused)
        api.on("GET", "/v1/files/downloads/", refused)
        calls = {
            "cancel": lambda: hook.cancel_job("j1"),
            "upload": lambda: hook.upload_media(io.BytesIO(b"1"), name="n", size=1, pipeline_id="p"),
            "links": lambda: hook.get_download_links("f1"),
        }
        with pytest.raises(
            VideoApiPermissionError, match=r"Not allowed.*'mediahub_submit_jobs' does not let it read"
        ) as e:
            calls[call]()
        assert "mediahub_read,mediahub_write" in str(e.value)
        assert "Check the plan" not in str(e.value)
        assert (e.value.status, e.value.code, e.value.outcome_unknown) == (403, "0x0000006", False)


class TestConnection:
    def test_good_credentials(self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = connect(api, monkeypatch, extra={"scope": "mediahub_read"})
        api.on("GET", "/v1/jobs/", jobs())
        assert hook.check_connection() == (
            "Xvid accepted the client id and secret, and lets them read jobs. "
            "The scope 'mediahub_read' does not let it submit jobs, cancel jobs and upload media, use AutoGraph."
        )
        assert api.calls("POST", "/v1/oauth2/token/")[0].form["scope"] == "mediahub_read"
        assert api.calls("GET", "/v1/jobs/")[0].query == {"limit": "1"}

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"login": ""}, "has no login. Put the Xvid client id there"),
            ({"password": ""}, "has no password"),
            ({"host": "api.xvid.com"}, "must be a full base URL"),
        ],
    )
    def test_half_a_connection(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], text: str
    ) -> None:
        worked, message = connect(api, monkeypatch, **fields).test_connection()
        assert not worked
        assert text in message
        assert api.asked == []

    def test_a_wrong_secret(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/oauth2/token/", error(403, "0x0000003", "Invalid client"))
        worked, message = hook.test_connection()
        assert not worked
        assert "Invalid client" in message
        assert "client id and secret" in message

    def test_a_wrong_host(self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = connect(api, monkeypatch, host=f"{api.url}/v9")
        worked, message = hook.test_connection()
        assert not worked
        assert "Check the connection's host" in message

    def test_a_wrong_secret_stops_every_call(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/oauth2/token/", error(403, "0x0000003", "Invalid client"))
        with pytest.raises(VideoApiAuthenticationError):
            hook.submit_job(REQUEST)
        assert not api.calls("POST", "/v1/jobs/")

    def test_the_uri_form_of_the_documentation(self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
        host = f"{api.url}/v1".replace(":", "%3A").replace("/", "%2F")
        uri = f"xvid://my-id:c2Vj%2FcmV0%3D%3D@{host}/?scope=mediahub_read%2Cmediahub_download_files"
        monkeypatch.setenv("AIRFLOW_CONN_XVID_DEFAULT", uri)
        api.on("GET", "/v1/jobs/", jobs())
        assert XvidHook().test_connection()[0]
        form = api.calls("POST", "/v1/oauth2/token/")[0].form
        assert (form["client_id"], form["client_secret"]) == ("my-id", "c2Vj/cmV0==")
        assert form["scope"] == "mediahub_read,mediahub_download_files"
