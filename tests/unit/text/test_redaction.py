# SPDX-License-Identifier: Apache-2.0
"""The one door: whatever a vendor sends, what comes out can be logged, stored and shown."""

from __future__ import annotations

import html
import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from requests.auth import HTTPBasicAuth

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import VideoApiError, VideoApiUnreadableAnswerError, VideoJobError
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.text.redaction import clean_document, clean_text, page_link, redact
from tests.support.local_api import Answer, LocalApi

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n2026-01-01 ERROR forged line \u202e\x9b31m \ud800 \u2028"
SECRET = "S3CR3T&/k+y=\"<'ü"


def is_harmless(text: str) -> bool:
    text.encode()
    return not any(ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u202e\u2028" for char in text)


class TestText:
    def test_a_text_is_one_harmless_line(self) -> None:
        line = clean_text(HOSTILE, longest=200)
        assert is_harmless(line)
        assert "forged line" in line

    def test_a_text_is_cut(self) -> None:
        assert clean_text("x" * 1_000_000, longest=10) == "xxxxxxxxx…"
        assert clean_text("x" * 10, longest=10) == "x" * 10

    @pytest.mark.parametrize("text", ["سلام‌ها", "नमस्ते", "日本語", "👩‍💻", "naïve"])
    def test_the_languages_of_the_world_stay(self, text: str) -> None:
        assert clean_text(text, longest=50) == text

    @pytest.mark.parametrize(
        "spell",
        [
            str,
            quote,
            lambda secret: quote(secret, safe=""),
            lambda secret: json.dumps(secret)[1:-1],
            lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
            html.escape,
            lambda secret: html.escape(secret).replace("+", "&#43;").replace("/", "&#x2F;"),
            lambda secret: "".join(f"\\u{ord(char):04x}" for char in secret),
            lambda secret: quote_plus(secret).lower(),
            lambda secret: json.dumps(json.dumps(secret)[1:-1])[1:-1],
            lambda secret: html.escape(html.escape(secret)),
            lambda secret: quote(quote(secret, safe=""), safe=""),
            lambda secret: html.escape(json.dumps(quote(secret))[1:-1]),
            lambda secret: b64encode(secret.encode()).decode().rstrip("="),
            lambda secret: urlsafe_b64encode(secret.encode()).decode().rstrip("="),
        ],
    )
    def test_a_secret_is_found_in_every_spelling(self, spell: Any) -> None:
        secret = SECRET if spell("A") != "a" else SECRET.lower()
        shown = redact(f"before {spell(secret)} after", [secret])
        assert shown == "before *** after"

    @pytest.mark.parametrize("spell", [lambda text: quote(text, safe=""), lambda text: text.replace("/", "\\/")])
    def test_a_secret_is_found_in_any_case(self, spell: Any) -> None:
        assert redact(f"key {spell('AB12/CD34+EF').lower()}", ["AB12/CD34+EF"]) == "key ***"
        assert redact("KEY AB12CD34EF, key ab12cd34ef", ["ab12CD34ef"]) == "KEY ***, key ***"
        assert redact("Abc, abc", ["abc"]) == "Abc, ***"  # one that short may be a word

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("sig=feed1234", "sig=***"),
            ("X-Amz-Signature=feed&x=1", "X-Amz-Signature=***&x=1"),
            ("X-Goog-Credential=feed1234, x", "X-Goog-Credential=***, x"),
            ("password: Field required", "password: Field required"),
            ("AccountKey=feed1234;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
            ("access_token=feed1234", "access_token=***"),
            ("Authorization: Bearer feed1234.x", "Authorization: Bearer ***"),
            ("Basic ZmVlZDpmZWVk1==", "Basic ***"),
            ("Basic authentication is not supported", "Basic authentication is not supported"),
            ('{"upload_token": "feed1234"}', '{"upload_token": "***"}'),
            (r"{\"token\":\"feed1234\"}", r"{\"token\":\"***\"}"),
            ("x-api-key: feed1234", "x-api-key: ***"),
            ('{"token": "expired"}', '{"token": "expired"}'),
            ("token: expired", "token: expired"),
            ("the token is invalid", "the token is invalid"),
            ("design=blue", "design=blue"),
        ],
    )
    def test_what_says_itself_that_it_is_secret(self, text: str, shown: str) -> None:
        assert redact(text) == shown

    @pytest.mark.parametrize(
        "link",
        [
            "https://feed:feed@x.example/p",
            "https%3A%2F%2Fx.example%2Fp%3Fsig%3Dfeed",
            "https:\\/\\/x.example\\/p\\u003fsig=feed",
            "x.example/p&#63;sig=feed",
            "https://x.example/p?sig=feed",
            "https://x.example/p#access_token=feed",
            "https://x.example/p;sig=feed",
            "https://x.example/exp=1~hmac=feed/v.mp4",
            "https:\\/\\/x.example\\/p?sig=feed",
            "https://x.example/p?name='v.mp4'&verify=feed",
            "https://x.example/p'q'?verify=feed",
            "'https://x.example/p?verify=feed'",
            "//feed:feed@x.example/p",
            "user:feed@x.example",
            "see /p?sig=feed",
            "ftp://feed:feed@x.example",
            "https%3A%2F%2Fbob%3Afeedpw%40x.example%2Fp",
            "https%253A%252F%252Fx.example%252Fp%253Fsig%253Dfeed",
            "https://x.example/exp%3D1~hmac%3Dfeed/v.mp4",
            "x.example/p&quest;sig=feed",
            "x.example/p\\x3fsig=feed",
        ],
    )
    def test_credentials_of_a_link_are_cut_wherever_they_stand(self, link: str) -> None:
        shown = redact(f"your link: {link} (gone)")
        assert "feed" not in shown
        assert shown.endswith("(gone)")

    def test_a_partition_of_a_bucket_is_no_credential(self) -> None:
        assert redact("s3://bucket/day=2026-01-01/v.mp4") == "s3://bucket/day=2026-01-01/v.mp4"

    @pytest.mark.parametrize("piece", ["?", "<", "a", ":", "@", "a:", "https://", "https://a@", "&#", "\\u00", "="])
    def test_a_long_text_of_one_piece_is_shown_short(self, piece: str) -> None:
        assert len(redact(piece * (1_000_000 // len(piece)), [SECRET], longest=500)) <= 500


class TestPageLink:
    @pytest.mark.parametrize(
        ("link", "shown"),
        [
            ("https://app.example/v/1", "https://app.example/v/1"),
            (" https://app.example/v/1?token=feed&x=1 ", "https://app.example/v/1"),
            ("https://feed:feed@app.example/v/1", "https://app.example/v/1"),
            ("https://app.example/v/1#access_token=feed", "https://app.example/v/1"),
            ("https://app.example/#/v/1", "https://app.example/#/v/1"),
            ("https://app.example/#access_token%3Dfeed", "https://app.example/"),
            ("https://app.example/v/token=feed/1", None),
            ("https://app.example/v%3Fsig%3Dfeed", None),
            ("https://app.example/v&sig=feed", None),
            ("https://app.example\\@x.example/", None),
            ("https://app.example/<script>", None),
            ("https://app.example/v 1", None),
            ("https://app.example:99999/v", None),
            ("https://app.example/v/1;sig=feed", "https://app.example/v/1"),
            ("javascript:alert(1)//https://x", None),
            ("JavaScript:alert(1)", None),
            ("data:text/html,<script>", None),
            ("//app.example/v", None),
            ("https:///v", None),
            ("https://[bad/v", None),
            ("https://app.example/\r\nv", None),
            ("https://app.example/\ud800", None),
            ("https://app.example/" + "x" * 5000, None),
            (7, None),
            (None, None),
        ],
    )
    def test_a_page_is_http_and_without_credentials(self, link: Any, shown: str | None) -> None:
        assert page_link(link) == shown


class TestDocument:
    def test_surrogates_go_and_line_breaks_stay(self) -> None:
        document = {"a\ud800": ["WEBVTT\n\n1\ud83d", 1, None, True, 1.5], "ü": "😀"}
        assert clean_document(document) == {"a\ufffd": ["WEBVTT\n\n1\ufffd", 1, None, True, 1.5], "ü": "😀"}

    def test_secrets_go_but_links_stay_whole(self) -> None:
        link = "https://x.example/v?key=s3cr3t-key"
        document = {"status": "weird s3cr3t-key", "link": link, "text": f"see {link}"}
        cleaned = clean_document(document, ["s3cr3t-key", "s3c"])
        assert cleaned == {"status": "weird ***", "link": link, "text": "see https://x.example/v?key=***"}
        link = "https://x.example/s3cr3t-key/v?key=s3cr3t-key"
        assert clean_document([link], ["s3cr3t-key"]) == ["https://x.example/***/v?key=s3cr3t-key"]

    @pytest.mark.parametrize("secret", ['quote"d-pass', "back\\slash-pass", "tab\tbed-pass", "ünïcode-pass"])
    def test_a_secret_goes_whatever_letters_it_has(self, secret: str) -> None:
        assert clean_document([{"status": f"wrong: {secret}"}], [secret]) == [{"status": "wrong: ***"}]
        assert clean_document({secret: [1]}, [secret]) == {"***": [1]}

    @pytest.mark.parametrize(
        "write",
        [
            lambda document: json.dumps(document).encode(),
            lambda document: json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"),
            lambda document: json.dumps(document).encode("utf-16"),
            lambda document: json.dumps(document).encode("utf-16-le"),
            lambda document: json.dumps(document).replace("s3cr3t", r"\u0073\u0033cr3t").encode(),
            lambda document: b"\n" + json.dumps(document).encode(),
        ],
    )
    @pytest.mark.parametrize("secret", ["s3cr3t-key", 'quote"d-pass', "back\\slash-pass", "ünïcode-pass"])
    def test_a_secret_goes_however_the_json_is_written(self, write: Callable[[Any], bytes], secret: str) -> None:
        written = write([{"status": f"wrong: {secret}", "other": "plain"}])
        cleaned = clean_document(json.loads(written), [secret], written=written)
        assert cleaned == [{"status": "wrong: ***", "other": "plain"}]

    def test_surrogates_go_however_the_json_is_written(self) -> None:
        for written in (rb'["a\ud83d"]', b'["a\xed\xa0\xbd"]'):
            assert clean_document(json.loads(written), written=written) == ["a\ufffd"]

    def test_what_json_cannot_hold_stays(self) -> None:
        tree = object()
        assert clean_document({"tree": tree, "text": "a s3cr3t-key"}, ["s3cr3t-key"]) == {"tree": tree, "text": "a ***"}

    def test_a_short_password_may_be_a_part_of_data(self) -> None:
        assert clean_document({"id": "monkey-1"}, ["key"]) == {"id": "monkey-1"}

    def test_lists_have_an_end(self) -> None:
        assert len(clean_document([1] * 100_000)) == 100_000
        for long in ([1] * 100_001, {"a": {"b": [None] * 100_001}}):
            with pytest.raises(ValueError, match="more than 100000 items"):
                clean_document(long)

    def test_nesting_has_an_end(self) -> None:
        document: Any = "x"
        for _ in range(99):
            document = [document]
        assert clean_document(document) == document
        with pytest.raises(ValueError, match="nested deeper"):
            clean_document([[document]])


class TestClient:
    @pytest.fixture
    def client(self, local_api: LocalApi) -> VideoApiClient:
        settings = ClientSettings(retry_deadline=0.01)
        return VideoApiClient(vendor="acme", base_url=local_api.url, settings=settings, secrets=["s3cr3t-key"])

    def test_every_document_passes_the_door(self, client: VideoApiClient, local_api: LocalApi) -> None:
        local_api.on("GET", "/a", Answer(body=b'{"a": "\\ud800 s3cr3t-key", "n": 1e999}'))
        assert client.get_json("/a", endpoint="GET /a") == {"a": "\ufffd ***", "n": None}
        token = client.call_json("GET", "/a", endpoint="GET /a", with_secrets=True)
        assert token == {"a": "\ufffd s3cr3t-key", "n": None}

    def test_a_paid_call_with_a_deep_response_has_an_unknown_outcome(
        self, client: VideoApiClient, local_api: LocalApi
    ) -> None:
        local_api.on("POST", "/a", Answer(body=b"[" * 500 + b"]" * 500))
        with pytest.raises(VideoApiUnreadableAnswerError, match="nested") as caught:
            client.call_json("POST", "/a", endpoint="POST /a")
        assert caught.value.outcome_unknown

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_credentials_are_hidden_as_they_were_sent(self, local_api: LocalApi, method: str) -> None:
        auth = HTTPBasicAuth("the-login", "s3cr3t-key")
        sent = b64encode(b"the-login:s3cr3t-key")
        local_api.on(method, "/a", Answer(status=401, body=b"unknown: Authorization: Basic " + sent))
        client = VideoApiClient(vendor="acme", base_url=local_api.url, auth=auth, secrets=["s3cr3t-key"])
        with pytest.raises(VideoApiError) as caught:
            client.call(method, "/a", endpoint=f"{method} /a")
        assert sent.decode().rstrip("=") not in str(caught.value)
        assert local_api.received[0].headers["authorization"] == f"Basic {sent.decode()}"

    @pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
    def test_an_error_is_one_harmless_line(
        self, client: VideoApiClient, local_api: LocalApi, media_type: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = HOSTILE.replace("\ud800", "") + " s3cr3t-key"
        body = json.dumps({"message": text, "code": text}) if "json" in media_type else text
        local_api.on("GET", "/a", Answer(status=500, body=body.encode(), headers={"Content-Type": media_type}))
        with caplog.at_level(logging.DEBUG), pytest.raises(VideoApiError) as caught:
            client.get_json("/a", endpoint="GET /a")
        shown = f"{caught.value} {caught.value.code} {caught.value.message}"
        assert is_harmless(shown)
        assert "s3cr3t" not in shown + caplog.text
        assert all(is_harmless(record.getMessage()) for record in caplog.records)


def test_an_error_that_a_third_party_makes_of_raw_text_is_harmless_too() -> None:
    link = "https://x.example/v?sig=feed"
    job = VideoJob(vendor="acme", job_id="1", state=JobState.FAILED, vendor_status="failed")
    for error in (
        VideoApiError(f"{HOSTILE} {link}" + "x" * 100_000, vendor="acme", endpoint="GET /a", code=HOSTILE),
        VideoJobError(HOSTILE, job=job),
    ):
        shown = f"{error} {getattr(error, 'code', '')} {getattr(error, 'message', '')}"
        assert is_harmless(shown)
        assert "feed" not in shown
        assert len(shown) < 10_000
