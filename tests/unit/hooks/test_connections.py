# SPDX-License-Identifier: Apache-2.0
"""What every vendor's hook makes of a connection, good or bad."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks import connection
from airflow_video_providers.hooks.base import VideoHook, get_video_hook
from tests.support.local_api import Answer, LocalApi
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS


@pytest.fixture(params=HOOKS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(vendor: str, *, served_by: str | None = None, **fields: Any) -> VideoHook:
        """``served_by``: the address of a server that stands for all hosts of the vendor."""
        fields = {"conn_type": vendor, "login": "me", "password": "hush-hush", **fields}
        if served_by is not None:
            made = VENDORS[vendor].connection_to(served_by)
            fields["host"], fields["extra"] = made["host"], {**(made.get("extra") or {}), **(fields.get("extra") or {})}
        monkeypatch.setenv(f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT", json.dumps(fields))
        return get_video_hook(f"{vendor}_default")

    return make


class TestSecret:
    def test_the_end_of_a_line_is_no_part_of_a_key(self, connect: Any, vendor: str) -> None:
        assert connect(vendor, password=" hush-hush\r\n").secret() == "hush-hush"

    @pytest.mark.parametrize(
        "secret", ["hush\nhush", "hush\0hush", "hush\x7f", "hush\x85x", "hush-ключ", "hush\u2028x"]
    )
    def test_a_key_that_cannot_be_sent_is_refused_unseen(self, connect: Any, vendor: str, secret: str) -> None:
        hook = connect(vendor, password=secret)
        with pytest.raises(VideoConfigurationError, match="cannot be sent") as caught:
            hook.check_connection()
        assert "hush" not in str(caught.value)
        text = str(caught.value).replace(f"connection {hook.conn_id!r}", "this connection")
        assert hook.test_connection() == (False, text)

    def test_white_space_alone_is_no_key(self, connect: Any, vendor: str) -> None:
        with pytest.raises(VideoConfigurationError, match="no password"):
            connect(vendor, password=" \n").check_connection()


BAD_FIELDS: list[dict[str, Any]] = [
    {"host": "https://127.0.0.1:bad"},
    {"host": "https://127.0.0.1:99999"},
    {"host": "https://[::1"},
    {"host": "https://"},
    {"host": "me:hush-hush@127.0.0.1"},
    {"host": "https://me:hush-hush@127.0.0.1/v1"},
    {"extra": "[1]"},
    {"extra": '"text"'},
    {"extra": "7"},
    {"extra": {"read_timeout": "inf"}},
    {"extra": {"read_timeout": "nan"}},
    {"extra": {"connect_timeout": 1e30}},
    {"extra": {"connect_timeout": []}},
    {"extra": {"retry_deadline": "-inf"}},
    {"extra": {"verify": "maybe"}},
    {"extra": {"ca_bundle": "/not/there.pem"}, "host": "https://127.0.0.1:1"},
    {"extra": {"ca_bundle": {"a": 1}}},
    {"extra": {"proxy": "http://me:hush-hush@proxy:bad"}},
    {"extra": {"proxy": "proxy.example:3128"}},
    {"extra": {"proxy": {"https": "x"}}},
]


class TestBadConnections:
    @pytest.mark.parametrize("fields", BAD_FIELDS, ids=lambda fields: json.dumps(fields))
    def test_each_fault_is_a_sentence(self, connect: Any, vendor: str, fields: dict[str, Any]) -> None:
        hook = connect(vendor, **fields)
        with pytest.raises(VideoConfigurationError) as caught:
            _ = hook.client, hook.check_connection()
        good, text = hook.test_connection()
        assert not good
        assert repr(hook.conn_id) in str(caught.value) or str(caught.value) == text
        assert "hush" not in text


class TestTesting:
    def test_its_text_does_not_name_the_id_under_which_airflow_tests_a_copy(self, connect: Any, vendor: str) -> None:
        for fields, said in (
            (
                {"host": "http://127.0.0.1:1", "extra": {"retry_deadline": 0.01}},
                "The key of this connection is sent in",
            ),
            ({"password": ""}, "This connection has no password"),
            ({"host": "127.0.0.1"}, "The host of this connection must be"),
            ({"extra": {"read_timeout": "nan"}}, "Extra 'read_timeout' of this connection"),
        ):
            hook = connect(vendor, **fields)
            text = hook.test_connection()[1]
            assert said in text
            assert repr(hook.conn_id) not in text

    def test_a_vendor_that_is_down_is_not_tried_for_minutes(
        self, connect: Any, vendor: str, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        local_api.otherwise = Answer(status=503, headers={"Retry-After": "11"})
        hook = connect(vendor, served_by=local_api.url, extra={"read_timeout": 300})
        closed: list[tuple[float, float, float]] = []
        close = type(hook).close

        def watched(probe: VideoHook) -> None:
            settings = probe.client.settings
            closed.append((settings.connect_timeout, settings.read_timeout, settings.retry_deadline))
            close(probe)

        monkeypatch.setattr(type(hook), "close", watched)
        good, text = hook.test_connection()
        assert not good
        assert "Check the connection's host" in text
        assert local_api.count() == 1, "the vendor asked for more time than somebody waits"
        assert closed == [(10, 10, 10)]
        assert hook._client is None, "the hook's own session is another matter"

    def test_a_short_deadline_of_the_connection_stays(self, connect: Any, dead_url: str, vendor: str) -> None:
        good, text = connect(vendor, served_by=dead_url, extra={"retry_deadline": 0.01}).test_connection()
        assert not good
        assert "could not connect" in text


@pytest.mark.parametrize("job_id", [None, "None", ""])
def test_no_job_is_asked_for_without_an_id(connect: Any, vendor: str, local_api: LocalApi, job_id: Any) -> None:
    with pytest.raises(VideoConfigurationError, match="templated from an XCom"):
        connect(vendor, served_by=local_api.url).get_job(job_id)
    assert local_api.received == []


class TestExposure:
    """A key that others can read on its way is said once in the log, and in each test of the connection."""

    @pytest.fixture(autouse=True)
    def nothing_said_yet(self) -> None:
        connection._warn_once.cache_clear()

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"host": "http://api.vendor.invalid/v1"}, "sent in clear text"),
            ({"host": "HTTP://api.vendor.invalid/v1"}, "sent in clear text"),
            ({"host": "https://api.vendor.invalid/v1", "extra": {"verify": False}}, "does not verify"),
        ],
    )
    def test_one_warning(
        self, connect: Any, vendor: str, fields: dict[str, Any], text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        hook = connect(vendor, **fields)
        with caplog.at_level("WARNING"):
            for _ in range(3):
                assert hook.client
                hook.close()
        said = [record.getMessage() for record in caplog.records if text in record.getMessage()]
        assert len(said) == 1
        assert f"'{vendor}_default'" in said[0]

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"host": "http://127.0.0.1:1/v1"},
            {"host": "http://simulator:8099/v1"},
            {"host": "https://api.vendor.invalid/v1"},
            {"host": "https://api.vendor.invalid/v1", "extra": {"verify": False, "ca_bundle": "/etc/ca.pem"}},
        ],
    )
    def test_nothing_is_said_of_a_safe_one(
        self, connect: Any, vendor: str, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert connect(vendor, **fields).client
        assert "clear text" not in caplog.text
        assert "does not verify" not in caplog.text

    def test_the_test_of_a_connection_says_it_for_a_local_host_too(
        self, connect: Any, vendor: str, dead_url: str
    ) -> None:
        good, text = connect(vendor, served_by=dead_url, extra={"retry_deadline": 0.01}).test_connection()
        assert not good
        assert "sent in clear text" in text
        assert "could not connect" in text
