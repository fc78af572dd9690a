# SPDX-License-Identifier: Apache-2.0
"""A redirect is followed to the very text that the host wrote."""

from __future__ import annotations

import pytest

from airflow_video_providers.api.redirects import redirect_target

BASE = "https://a.example/files//42/get?q=1"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("v.mp4?sig=1", "https://a.example/files//42/v.mp4?sig=1"),
        ("videos//v.mp4", "https://a.example/files//42/videos//v.mp4"),
        ("v?", "https://a.example/files//42/v?"),
        ("v?#end", "https://a.example/files//42/v?"),
        ("v?u=http://x/../y", "https://a.example/files//42/v?u=http://x/../y"),
        ("v;a=1;?b", "https://a.example/files//42/v;a=1;?b"),
        (";a=1", "https://a.example/files//42/;a=1"),
        ("./%2e/v", "https://a.example/files//42/%2e/v"),
        ("../v", "https://a.example/files//v"),
        ("../../v", "https://a.example/files/v"),
        ("../../../../../v", "https://a.example/v"),
        ("..", "https://a.example/files//"),
        ("x/.", "https://a.example/files//42/x/"),
        ("...", "https://a.example/files//42/..."),
        ("?", "https://a.example/files//42/get?"),
        ("?sig=2", "https://a.example/files//42/get?sig=2"),
        ("#end", BASE),
        ("", BASE),
        ("/a//../b?", "https://a.example/a//../b?"),
        ("//b.example//v?", "https://b.example//v?"),
        ("https://b.example/a//./b;?", "https://b.example/a//./b;?"),
        (" \t/v\r\n", "https://a.example/v"),
        ("/\u00c3\u00a9", "https://a.example/\u00e9"),
        ("s3://bucket/v", "s3://bucket/v"),
    ],
)
def test_a_location_is_resolved_byte_for_byte(location: str, target: str) -> None:
    assert redirect_target(BASE, location) == target


def test_a_path_of_the_origin_alone() -> None:
    assert redirect_target("https://a.example/", "v?") == "https://a.example/v?"
    assert redirect_target("https://a.example", "v") == "https://a.example/v"


def test_a_malformed_location() -> None:
    for location in ("http://[x/v", "//[x/v", "\u2603"):
        with pytest.raises(ValueError, match=r".+"):
            redirect_target(BASE, location)
