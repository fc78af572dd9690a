# SPDX-License-Identifier: Apache-2.0
"""Redirects, versions of a file, patience, and how large a part is."""

from __future__ import annotations

import threading

import pytest

from airflow_video_providers.delivery.source.http import BrokenError, Validator, _redirected
from airflow_video_providers.delivery.source.patience import DownloadSettings, Patience
from airflow_video_providers.exceptions import SourceError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://a.example/v", "http://a.example/v"),
        ("https://a.example/v", "file:///etc/passwd"),
        ("http://a.example/v", "ftp://a.example/v"),
        ("http://a.example/v", "data:text/plain,x"),
    ],
)
def test_redirects_that_are_not_followed(before: str, after: str) -> None:
    with pytest.raises(SourceError, match="not followed"):
        _redirected(before, after)


@pytest.mark.parametrize("after", ["https://b.example/v", "http://b.example/v"])
def test_redirects_that_are_followed(after: str) -> None:
    assert _redirected("http://a.example/v", after) == after


@pytest.mark.parametrize("after", ["http://[::1/x?sig=secret", "http://127.0.0.1:99999999/x?sig=secret"])
def test_malformed_redirects(after: str) -> None:
    with pytest.raises(SourceError, match="malformed") as caught:
        _redirected("http://a.example/v", after)
    assert "secret" not in str(caught.value)


def test_two_versions_differ_by_what_both_say() -> None:
    tagged, other, dated = Validator('"1"', "Mon"), Validator('"2"', "Mon"), Validator(None, "Tue")
    none = Validator(None, None)
    assert tagged.same(other) is False
    assert tagged.same(dated) is False
    assert tagged.same(none) is None
    assert none.same(none) is None
    assert tagged.same(Validator('"1"', "Tue"))
    assert (tagged.if_range, dated.if_range, none.if_range) == ('"1"', "Tue", None)
    assert Validator.of({"ETag": '"1"', "Last-Modified": "Mon"}) == tagged
    assert Validator.of({"ETag": 'W/"1"', "Last-Modified": "Tue"}) == dated
    assert Validator.of({"ETag": 'W/"1"'}) == none


def test_tries_with_progress_are_not_counted() -> None:
    patience = Patience(DownloadSettings(attempts=3, backoff=0), threading.Event())
    for number in range(1, 10):
        patience.wait(BrokenError("cut"), "at byte 0")
        patience.progress(number * 100_000)
    patience.wait(BrokenError("cut"), "at byte 0")
    patience.progress(900_001)
    patience.wait(BrokenError("cut"), "at byte 0")
    patience.progress(500_000)  # read again: no progress
    with pytest.raises(SourceError, match="cut at byte 0; given up after 3 tries"):
        patience.wait(BrokenError("cut"), "at byte 0")


def test_a_stop_ends_a_wait() -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(SourceError, match="stopped"):
        Patience(DownloadSettings(backoff=60), stopped).wait(BrokenError("cut", retry_after=100), "at byte 0")
