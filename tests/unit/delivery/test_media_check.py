# SPDX-License-Identifier: Apache-2.0
"""First bytes, boxes, ends."""

from __future__ import annotations

import struct

import pytest

from airflow_video_providers.delivery.media_check import FIRST_BYTES, MediaCheck
from airflow_video_providers.exceptions import ContentCheckError
from tests.support.media import JPEG, PNG, SUBRIP, WEBVTT, archive, mp4, webm


def check(data: bytes, kind: str = "video", step: int | None = None) -> MediaCheck:
    """Check data that comes in pieces."""
    running = MediaCheck(kind)
    running.start(data[:FIRST_BYTES])
    step = step or len(data)
    for start in range(0, len(data), step):
        running.feed(memoryview(data)[start : start + step])
    running.finish()
    return running


@pytest.mark.parametrize(
    ("data", "kind", "name", "shows_its_end"),
    [
        (mp4(2000), "video", "mp4", True),
        (webm(), "video", "webm", True),
        (JPEG, "thumbnail", "jpeg", True),
        (JPEG[:-1], "thumbnail", "jpeg", False),
        (PNG, "thumbnail", "png", True),
        (PNG[:-20], "thumbnail", "png", False),
        (WEBVTT.encode(), "subtitles", "webvtt", False),
        (b"\xef\xbb\xbf" + WEBVTT.encode(), "subtitles", "webvtt", False),
        (SUBRIP, "subtitles", "subrip", False),
        (archive(), "archive", "zip", True),
    ],
)
@pytest.mark.parametrize("step", [None, 1, 7])
def test_known_formats(data: bytes, kind: str, name: str, shows_its_end: bool, step: int | None) -> None:
    done = check(data, kind, step)
    assert (done.format, done.shows_its_end, done.size) == (name, shows_its_end, len(data))


@pytest.mark.parametrize(
    ("data", "kind", "said", "media_type"),
    [
        (mp4(2000), "video", [None, "binary/octet-stream"], "video/mp4"),
        (mp4(2000), "video", [None, "text/html; charset=utf-8"], "video/mp4"),
        (mp4(2000), "video", ["image/png", "Video/X-M4V; codecs=avc1"], "video/x-m4v"),
        (mp4(2000), "video", ["video/quicktime", "video/mp4"], "video/quicktime"),
        (mp4(2000), "video", ["video/\u00fc"], "video/mp4"),
        (mp4(2000).replace(b"ftypisom", b"ftypqt  "), "video", [None], "video/quicktime"),
        (webm(), "video", ["application/octet-stream"], "video/webm"),
        (JPEG, "thumbnail", ["video/mp4", None], "image/jpeg"),
        (PNG, "thumbnail", ["image/png"], "image/png"),
        (WEBVTT.encode(), "subtitles", ["text/plain"], "text/vtt"),
        (SUBRIP, "subtitles", [None], "application/x-subrip"),
        (archive(), "archive", ["binary/octet-stream"], "application/zip"),
    ],
)
def test_the_media_type_fits_the_file(data: bytes, kind: str, said: list[str | None], media_type: str) -> None:
    assert check(data, kind).media_type(*said) == media_type


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "nothing at all"),
        (b"\n<!DOCTYPE HTML><html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error>", "an XML document"),
        (b'{"message": "expired"}', "a JSON document"),
        (JPEG, r"a jpeg file \(thumbnail\)"),
        (b"hello", "no known media format"),
    ],
)
def test_what_is_no_video(data: bytes, text: str) -> None:
    with pytest.raises(ContentCheckError, match=f"{text} instead of the video"):
        check(data)


@pytest.mark.parametrize("cut", [1, 4, 9, 500, 1800, 1999])
@pytest.mark.parametrize("step", [None, 3])
def test_a_cut_mp4(cut: int, step: int | None) -> None:
    data = mp4(2000)[:-cut]
    with pytest.raises(ContentCheckError, match=r"not whole|no moov|instead of"):
        check(data, step=step)


def test_an_mp4_with_something_after_its_end() -> None:
    with pytest.raises(ContentCheckError, match="not whole"):
        check(mp4(2000) + b"x")


def test_an_mp4_without_moov() -> None:
    with pytest.raises(ContentCheckError, match="no moov"):
        check(struct.pack(">I4s", 20, b"ftyp") + bytes(12) + struct.pack(">I4s", 100, b"mdat") + bytes(92))


def test_a_box_that_is_shorter_than_its_header() -> None:
    with pytest.raises(ContentCheckError, match="broken MP4"):
        check(struct.pack(">I4s", 20, b"ftyp") + bytes(12) + struct.pack(">I4s", 4, b"moov"))


@pytest.mark.parametrize("step", [None, 1, 11])
def test_large_boxes_and_an_open_end(step: int | None) -> None:
    whole = mp4(2000)
    moov = whole[20:136]
    large = whole[:136] + struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(100)
    assert check(large, step=step).shows_its_end
    with pytest.raises(ContentCheckError, match="not whole"):
        check(large[:-1], step=step)
    endless = whole[:20] + moov + struct.pack(">I4s", 0, b"mdat") + bytes(500)
    assert not check(endless, step=step).shows_its_end


def test_without_a_length_fragments_need_their_index() -> None:
    def box(kind: bytes, length: int = 40) -> bytes:
        return struct.pack(">I4s", length, kind) + bytes(length - 8)

    beginning = box(b"ftyp") + box(b"moov")
    fragments = beginning + (box(b"moof") + box(b"mdat")) * 3
    assert not check(beginning).shows_its_end
    assert not check(fragments).shows_its_end
    assert check(fragments + box(b"mfra")).shows_its_end
    assert check(beginning + box(b"mdat")).shows_its_end


def test_a_cut_zip_and_a_cut_webm() -> None:
    with pytest.raises(ContentCheckError, match="directory is missing"):
        check(archive()[:-1], "archive")
    with pytest.raises(ContentCheckError, match="its segment says"):
        check(webm()[:-1])
