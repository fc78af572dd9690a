# SPDX-License-Identifier: Apache-2.0
"""First bytes, boxes, ends."""

from __future__ import annotations

import struct

import pytest

from airflow_video_providers.delivery import boxes
from airflow_video_providers.delivery.media_check import FIRST_BYTES, MediaCheck
from airflow_video_providers.exceptions import ContentCheckError
from tests.support.media import JPEG, PNG, SUBRIP, WEBVTT, archive, mp4, webm

WIDE = struct.pack(">I4s", 8, b"wide") + mp4(2000)[20:]
"""A film of QuickTime's first years, which had no ``ftyp``."""


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
    assert done.format is not None
    assert (done.format.name, done.shows_its_end, done.size) == (name, shows_its_end, len(data))


@pytest.mark.parametrize(
    ("data", "kind", "said", "media_type"),
    [
        (mp4(2000), "video", [None, "binary/octet-stream"], "video/mp4"),
        (mp4(2000), "video", [None, "text/html; charset=utf-8"], "video/mp4"),
        (mp4(2000), "video", ["image/png", "Video/X-M4V; codecs=avc1"], "video/x-m4v"),
        (mp4(2000), "video", ["video/quicktime", "video/mp4"], "video/mp4"),
        (mp4(2000), "video", ["video/quicktime, variant=(string)iso", None], "video/mp4"),
        (mp4(2000), "video", ["video/\u00fc"], "video/mp4"),
        (mp4(2000).replace(b"ftypisom", b"ftypqt  "), "video", [None], "video/quicktime"),
        (mp4(2000)[20:], "video", [None, "text/html"], "video/mp4"),
        (mp4(2000)[20:], "video", ["video/quicktime", None], "video/quicktime"),
        (mp4(2000)[20:], "video", [None, "video/quicktime; q=1"], "video/quicktime"),
        (WIDE, "video", ["video/mp4"], "video/quicktime"),
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
        (JPEG, "a file in the format jpeg"),
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


CAMERA = bytes(40) + b"8db42d694ccc418790edff439fe026bf"


@pytest.mark.parametrize(
    "trailer", [bytes(4), bytes(16), b"TAG" + bytes(125), b'{"generator":"x"}\n', b"\n", CAMERA, b"APETAGEX" * 9]
)
@pytest.mark.parametrize("step", [None, 1, 7])
def test_an_mp4_with_bytes_behind_its_last_box(trailer: bytes, step: int | None) -> None:
    """Players ignore them. They are kept, but prove no end: where nobody says the length, the file is refused."""
    assert not check(mp4(2000) + trailer, step=step).shows_its_end
    with pytest.raises(ContentCheckError, match="no moov"):
        check(mp4(2000)[:20] + struct.pack(">I4s", 8, b"free") + trailer, step=step)


@pytest.mark.parametrize("box", [b"mdat", b"moof", b"moov", b"free", b"uuid"])
def test_a_box_that_is_cut_is_no_trailer(box: bytes) -> None:
    with pytest.raises(ContentCheckError, match="not whole"):
        check(mp4(2000) + struct.pack(">I4s", 100, box) + bytes(50))


def test_boxes_without_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is of another type: neither memory nor time may be spent on them without bounds."""
    monkeypatch.setattr(boxes, "_MOST_BOXES", 10_000)
    data = mp4(2000)[:20] + b"".join(struct.pack(">I4s", 8, b"%04x" % (number & 0xFFFF)) for number in range(10_100))
    running = MediaCheck("video")
    running.start(data[:FIRST_BYTES])
    with pytest.raises(ContentCheckError, match="more than 10000 boxes"):
        running.feed(memoryview(data))
    assert running._boxes is not None
    assert running._boxes._seen == {b"ftyp"}


def test_checks_of_the_length_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What strict checks refuse is stored with a warning; an error page is not."""
    for kind, data, warning in (
        ("video", b"some format", "no known media format instead of the video"),
        ("video", JPEG, "in the format jpeg instead of the video"),
        ("video", mp4(2000)[:-1], "not whole"),
        ("video", mp4(2000)[:20] + struct.pack(">I4s", 4, b"moov"), "broken MP4"),
        ("archive", archive()[:-1], "directory is missing"),
    ):
        with pytest.raises(ContentCheckError, match=warning):
            check(data, kind)
        caplog.clear()
        lenient = MediaCheck(kind, "length")
        lenient.start(data)
        lenient.feed(memoryview(data))
        lenient.finish()
        assert not lenient.shows_its_end
        (record,) = caplog.records
        assert (record.levelname, warning in record.message) == ("WARNING", True)
    with pytest.raises(ContentCheckError, match="JSON"):
        MediaCheck("video", "length").start(b'{"error": 1}')


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
