# SPDX-License-Identifier: Apache-2.0
"""Every format of the table in docs/transfers.md, mostly from files that FFmpeg wrote."""

from __future__ import annotations

import bz2
import lzma
import struct
from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest

from airflow_video_providers.delivery.formats import (
    FIRST_BYTES,
    FORMATS,
    KINDS,
    extension_of,
    find_format,
    find_media_formats,
    fitting_media_type,
    media_type_of_name,
    page_of,
    plain_media_type,
)
from airflow_video_providers.delivery.media_check import MediaCheck
from airflow_video_providers.exceptions import ContentCheckError
from airflow_video_providers.jobs import OutputKind
from tests.support.encoded import film, sound
from tests.support.media import JPEG, PNG, SUBRIP, WEBVTT, archive, mp4, webm


def branded(brand: bytes, *compatible: bytes, inside: bytes = b"meta") -> bytes:
    """Return a file of boxes with this brand."""
    brands = b"".join((brand, bytes(4), *compatible))
    parts = ((b"ftyp", brands), (inside, bytes(40)), (b"mdat", bytes(100)))
    return b"".join(struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in parts)


def tagged(audio: bytes, *, length: int = 200, footer: bool = False) -> bytes:
    """Return a file with an ID3 tag of this length in front."""
    size = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    header = b"ID3\x04\x00" + (b"\x10" if footer else b"\x00") + size
    return header + bytes(length) + (b"3DI" + header[3:] if footer else b"") + audio


def without_ftyp(data: bytes) -> bytes:
    """Return a film without its first box, which names its brands."""
    assert data[4:8] == b"ftyp"
    return data[int.from_bytes(data[:4], "big") :]


