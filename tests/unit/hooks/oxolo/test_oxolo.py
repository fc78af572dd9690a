# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import logging
from datetime import datetime, timedelta, timezone
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    SourceError,
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoJobError,
    VideoJobFailedError,
    VideoSearchInconclusiveError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.oxolo import OxoloHook
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

DOCUMENTED = (Path(__file__).parents[3] / "recorded" / "oxolo" / "video.json").read_text()
URL = {"url": "https://shop.example/p/1", "template_id": "t-1"}
FORM = {"template_id": "t-1", "title": "Spring", "text": "...", "media": ["m-1"]}
PRODUCT = {**FORM, "short_description": "s", "long_description": "l", "recomended_retail_price": 3}
SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


def documented(**values: str) -> str:
    """The documented answer, its placeholders filled."""
    values = {
        "VIDEO_CREATION_TIME": "2026-03-01T12:00:05",
        "VIDEO_UPDATE_TIME": "2026-03-01T12:09:00Z",
        "VIDEO_IDENTIFIER": "v-1",
        "VIDEO_STATE": "PRODUCT",
        "VIDEO_MODE": "FORM",
        "VIDEO_STATUS": "done",
        "VIDEO_PROGRESS": "100",
        "VIDEO_STAGE_TEXT": "",
        "VIDEO_TITLE": "Spring",
        "VIDEO_LINK": "https://files.example/oxolo/v-1.mp4",
        "VIDEO_THUMBNAIL": "https://files.example/oxolo/v-1.jpg",
        "VIDEO_VTT_LINK": "https://files.example/oxolo/v-1.vtt",
        **values,
    }
    text = DOCUMENTED
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def results(value: Any, status: int = 200) -> Answer:
    return Answer(status=status, json={"results": value})


def video(**fields: Any) -> Answer:
    return results({"identifier": "v-1", "status": "in_progress", **fields})


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> OxoloHook:
    connection = {"conn_type": "oxolo", "host": f"{local_api.url}/v1/api", "password": "k3y"}
    monkeypatch.setenv("AIRFLOW_CONN_OXOLO_DEFAULT", json.dumps(connection))
    return OxoloHook()


