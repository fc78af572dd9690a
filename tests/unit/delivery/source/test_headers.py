# SPDX-License-Identifier: Apache-2.0
"""Headers as RFC 9110 allows them to be written."""

from __future__ import annotations

import pytest

from airflow_video_providers.delivery.source.headers import (
    ContentRange,
    codings_of,
    content_length,
    content_range,
    is_chunked,
    unsatisfied_size,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-99/200", ContentRange(0, 100, 200)),
        ("Bytes 0-99/200", ContentRange(0, 100, 200)),
        (" BYTES  0 - 99 / 200 ", ContentRange(0, 100, 200)),
        ("bytes=0-99/200", ContentRange(0, 100, 200)),
        ("bytes: 0-99/200", ContentRange(0, 100, 200)),
        ("bytes 0-99/200, bytes 0-99/200", ContentRange(0, 100, 200)),
        ("bytes 0-99/200, bytes 0-98/200", None),
        ("bytes0-99/200", None),
        ("0-99/200", None),
        ("bytes 5-5/*", ContentRange(5, 6, None)),
        ("bytes 5-4/10", None),
        ("bytes 5-10/10", None),
        ("bytes */10", None),
        ("items 0-99/200", None),
        ("bytes 0-99", None),
        ("bytes 0-\u0669/200", None),
        (f"bytes 0-99/{'9' * 5000}", None),
    ],
)
def test_content_range(value: str, expected: ContentRange | None) -> None:
    assert content_range({"Content-Range": value}) == expected
    assert content_range({}) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("bytes */10", 10), (" Bytes * / 10", 10), ("bytes */*", None), ("", None), (f"bytes */{'1' * 5000}", None)],
)
def test_the_size_in_a_416(value: str, expected: int | None) -> None:
    assert unsatisfied_size({"Content-Range": value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("10", 10), (" 10 ", 10), ("10, 10", 10), ("10, 11", None), ("-1", None), ("\u0661", None), ("9" * 5000, None)],
)
def test_content_length(value: str, expected: int | None) -> None:
    assert content_length({"Content-Length": value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("identity", []),
        ("aws-chunked", []),
        (" Binary ", []),
        ("UTF-8", []),
        ("none", []),
        ("video/mp4", []),
        ("us-ascii, null", []),
        ("gzip,aws-chunked", ["gzip"]),
        ("GZip", ["gzip"]),
        ("gzip, gzip", ["gzip", "gzip"]),
        ("br", ["br"]),
    ],
)
def test_codings(value: str, expected: list[str]) -> None:
    assert codings_of({"Content-Encoding": value}) == expected


def test_chunked() -> None:
    assert is_chunked({"Transfer-Encoding": "Chunked"})
    assert not is_chunked({})


def test_codings_of_the_transfer_count_too() -> None:
    assert codings_of({"Transfer-Encoding": "gzip, chunked"}) == ["gzip"]
    assert codings_of({"Transfer-Encoding": "identity, Chunked "}) == []
    assert codings_of({"Transfer-Encoding": "gzip", "Content-Encoding": "gzip"}) == ["gzip", "gzip"]
