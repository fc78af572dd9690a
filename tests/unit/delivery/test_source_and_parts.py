# SPDX-License-Identifier: Apache-2.0
"""Redirects, versions of a file, patience, and how large a part is."""

from __future__ import annotations

import threading

import pytest

from airflow_video_providers.delivery.source.headers import Validator
from airflow_video_providers.delivery.source.links import wait_for_outputs
from airflow_video_providers.delivery.source.patience import DownloadSettings, Patience
from airflow_video_providers.delivery.source.signals import BrokenError
from airflow_video_providers.delivery.source.urls import follow, parse_link
from airflow_video_providers.exceptions import SourceError, VideoApiNotFoundError, VideoOutputNotReadyError
from airflow_video_providers.jobs import VideoOutput


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://a.example/v", "http://a.example/v"),
        ("https://a.example/v", " HTTP://a.example/v"),
        ("https://a.example/v", "file:///etc/passwd"),
        ("http://a.example/v", "ftp://a.example/v"),
        ("http://a.example/v", "data:text/plain,x"),
        ("http://a.example/v", "javascript:alert(1)"),
    ],
)
def test_redirects_that_are_not_followed(before: str, after: str) -> None:
    with pytest.raises(SourceError, match="not followed"):
        follow(parse_link(before), after)


@pytest.mark.parametrize(
    ("after", "target"),
    [
        ("https://b.example/v", "https://b.example/v"),
        ("//b.example/v", "http://b.example/v"),
        ("/b/../v", "http://a.example/b/../v"),
        ("../w", "http://a.example/w"),
        ("?sig=1", "http://a.example/x/v?sig=1"),
        ("/vid\u00e9o.mp4".encode().decode("latin-1"), "http://a.example/vid%C3%A9o.mp4"),  # raw UTF-8 on the wire
        ("/vid\u00e9o.mp4", "http://a.example/vid%E9o.mp4"),  # raw Latin-1: its very bytes
        ("/a b|c", "http://a.example/a%20b|c"),
    ],
)
def test_redirects_that_are_followed(after: str, target: str) -> None:
    assert str(follow(parse_link("http://a.example/x/v"), after)) == target


@pytest.mark.parametrize(
    "link",
    [
        "https://a.example//key?sig=%2f%2F%7e~!$'()*,;:@[]{}|\\^`\"<>&x=+%20%",
        "https://a.example/a/../b/./c;p?q=a?b",
        "https://a.example?x",
        "https://user:pass@a.example:8443/v",
    ],
)
def test_a_link_stays_as_it_was_given(link: str) -> None:
    assert str(parse_link(f"  {link}#fragment")) == link.replace("example?x", "example/?x")


@pytest.mark.parametrize(
    ("link", "text"),
    [("ftp://a/v", "but ftp"), ("/v", "but relative"), ("", "but relative"), ("https:///v", "no host"),
     ("https://a/\ud800", "malformed")],
)  # fmt: skip
def test_what_is_no_link(link: str, text: str) -> None:
    with pytest.raises(SourceError, match=text):
        parse_link(link)


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


@pytest.mark.parametrize(("kind", "most"), [(VideoApiNotFoundError, 4), (VideoOutputNotReadyError, 6)])
def test_files_of_a_finished_job_that_are_not_there_yet_are_asked_for_again(
    kind: type[VideoApiNotFoundError], most: int
) -> None:
    asked = 0

    def get_outputs() -> list[VideoOutput]:
        nonlocal asked
        asked += 1
        if asked < there_at:
            raise kind("no such video", vendor="v", endpoint="e")
        return [VideoOutput(kind="video", url="https://a.example/v.mp4")]

    settings, there_at = DownloadSettings(backoff=0), most
    assert len(wait_for_outputs(get_outputs, settings)) == 1
    asked, there_at = 0, 100
    with pytest.raises(kind):
        wait_for_outputs(get_outputs, settings)
    assert asked == most