TTML = b'<?xml version="1.0"?>\n<!-- subtitles -->\n<tt xmlns="http://www.w3.org/ns/ttml"><body/></tt>'
SVG = b'<?xml version="1.0"?><!DOCTYPE svg><svg xmlns="http://www.w3.org/2000/svg"/>'
MPEG4 = partial(film, codec="mpeg4")
FILES: list[tuple[Callable[[], bytes], str, str, str, str]] = [
    (partial(MPEG4, "mp4"), "video", "mp4", "video/mp4", "mp4"),
    (partial(MPEG4, "mp4", option="movflags=frag_keyframe+empty_moov"), "video", "mp4", "video/mp4", "mp4"),
    (lambda: mp4(2000)[20:], "video", "mp4", "video/mp4", "mp4"),
    (partial(MPEG4, "mov"), "video", "quicktime", "video/quicktime", "mov"),
    (lambda: without_ftyp(MPEG4("mov")), "video", "quicktime", "video/quicktime", "mov"),
    (partial(film, "3gp", "h263"), "video", "3gpp", "video/3gpp", "3gp"),
    (partial(film, "webm", "libvpx"), "video", "webm", "video/webm", "webm"),
    (webm, "video", "webm", "video/webm", "webm"),  # names no DocType
    (partial(MPEG4, "matroska"), "video", "matroska", "video/x-matroska", "mkv"),
    (partial(MPEG4, "avi"), "video", "avi", "video/x-msvideo", "avi"),
    (partial(film, "flv", "flv"), "video", "flv", "video/x-flv", "flv"),
    (lambda: b"OggS" + bytes(24) + b"\x80theora", "video", "ogg", "video/ogg", "ogv"),
    (partial(film, "mpeg", "mpeg2video"), "video", "mpeg", "video/mpeg", "mpg"),
    (partial(film, "mpegts", "mpeg2video"), "video", "mpeg-ts", "video/mp2t", "ts"),
    (partial(film, "mpegts", "mpeg2video", option="mpegts_m2ts_mode=1"), "video", "m2ts", "video/mp2t", "m2ts"),
    (partial(film, "mxf", "mpeg2video"), "video", "mxf", "application/mxf", "mxf"),
    (partial(film, "asf", "wmv2"), "video", "wmv", "video/x-ms-wmv", "wmv"),
    (partial(sound, "ipod", "aac"), "audio", "m4a", "audio/mp4", "m4a"),
    (partial(sound, "ipod", "aac"), "video", "m4a", "audio/mp4", "m4a"),
    (partial(sound, "mp4", "aac"), "audio", "mp4", "audio/mp4", "m4a"),
    (partial(sound, "mp3", "libmp3lame"), "audio", "mp3", "audio/mpeg", "mp3"),
    (lambda: sound("mp3", "libmp3lame")[45:], "audio", "mp3", "audio/mpeg", "mp3"),  # without its tag
    (lambda: tagged(bytes(20)), "audio", "mp3", "audio/mpeg", "mp3"),  # nothing but padding behind the tag
    (
        lambda: tagged(sound("adts", "aac"), length=4000),
        "audio",
        "mp3",
        "audio/mpeg",
        "mp3",
    ),  # a long one
    (lambda: tagged(sound("adts", "aac")), "audio", "aac", "audio/aac", "aac"),
    (lambda: tagged(sound("adts", "aac"), footer=True), "audio", "aac", "audio/aac", "aac"),
    (lambda: tagged(sound("flac", "flac")), "audio", "flac", "audio/flac", "flac"),
    (partial(sound, "adts", "aac"), "audio", "aac", "audio/aac", "aac"),
    (partial(sound, "wav", "pcm_s16le"), "audio", "wav", "audio/wav", "wav"),
    (partial(sound, "flac", "flac"), "audio", "flac", "audio/flac", "flac"),
    (partial(sound, "ogg", "libopus"), "audio", "ogg", "audio/ogg", "ogg"),
    (partial(sound, "webm", "libopus"), "audio", "webm", "audio/webm", "weba"),
    (partial(sound, "matroska", "libopus"), "audio", "matroska", "audio/x-matroska", "mka"),
    (partial(film, "asf", "wmv2"), "audio", "wma", "audio/x-ms-wma", "wma"),
    (lambda: JPEG, "image", "jpeg", "image/jpeg", "jpg"),
    (lambda: PNG, "thumbnail", "png", "image/png", "png"),
    (partial(film, "gif", "gif", "rgb8"), "image", "gif", "image/gif", "gif"),
    (partial(film, "webp", "libwebp"), "image", "webp", "image/webp", "webp"),
    (partial(branded, b"avif"), "image", "avif", "image/avif", "avif"),
    (partial(branded, b"mif1", b"miaf", b"avif"), "image", "avif", "image/avif", "avif"),
    (partial(branded, b"heic"), "thumbnail", "heic", "image/heic", "heic"),
    (WEBVTT.encode, "subtitles", "webvtt", "text/vtt", "vtt"),
    (lambda: WEBVTT.encode("utf-16"), "subtitles", "webvtt", "text/vtt", "vtt"),
    (lambda: SUBRIP, "subtitles", "subrip", "application/x-subrip", "srt"),
    (lambda: SUBRIP.replace(b"\n", b""), "subtitles", "subrip", "application/x-subrip", "srt"),  # CR alone
    (lambda: SUBRIP.decode().encode("utf-16"), "subtitles", "subrip", "application/x-subrip", "srt"),
    (lambda: SUBRIP.decode().encode("utf-16-le"), "subtitles", "subrip", "application/x-subrip", "srt"),
    (lambda: SUBRIP.decode().encode("utf-16-be"), "subtitles", "subrip", "application/x-subrip", "srt"),
    (lambda: SUBRIP.split(b"\n", 1)[1], "subtitles", "subrip", "application/x-subrip", "srt"),  # without its numbers
    (lambda: SUBRIP.replace(b"\n", b"\n\n"), "subtitles", "subrip", "application/x-subrip", "srt"),
    (lambda: b"[Script Info]\nTitle: Hello\n", "subtitles", "substation", "text/x-ssa", "ass"),
    (lambda: TTML, "subtitles", "ttml", "application/ttml+xml", "ttml"),
    (lambda: b'<tt:tt xmlns:tt="http://www.w3.org/ns/ttml"/>', "subtitles", "ttml", "application/ttml+xml", "ttml"),
    (lambda: TTML.replace(b" subtitles ", b" by <me@x.example> "), "subtitles", "ttml", "application/ttml+xml", "ttml"),
    (lambda: TTML.decode().encode("utf-16"), "subtitles", "ttml", "application/ttml+xml", "ttml"),
    (lambda: SVG, "image", "svg", "image/svg+xml", "svg"),
    (lambda: b'<!DOCTYPE svg [ <!ENTITY a "b"> ]><svg/>', "image", "svg", "image/svg+xml", "svg"),
    (partial(film, "image2pipe", "bmp", "bgr24"), "image", "bmp", "image/bmp", "bmp"),
    (partial(film, "image2pipe", "tiff", "rgb24"), "thumbnail", "tiff", "image/tiff", "tiff"),
    (lambda: b"\xff\x0a" + bytes(50), "image", "jxl", "image/jxl", "jxl"),
    (partial(sound, "ac3", "ac3"), "audio", "ac3", "audio/ac3", "ac3"),
    (partial(sound, "aiff", "pcm_s16be"), "audio", "aiff", "audio/aiff", "aiff"),
    (lambda: b"#!AMR\n" + bytes(50), "audio", "amr", "audio/amr", "amr"),
    (lambda: b"caff\x00\x01\x00\x00desc" + bytes(50), "audio", "caf", "audio/x-caf", "caf"),
    (lambda: b"BW64\xff\xff\xff\xffWAVE" + bytes(50), "audio", "wav", "audio/wav", "wav"),
    (lambda: bz2.compress(b"a"), "archive", "bzip2", "application/x-bzip2", "bz2"),
    (lambda: lzma.compress(b"a"), "archive", "xz", "application/x-xz", "xz"),
    (lambda: b"\x28\xb5\x2f\xfd" + bytes(50), "archive", "zstd", "application/zstd", "zst"),
    (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(50), "archive", "7z", "application/x-7z-compressed", "7z"),
    (lambda: b"Rar!\x1a\x07\x01\x00" + bytes(50), "archive", "rar", "application/vnd.rar", "rar"),
    (archive, "archive", "zip", "application/zip", "zip"),
    (lambda: b"\x1f\x8b\x08" + bytes(50), "archive", "gzip", "application/gzip", "gz"),
    (lambda: bytes(257) + b"ustar" + bytes(500), "archive", "tar", "application/x-tar", "tar"),
]


