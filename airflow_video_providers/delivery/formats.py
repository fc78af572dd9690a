# SPDX-License-Identifier: Apache-2.0
"""
The formats that files have, told by their first bytes: which kinds of output they can be, their media types, their
extension. docs/transfers.md shows the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from airflow_video_providers.delivery.ebml import EBML, doc_type

KINDS = ("video", "thumbnail", "subtitles", "archive", "audio", "image")
"""The kinds of output."""
FIRST_BYTES = 512
"""How many bytes at most are needed to tell the format."""

_BOX_TYPES = (
    b"ftyp",
    b"moov",
    b"moof",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"styp",
    b"sidx",
    b"emsg",
    b"pnot",
    b"uuid",
)
_OF_QUICKTIME = (b"wide", b"pnot")
"""First boxes that only QuickTime's own format has."""
_IMAGES = ("thumbnail", "image")
_OF_EVERYTHING = ("application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded")
"""Media types that stores and tools say of files that they know nothing of."""
_ID3_HEADER, _ID3_HAS_FOOTER, _SHORTEST_HEAD = 10, 0x10, 4
_ZIP_END = b"PK\x05\x06"
_SUBRIP_TIMES = re.compile(r"(?:[0-9]{1,9}\n)?[0-9]{1,3}:[0-9]{1,2}:[0-9]{1,2}[,.]?[0-9]{0,3}\s*-->")
_BEFORE_ROOT = r"(?:<!--.*?-->|<\?[^<>]*>|<!DOCTYPE\s+(?!html\b)[^<>\[]*(?:\[[^\[\]]*\]\s*)?>)\s*"
_XML_ROOT = re.compile(rf"\s*(?:{_BEFORE_ROOT})*<(?:[a-z][a-z0-9-]*:)?([a-z]+)[\s/>]", re.IGNORECASE | re.DOTALL)
# Subtitles may begin with a brace or a bracket too: MicroDVD with {1}{25}, SubStation Alpha with [V4+ Styles].
_JSON = re.compile(r"\{\s*[\"}]|\[\s*(?:[\[{\"\]]|(?:true|false|null|-?[0-9][0-9.e+-]*)\s*[,\]])")
_MEDIA_TYPE = re.compile(
    r"([a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126})\s*(;.*)?", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Format:
    """
    One format.

    :param name: as errors and logs name it.
    :param kinds: of output that it can be.
    :param media_types: that fit it, the usual one first.
    :param extension: of a file name, without its dot.
    :param matches: tells it by the first bytes.
    """

    name: str
    kinds: tuple[str, ...]
    media_types: tuple[str, ...]
    extension: str
    matches: Callable[[bytes], bool]


def find_format(head: bytes, kind: str | None = None) -> Format | None:
    """Return the format that the first bytes of a file show, of those that a kind of output can be; None: no such."""
    for begins in (_after_tag(head), head):
        for found in FORMATS:
            if (kind is None or kind in found.kinds) and found.matches(begins):
                return found
    return None


def _after_tag(head: bytes) -> bytes:
    """Return what follows an ID3 tag: FLAC and AAC may have one too. One that is longer than the head is an MP3's."""
    if not head.startswith(b"ID3") or len(head) < _ID3_HEADER:
        return head
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    end = _ID3_HEADER * (2 if head[5] & _ID3_HAS_FOOTER else 1) + size
    return head[end:] if end + _SHORTEST_HEAD <= len(head) else head


def extension_of(media_type: str, kind: str) -> str | None:
    """Return the extension that files of a media type and a kind of output have, or None."""
    for found in FORMATS:
        if kind in found.kinds and media_type in found.media_types:
            return found.extension
    return None


def plain_media_type(text: str | None) -> str | None:
    """Return a media type in lower case and without its parameters; None where the text is none."""
    match = _MEDIA_TYPE.fullmatch((text or "").strip())
    return match[1].lower() if match else None


def find_media_formats(head: bytes) -> list[Format]:
    """Return the formats that the first bytes of a file of unknown kind show: one a kind, archives left out."""
    found = (find_format(head, kind) for kind in KINDS if kind != "archive")
    return list(dict.fromkeys(each for each in found if each is not None))


def fitting_media_type(formats: Sequence[Format], *said: str | None) -> str | None:
    """
    Return the media type of a file of one of these formats, without parameters.

    :param formats: that its first bytes fit, likeliest first; none where they show no known format.
    :param said: by others, e.g. a header. The first that one of the formats has counts, else that of the first format:
        many hosts say ``binary/octet-stream``, or ``text/html``, of everything. Where the format is not known, the
        first counts that is a media type, and not one that is said of everything; None: there is no such.
    """
    plain = [plain_media_type(text) for text in said]
    if not formats:
        return next((text for text in plain if text and text not in _OF_EVERYTHING), None)
    fitting = {media_type for each in formats for media_type in each.media_types}
    return next((text for text in plain if text in fitting), formats[0].media_types[0])


def media_type_of_name(name: str, kind: str | None = None) -> str | None:
    """Return the media type that the extension of a file's name says, for a kind of output; None: there is no such."""
    extension = PurePosixPath(name).suffix.lower().lstrip(".")
    named = (each for each in FORMATS if each.extension == extension and (kind is None or kind in each.kinds))
    return next((each.media_types[0] for each in named), None)


def page_of(head: bytes) -> str | None:
    """Say what sort of text was sent instead of a file, where the first bytes are those of a page; else None."""
    text = decode(head).lstrip().lower()
    if not head:
        return "nothing at all"
    if text.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "an HTML page"
    if text.startswith("<"):
        return "an XML document"
    if _JSON.match(text):
        return "a JSON document"
    return None


def decode(head: bytes) -> str:
    """Return the beginning of a text in UTF-8 or UTF-16, told by its mark or its zeros; its lines end in line feeds."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(head) > 3 and head[1] == head[3] == 0:
        encoding = "utf-16-le"
    elif len(head) > 3 and head[0] == head[2] == 0:
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    return head.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")


# ---------------------------------------------------------------- how formats begin


def _begins(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)


def _riff(*forms: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] in forms


def _is_boxes(head: bytes) -> bool:
    """MP4 and its relatives (ISO/IEC 14496-12), but no image."""
    return head[4:8] in _BOX_TYPES and not _is_avif(head) and not _is_heic(head)


def _is_unbranded(head: bytes) -> bool:
    """Boxes without ``ftyp``, as MP4 and QuickTime had them at first: nothing tells the two apart."""
    return head[4:8] in (b"moov", b"mdat", b"free", b"skip")


def _is_quicktime(head: bytes) -> bool:
    return head[4:8] in _OF_QUICKTIME or _brands(head)[:1] == [b"qt  "]


def _brands(head: bytes) -> list[bytes]:
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]


def _branded(*brands: bytes) -> Callable[[bytes], bool]:
    return lambda head: _brands(head)[:1] != [] and _brands(head)[0].startswith(brands)


_is_heic = _branded(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _is_avif(head: bytes) -> bool:
    brands = _brands(head)
    return brands[:1] in ([b"avif"], [b"avis"]) or (brands[:1] in ([b"mif1"], [b"msf1"]) and b"avif" in brands)


def _is_matroska(head: bytes) -> bool:
    return doc_type(head) == "matroska"


def _packets(size: int, sync: int) -> Callable[[bytes], bool]:
    """MPEG transport streams: a sync byte in each packet."""
    return lambda head: len(head) > sync + 2 * size and {head[sync + size * n] for n in range(3)} == {0x47}


def _is_ogg_audio(head: bytes) -> bool:
    codecs = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC")
    return head.startswith(b"OggS") and head[28:36].startswith(codecs)


def _is_mp3(head: bytes) -> bool:
    # A tag, or the sync of a frame of layer III with a bit rate and a sampling rate that exist.
    frame = len(head) > 3 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    return head.startswith(b"ID3") or (frame and head[2] & 0xF0 not in (0, 0xF0) and head[2] & 0x0C != 0x0C)


def _is_aac(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


def _is_webvtt(head: bytes) -> bool:
    return decode(head).startswith("WEBVTT")


def _is_subrip(head: bytes) -> bool:
    lines = [line.strip() for line in decode(head).split("\n", 20) if line.strip()]
    return bool(lines) and bool(_SUBRIP_TIMES.match("\n".join(lines[:2])))


def _is_substation(head: bytes) -> bool:
    return decode(head).lstrip().lower().startswith("[script info]")


def _root_is(name: str) -> Callable[[bytes], bool]:
    """An XML document by the name of its outermost element."""

    def matches(head: bytes) -> bool:
        root = _XML_ROOT.match(decode(head))
        return root is not None and root[1].lower() == name

    return matches


def _is_aiff(head: bytes) -> bool:
    return head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")


FORMATS = (
    Format("quicktime", ("video",), ("video/quicktime",), "mov", _is_quicktime),
    Format("mp4", ("video",), ("video/mp4", "video/x-m4v", "video/quicktime"), "mp4", _is_unbranded),
    Format("3gpp", ("video",), ("video/3gpp", "video/3gpp2"), "3gp", _branded(b"3gp", b"3g2")),
    Format("m4a", ("audio", "video"), ("audio/mp4", "audio/x-m4a", "audio/m4a"), "m4a", _branded(b"M4A ", b"M4B ")),
    Format("avif", _IMAGES, ("image/avif",), "avif", _is_avif),
    Format("heic", _IMAGES, ("image/heic", "image/heif"), "heic", _is_heic),
    Format("mp4", ("video",), ("video/mp4", "video/x-m4v"), "mp4", _is_boxes),
    Format("mp4", ("audio",), ("audio/mp4", "audio/x-m4a", "audio/m4a"), "m4a", _is_boxes),
    Format("matroska", ("video",), ("video/x-matroska", "video/matroska"), "mkv", _is_matroska),
    Format("matroska", ("audio",), ("audio/x-matroska", "audio/matroska"), "mka", _is_matroska),
    Format("webm", ("video",), ("video/webm",), "webm", _begins(EBML)),
    Format("webm", ("audio",), ("audio/webm",), "weba", _begins(EBML)),
    Format("avi", ("video",), ("video/x-msvideo", "video/avi", "video/vnd.avi"), "avi", _riff(b"AVI ")),
    Format("flv", ("video",), ("video/x-flv",), "flv", _begins(b"FLV\x01")),
    Format("ogg", ("audio", "video"), ("audio/ogg", "audio/opus", "application/ogg"), "ogg", _is_ogg_audio),
    Format("ogg", ("video",), ("video/ogg", "application/ogg"), "ogv", _begins(b"OggS")),
    Format("mpeg", ("video",), ("video/mpeg",), "mpg", _begins(b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")),
    Format("mpeg-ts", ("video",), ("video/mp2t",), "ts", _packets(188, 0)),
    Format("m2ts", ("video",), ("video/mp2t",), "m2ts", _packets(192, 4)),
    Format("mxf", ("video",), ("application/mxf",), "mxf", _begins(b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02")),
    Format("wmv", ("video",), ("video/x-ms-wmv", "video/x-ms-asf"), "wmv",
           _begins(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
    Format("wma", ("audio",), ("audio/x-ms-wma",), "wma", _begins(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
    Format("wav", ("audio",), ("audio/wav", "audio/x-wav", "audio/vnd.wave", "audio/wave"), "wav", _riff(b"WAVE")),
    Format("flac", ("audio",), ("audio/flac", "audio/x-flac"), "flac", _begins(b"fLaC")),
    Format("mp3", ("audio",), ("audio/mpeg", "audio/mp3"), "mp3", _is_mp3),
    Format("ac3", ("audio",), ("audio/ac3", "audio/eac3"), "ac3", _begins(b"\x0b\x77")),
    Format("aiff", ("audio",), ("audio/aiff", "audio/x-aiff"), "aiff", _is_aiff),
    Format("amr", ("audio",), ("audio/amr", "audio/amr-wb"), "amr", _begins(b"#!AMR")),
    Format("caf", ("audio",), ("audio/x-caf",), "caf", _begins(b"caff\x00\x01")),
    Format("aac", ("audio",), ("audio/aac", "audio/aacp"), "aac", _is_aac),
    Format("jpeg", _IMAGES, ("image/jpeg",), "jpg", _begins(b"\xff\xd8\xff")),
    Format("png", _IMAGES, ("image/png", "image/apng"), "png", _begins(b"\x89PNG\r\n\x1a\n")),
    Format("gif", _IMAGES, ("image/gif",), "gif", _begins(b"GIF87a", b"GIF89a")),
    Format("webp", _IMAGES, ("image/webp",), "webp", _riff(b"WEBP")),
    Format("bmp", _IMAGES, ("image/bmp", "image/x-ms-bmp"), "bmp", _begins(b"BM")),
    Format("tiff", _IMAGES, ("image/tiff",), "tiff", _begins(b"II*\x00", b"MM\x00*")),
    Format("jxl", _IMAGES, ("image/jxl",), "jxl", _begins(b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")),
    Format("svg", _IMAGES, ("image/svg+xml",), "svg", _root_is("svg")),
    Format("webvtt", ("subtitles",), ("text/vtt",), "vtt", _is_webvtt),
    Format("subrip", ("subtitles",), ("application/x-subrip", "text/srt"), "srt", _is_subrip),
    Format("substation", ("subtitles",), ("text/x-ssa", "text/x-ass"), "ass", _is_substation),
    Format("ttml", ("subtitles",), ("application/ttml+xml", "application/ttaf+xml"), "ttml", _root_is("tt")),
    Format("zip", ("archive",), ("application/zip",), "zip", _begins(b"PK\x03\x04", _ZIP_END)),
    Format("gzip", ("archive",), ("application/gzip", "application/x-gzip"), "gz", _begins(b"\x1f\x8b\x08")),
    Format("bzip2", ("archive",), ("application/x-bzip2",), "bz2", _begins(b"BZh")),
    Format("xz", ("archive",), ("application/x-xz",), "xz", _begins(b"\xfd7zXZ\x00")),
    Format("zstd", ("archive",), ("application/zstd",), "zst", _begins(b"\x28\xb5\x2f\xfd")),
    Format("7z", ("archive",), ("application/x-7z-compressed",), "7z", _begins(b"7z\xbc\xaf\x27\x1c")),
    Format("rar", ("archive",), ("application/vnd.rar", "application/x-rar-compressed"), "rar",
           _begins(b"Rar!\x1a\x07")),
    Format("tar", ("archive",), ("application/x-tar",), "tar", lambda head: head[257:262] == b"ustar"),
)  # fmt: skip