class TestSubmit:
    @pytest.mark.parametrize(
        ("mode", "body", "name"),
        [("url", URL, None), ("form", FORM, "Spring"), ("product", PRODUCT, "Spring")],
    )
    @pytest.mark.parametrize("status", [200, 201])
    def test_the_mode_chooses_the_path_and_is_not_sent(
        self, hook: OxoloHook, local_api: LocalApi, mode: str, body: dict[str, Any], name: str | None, status: int
    ) -> None:
        local_api.on("POST", f"/v1/api/videos/create/{mode}", results({"identifier": "v-1"}, status))
        job = hook.submit_job({"mode": mode, **body}, key="key-1")
        assert (job.job_id, job.state, job.name, job.key) == ("v-1", JobState.RUNNING, name, "key-1")
        (request,) = local_api.received
        assert request.json() == body
        assert request.headers["authorization"] == "k3y"
        assert request.headers["accept"] == "application/json"

    @pytest.mark.parametrize("request_body", [FORM, {"mode": "URL", **URL}, {"mode": None, **URL}, {"mode": "x/../y"}])
    def test_no_mode_no_render(self, hook: OxoloHook, local_api: LocalApi, request_body: dict[str, Any]) -> None:
        with pytest.raises(VideoConfigurationError, match="one of url, form, product"):
            hook.submit_job(request_body)
        assert local_api.received == []

    def test_a_template_may_be_left_out(self, hook: OxoloHook, local_api: LocalApi) -> None:
        # The vendor's pages disagree whether it is required: its server decides.
        local_api.on("POST", "/v1/api/videos/create/url", results({"identifier": "v-1"}))
        hook.submit_job({"mode": "url", "url": "https://shop.example"})
        assert local_api.received[0].json() == {"url": "https://shop.example"}

    @pytest.mark.parametrize("answer", [{"identifier": "v-1"}, {"results": {}}, {"results": None}, []])
    def test_an_answer_without_an_id_may_have_bought_a_video(
        self, hook: OxoloHook, local_api: LocalApi, answer: Any
    ) -> None:
        local_api.on("POST", "/v1/api/videos/create/url", Answer(json=answer))
        with pytest.raises(VideoApiUnreadableAnswerError, match="POST /videos/create/url") as caught:
            hook.submit_job({"mode": "url", **URL})
        assert caught.value.outcome_unknown
        assert local_api.count() == 1

    def test_the_missing_field_is_named(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/api/videos/create/url", results({}))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"POST /videos/create/url.*identifier: Field required"):
            hook.submit_job({"mode": "url", **URL})

    def test_a_lost_answer_is_not_sent_again(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/api/videos/create/url", Answer(reset=True))
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job({"mode": "url", **URL})
        assert caught.value.outcome_unknown
        assert local_api.count() == 1


class TestJob:
    def test_as_documented(self, hook: OxoloHook, local_api: LocalApi) -> None:
        text = documented(VIDEO_STATUS="in_progress", VIDEO_PROGRESS="37", VIDEO_STAGE_TEXT="Rendering")
        local_api.on("GET", "/v1/api/videos/v-1", Answer(body=text.encode()))
        job = hook.get_job("v-1")
        assert job.model_dump(exclude_none=True) == {
            "vendor": "oxolo",
            "job_id": "v-1",
            "state": JobState.RUNNING,
            "vendor_status": "in_progress",
            "progress": 0.37,
            "stage": "Rendering",
            "name": "Spring",
            "created_at": datetime(2026, 3, 1, 12, 0, 5, tzinfo=timezone.utc),
            "updated_at": datetime(2026, 3, 1, 12, 9, tzinfo=timezone.utc),
        }

    def test_the_key_that_stands_twice_does_no_harm(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", Answer(body=documented().encode()))
        assert hook.get_video("v-1").generated_from == "FORM"

    def test_the_documented_answer_with_its_placeholders(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", Answer(body=DOCUMENTED.encode()))
        job = hook.get_job("v-1")
        assert (job.state, job.progress, job.created_at) == (JobState.RUNNING, None, None)

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("in_progress", JobState.RUNNING),
            ("done", JobState.SUCCEEDED),
            ("failed", JobState.FAILED),
            ("a_new_one", JobState.RUNNING),
        ],
    )
    def test_states(self, hook: OxoloHook, local_api: LocalApi, status: str, state: JobState) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", video(status=status))
        assert hook.get_job("v-1").state is state

    @pytest.mark.parametrize(
        ("text", "share"),
        [
            ("100", 1.0),
            ("0", 0.0),
            (" 12.5 % ", 0.125),
            ("-1", 0.0),
            (50, 0.5),
            ("", None),
            ("half", None),
            (None, None),
        ],
    )
    def test_progress_is_a_text(self, hook: OxoloHook, local_api: LocalApi, text: Any, share: float | None) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", video(progress=text))
        assert hook.get_job("v-1").progress == share

    def test_without_a_status_there_is_nothing_to_go_by(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", results({"identifier": "v-1"}))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"GET /videos/\{id\}.*status: Field required"):
            hook.get_job("v-1")

    def test_many_jobs_one_by_one(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", video())
        assert not hook.can_list
        assert list(hook.get_jobs(["v-1", "gone"])) == ["v-1"]


class TestFind:
    def listed(self, local_api: LocalApi, *items: tuple[str, int | None, dict[str, Any]]) -> None:
        """Videos by id, seconds after the intent, and their own fields."""
        rows = []
        for identifier, seconds, fields in items:
            created = None if seconds is None else (SINCE + timedelta(seconds=seconds)).isoformat()
            rows.append({"identifier": identifier, "created": created, "updated": created})
            local_api.on("GET", f"/v1/api/videos/{identifier}", video(**{"identifier": identifier, **fields}))
        local_api.on("GET", "/v1/api/videos", results(rows))

    def test_by_title(self, hook: OxoloHook, local_api: LocalApi) -> None:
        assert hook.key_support is KeySupport.BEST_EFFORT
        self.listed(
            local_api,
            ("older", -3600, {"title": "Spring"}),
            ("other", 1, {"title": "Summer"}),
            ("later", 9, {"title": "Spring"}),
            ("this", 2, {"title": "Spring", "generated_from": "FORM"}),
        )
        job = hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE)
        assert job is not None
        assert (job.job_id, job.key) == ("this", "key-1")
        assert [request.path.rsplit("/", 1)[-1] for request in local_api.received] == ["videos", "other", "this"]

    def test_no_more_than_200_are_read_and_the_rest_is_no_proof(self, hook: OxoloHook, local_api: LocalApi) -> None:
        self.listed(local_api, *((f"v{n}", n, {"title": "Summer"}) for n in range(203)))
        with pytest.raises(VideoSearchInconclusiveError, match="3 of the list"):
            hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE)
        assert local_api.count() == 201

    def test_by_web_page(self, hook: OxoloHook, local_api: LocalApi) -> None:
        self.listed(
            local_api,
            ("other", 1, {"website": "https://shop.example/p/2", "title": "https://shop.example/p/1"}),
            ("this", 2, {"website": "https://shop.example/p/1/"}),
        )
        job = hook.find_job("key-1", request={"mode": "url", **URL}, since=SINCE)
        assert job is not None
        assert job.job_id == "this"

    def test_another_mode_is_another_video(self, hook: OxoloHook, local_api: LocalApi) -> None:
        self.listed(local_api, ("v", 1, {"title": "Spring", "generated_from": "PRODUCT"}))
        assert hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE) is None
        assert hook.find_job("key-1", request={"mode": "product", **PRODUCT}, since=SINCE) is not None

    def test_failed_ones_are_passed_over(self, hook: OxoloHook, local_api: LocalApi) -> None:
        self.listed(local_api, ("v", 1, {"title": "Spring", "status": "failed"}))
        assert hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE) is None

    def test_a_clock_that_is_a_little_behind(self, hook: OxoloHook, local_api: LocalApi) -> None:
        self.listed(local_api, ("v", -30, {"title": "Spring"}))
        assert hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE) is not None

    def test_a_video_without_a_readable_time_is_not_taken(
        self, hook: OxoloHook, local_api: LocalApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.listed(local_api, ("v", None, {"title": "Spring"}))
        with caplog.at_level(logging.WARNING):
            assert hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE) is None
        assert "when video v was created" in caplog.text

    @pytest.mark.parametrize("bad", [{"created": "2026-03-01T12:00:01Z"}, None, 7])
    def test_one_that_cannot_be_read_may_be_the_one(self, hook: OxoloHook, local_api: LocalApi, bad: Any) -> None:
        request = {"mode": "form", **FORM}
        this = {"identifier": "this", "created": "2026-03-01T12:00:02Z"}
        local_api.on("GET", "/v1/api/videos", results([bad, this]))
        local_api.on("GET", "/v1/api/videos/this", video(identifier="this", title="Spring"))
        assert [item.identifier for item in hook.get_videos()] == ["this"]
        found = hook.find_job("key-1", request=request, since=SINCE)
        assert found is not None
        assert found.job_id == "this"
        local_api.on("GET", "/v1/api/videos", results([bad]))
        with pytest.raises(VideoApiUnreadableAnswerError, match="1 of the list cannot be read"):
            hook.find_job("key-1", request=request, since=SINCE)

    def test_a_video_that_cannot_be_read_may_be_the_one(self, hook: OxoloHook, local_api: LocalApi) -> None:
        self.listed(local_api, ("odd", 1, {"status": None}), ("this", 2, {"title": "Spring"}))
        found = hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE)
        assert found is not None
        assert found.job_id == "this"
        self.listed(local_api, ("odd", 1, {"status": None}))
        with pytest.raises(VideoApiUnreadableAnswerError, match="1 of the list cannot be read"):
            hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE)

    def test_a_video_that_was_deleted_meanwhile_is_no_obstacle(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos", results([{"identifier": "gone", "created": "2026-03-01T12:00:01Z"}]))
        assert hook.find_job("key-1", request={"mode": "form", **FORM}, since=SINCE) is None

    @pytest.mark.parametrize("created", ["20260301", 20260301, "2026-03-01", "0", "99"])
    def test_a_day_or_a_number_is_no_time(self, hook: OxoloHook, local_api: LocalApi, created: Any) -> None:
        local_api.on("GET", "/v1/api/videos", results([{"identifier": "v-1", "created": created}]))
        (item,) = hook.get_videos()
        assert item.created is None

    @pytest.mark.parametrize(
        "created", ["20260301120000", 20260301120000, "2026-03-01T12:00:00", 1772366400, "1772366400000"]
    )
    def test_times(self, hook: OxoloHook, local_api: LocalApi, created: Any) -> None:
        local_api.on("GET", "/v1/api/videos", results([{"identifier": "v-1", "created": created}]))
        (item,) = hook.get_videos()
        assert item.created == SINCE

    def test_without_a_title_there_can_be_no_video(self, hook: OxoloHook, local_api: LocalApi) -> None:
        # The vendor requires it in this mode, so such a request was refused.
        assert hook.find_job("key-1", request={"mode": "form", "text": "..."}, since=SINCE) is None
        assert local_api.received == []


class TestOutputs:
    def test_as_documented(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", Answer(body=documented().encode()))
        found = [(output.kind, output.url, output.media_type, output.name) for output in hook.get_outputs("v-1")]
        assert found == [
            ("video", "https://files.example/oxolo/v-1.mp4", None, "Spring"),
            ("thumbnail", "https://files.example/oxolo/v-1.jpg", None, "Spring"),
            ("subtitles", "https://files.example/oxolo/v-1.vtt", "text/vtt", "Spring"),
        ]

    @pytest.mark.parametrize(
        ("links", "expected"),
        [
            ({"video_link": "new", "un_wateremark_link": "old"}, "new"),
            ({"video_link": None, "un_wateremark_link": "old"}, "old"),
            ({"un_wateremark_link": "old"}, "old"),
        ],
    )
    def test_video_link_comes_first(
        self, hook: OxoloHook, local_api: LocalApi, links: dict[str, Any], expected: str
    ) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", video(status="done", **links))
        (output,) = hook.get_outputs("v-1")
        assert output.url == expected

    def test_a_done_video_without_a_link(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", video(status="done"))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"GET /videos/\{id\}.*video_link"):
            hook.get_outputs("v-1")

    @pytest.mark.parametrize(("status", "expected"), [("in_progress", VideoJobError), ("failed", VideoJobFailedError)])
    def test_unfinished(self, hook: OxoloHook, local_api: LocalApi, status: str, expected: type[Exception]) -> None:
        local_api.on("GET", "/v1/api/videos/v-1", video(status=status))
        with pytest.raises(expected):
            hook.get_outputs("v-1")


def test_a_running_video_cannot_be_cancelled(hook: OxoloHook, local_api: LocalApi) -> None:
    assert not hook.can_cancel
    with pytest.raises(VideoConfigurationError, match="Oxolo documents no way"):
        hook.cancel_job("v-1")
    assert local_api.received == []


class Dripping(io.RawIOBase):
    """A stream without a length that hands out little pieces."""

    def __init__(self, content: bytes) -> None:
        self._rest = content
        self.largest = 0

    def read(self, size: int = -1) -> bytes:
        self.largest = max(self.largest, size)
        piece, self._rest = self._rest[: min(size, 1000)], self._rest[min(size, 1000) :]
        return piece


class TestUpload:
    def test_streamed_as_a_form(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/api/assets/media/request", results("m-1"))
        content = bytes(range(256)) * 1000
        stream = Dripping(content)
        assert hook.upload_media(stream, name="a.png", size=len(content), media_type="image/png") == "m-1"  # type: ignore[arg-type]
        (request,) = local_api.received
        form = message_from_bytes(b"Content-Type: " + request.headers["content-type"].encode() + b"\n\n" + request.body)
        kind, file = form.get_payload()
        assert (kind.get_param("name", header="Content-Disposition"), kind.get_payload()) == ("media_type", "IMAGE")
        assert (file.get_filename(), file.get_content_type()) == ("a.png", "image/png")
        assert file.get_payload(decode=True) == content
        assert 0 < stream.largest < len(content), "never the whole file at once"
        assert request.headers["authorization"] == "k3y"

    def test_a_stream_that_ends_early(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/api/assets/media/request", results("m-1"))
        with pytest.raises(SourceError, match="ended after 5 of 9 bytes"):
            hook.upload_media(io.BytesIO(b"12345"), name="a.png", size=9)

    def test_not_more_than_was_said(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/api/assets/media/request", results("m-1"))
        with pytest.raises(SourceError, match="longer than the 3 bytes"):
            hook.upload_media(io.BytesIO(b"xyzzy"), name="a.png", size=3)
        assert b"xyz" in local_api.received[0].body
        assert b"xyzz" not in local_api.received[0].body

    def test_a_refused_upload_is_not_sent_again_with_half_a_stream(
        self, hook: OxoloHook, local_api: LocalApi, naps: list[float]
    ) -> None:
        local_api.on("POST", "/v1/api/assets/media/request", Answer(status=503, headers={"Retry-After": "0"}))
        with pytest.raises(VideoApiUnavailableError):
            hook.upload_media(io.BytesIO(b"123"), name="a.png", size=3)
        assert (local_api.count(), naps) == (1, [])

    def test_no_options(self, hook: OxoloHook) -> None:
        with pytest.raises(VideoConfigurationError, match="pipeline_id"):
            hook.upload_media(io.BytesIO(b"1"), name="a", size=1, pipeline_id="p")


class TestEndpoints:
    def test_creates(self, hook: OxoloHook, local_api: LocalApi) -> None:
        for mode in ("url", "form", "product"):
            local_api.on("POST", f"/v1/api/videos/create/{mode}", results({"identifier": mode}))
        assert hook.create_video_from_url(URL).identifier == "url"
        assert hook.create_video_from_form(FORM).identifier == "form"
        assert hook.create_video_from_product(PRODUCT).identifier == "product"

    def test_status_and_delete(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/videos/v-1/status", results("done"))
        local_api.on("DELETE", "/v1/api/videos/v-1/del", results("v-1"))
        assert hook.get_video_status("v-1") == "done"
        assert hook.delete_video("v-1") == "v-1"

    def test_list(self, hook: OxoloHook, local_api: LocalApi) -> None:
        row = {"identifier": "v-1", "created": "2026-03-01T12:00:00Z", "updated": "yesterday"}
        local_api.on("GET", "/v1/api/videos", results([row]))
        (item,) = hook.get_videos(sort_field="updated", sort_type="desc")
        assert (item.identifier, item.created, item.updated) == ("v-1", SINCE, None)
        assert local_api.received[0].query == {"sortField": ["updated"], "sortType": ["desc"]}

    def test_media(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/assets/media", results([{"id": "m-1"}]))
        local_api.on("GET", "/v1/api/assets/IMAGE/m-1", results({"id": "m-1"}))
        local_api.on("DELETE", "/v1/api/assets/media/m-1", results("m-1"))
        assert hook.get_media_list(skip=0, take=5) == [{"id": "m-1"}]
        assert local_api.received[0].query == {"skip": ["0"], "take": ["5"]}
        assert hook.get_media("m-1") == {"id": "m-1"}
        hook.delete_media("m-1")
        assert local_api.count("DELETE") == 1

    def test_catalogue(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/catalogue", results({"a-1": {"name": "Ada"}}))
        local_api.on("GET", "/v1/api/catalogue/a-1", results({"name": "Ada"}))
        assert hook.get_catalogue(filter="ACTOR", take=2) == {"a-1": {"name": "Ada"}}
        assert local_api.received[0].query == {"filter": ["ACTOR"], "take": ["2"]}
        assert hook.get_catalogue_item("a-1") == {"name": "Ada"}

    def test_account(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/account/credits", results(1000))
        local_api.on("GET", "/v1/api/account/plan", results({"name": "Pro"}))
        assert hook.get_credits() == 1000
        assert hook.get_plan() == {"name": "Pro"}

    @pytest.mark.parametrize("event", ["all", ["all"]], ids=["as in 2023", "as in the later pages"])
    @pytest.mark.parametrize("created", ["2026-03-01T12:00:00Z", "2026/03/01 12:00:00"])
    def test_the_webhook_answer_is_handed_out_without_the_key(
        self, hook: OxoloHook, local_api: LocalApi, event: Any, created: str
    ) -> None:
        answer = {
            "eventType": event,
            "apiKey": "k3y",
            "systemId": "s-1",
            "createdAt": created,
            "system": {"id": "s-1", "name": "mine", "webhookUrl": "https://me.example/hook"},
        }
        local_api.on("POST", "/v1/api/webhooks", results(answer))
        webhook = hook.subscribe_webhook(event_type="all", system_id="s-1")
        assert local_api.received[0].json() == {"eventType": ["all"], "apiKey": "k3y", "systemId": "s-1"}
        assert (webhook.systemId, webhook.eventType, webhook.createdAt) == ("s-1", ["all"], SINCE)
        assert "k3y" not in repr(webhook)
        assert "apiKey" not in webhook.model_dump()
        hook.subscribe_webhook(event_type=["videoProgress", "userCredit"], system_id="s-1")
        assert local_api.received[1].json()["eventType"] == ["videoProgress", "userCredit"]

    def test_a_documented_render_of_24_minutes(self, hook: OxoloHook, local_api: LocalApi) -> None:
        video = {
            "identifier": "v-1",
            "status": "done",
            "createDateTime": "2023-03-08T10:57:28.778Z",
            "progress": "100",
            "generated_from": "FORM",
        }
        local_api.on("GET", "/v1/api/videos/v-1", results(video))
        job = hook.get_job("v-1")
        assert job.progress == 1.0
        assert job.created_at == datetime(2023, 3, 8, 10, 57, 28, 778000, tzinfo=timezone.utc)


class TestConnection:
    def test_good(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/account/credits", results(15))
        assert hook.check_connection() == "Oxolo accepted the API key; its balance is 15 credits."

    def test_bad(self, hook: OxoloHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v1/api/account/credits", Answer(status=401, json={"message": "k3y is wrong"}))
        good, text = hook.test_connection()
        assert not good
        assert "Check the key" in text
        assert "k3y" not in text

    def test_unknown_job(self, hook: OxoloHook) -> None:
        with pytest.raises(VideoApiNotFoundError, match="Check the id"):
            hook.get_job("v-9")


def test_the_vendors_own_address_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OXOLO_DEFAULT", "oxolo://:k3y@/")
    assert OxoloHook().client.base_url == "https://api.oxolo.com/v1/api"