@pytest.mark.parametrize(("make", "kind", "name", "media_type", "extension"), FILES)
def test_a_format_is_told_by_its_first_bytes(
    make: Callable[[], bytes], kind: str, name: str, media_type: str, extension: str
) -> None:
    data = make()
    found = find_format(data[:FIRST_BYTES], kind)
    assert found is not None
    assert (found.name, found.media_types[0], found.extension) == (name, media_type, extension)
    running = MediaCheck(kind)
    running.start(data[:FIRST_BYTES])
    running.feed(memoryview(data))
    running.finish()
    assert running.media_type("text/html", None, media_type.upper()) == media_type


def test_every_format_is_tried() -> None:
    tried = {(name, kind) for _, kind, name, _, _ in FILES}
    assert {found.name for found in FORMATS} == {name for name, _ in tried}


@pytest.mark.parametrize(
    ("data", "kind"),
    [(JPEG, "video"), (mp4(2000), "image"), (branded(b"avif"), "video"), (branded(b"heic"), "video"),
     (b"RIFF\0\0\0\0WAVE", "video"), (SUBRIP, "video"), (b"\xff\xfe" + bytes(50), "audio"),
     (SVG, "subtitles"), (TTML, "image"), (b"<Error><svg/></Error>", "image"),
     (b"<html><tt>404</tt></html>", "subtitles"), (b"<!doctype html><svg/>", "image"),
     (b"7 items --> next page", "subtitles")],
)  # fmt: skip
def test_a_file_of_another_kind(data: bytes, kind: str) -> None:
    with pytest.raises(ContentCheckError, match=f"instead of the {kind}"):
        MediaCheck(kind).start(data)


def test_pages() -> None:
    assert page_of("<html>".encode("utf-16")) == "an HTML page"
    assert page_of(b"\xef\xbb\xbf\r\n<?xml?>") == "an XML document"
    assert page_of(b" [1]") == "a JSON document"
    for text in (b"{}", b'{\n"a": 1}', b"[]", b'["a"]', b"[[1]]", b'[{"a": 1}]', b"[null]", b"[-1.5, 2]"):
        assert page_of(text) == "a JSON document"
    for text in (b"{1}{25}Hello", b"[V4+ Styles]\nFormat: Name", b"[00:12.00]Hello"):
        assert page_of(text) is None
    assert page_of(b"") == "nothing at all"
    assert page_of(mp4(2000)) is None


def test_media_types() -> None:
    assert plain_media_type(" Video/MP4 ; codecs=avc1") == "video/mp4"
    for text in (
        None,
        "",
        "video",
        "video/",
        "video/quicktime, variant=(string)iso",
        "video/\u00fc",
        "a/b\r\nX: y",
        f"video/{'x' * 200}",
    ):
        assert plain_media_type(text) is None
    assert extension_of("video/quicktime", "video") == "mov"
    assert extension_of("audio/mp4", "audio") == "m4a"
    assert extension_of("text/html", "video") is None


def test_the_media_type_that_a_name_says() -> None:
    assert media_type_of_name("Holiday.MOV") == media_type_of_name("a.mov", "video") == "video/quicktime"
    assert media_type_of_name("a.m4a", "audio") == "audio/mp4"
    assert media_type_of_name("a.mov", "audio") is media_type_of_name("Meet Acme.ai") is media_type_of_name("") is None


@pytest.mark.parametrize(
    ("head", "said", "media_type"),
    [
        (mp4(2000), ["audio/mp4"], "audio/mp4"),  # of unknown kind
        (mp4(2000), ["text/html", None, "video/mp4"], "video/mp4"),
        (branded(b"qt  "), ["video/mp4"], "video/quicktime"),
        (sound("webm", "libopus")[:FIRST_BYTES], [None, "audio/webm"], "audio/webm"),
        (archive(), ["application/vnd.ms-powerpoint"], "application/vnd.ms-powerpoint"),
        (b"%PDF-1.7", ["binary/octet-stream", "application/pdf"], "application/pdf"),
        (b"%PDF-1.7", ["mp4", "Application/X-WWW-Form-Urlencoded; charset=utf-8", None], None),
    ],
)  # fmt: skip
def test_the_media_type_of_a_file_of_unknown_kind(head: bytes, said: list[str | None], media_type: str | None) -> None:
    assert fitting_media_type(find_media_formats(head), *said) == media_type


def test_the_kinds_are_those_of_the_vocabulary() -> None:
    assert get_args(OutputKind) == KINDS
