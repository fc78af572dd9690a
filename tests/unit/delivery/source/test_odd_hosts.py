# SPDX-License-Identifier: Apache-2.0
"""Hosts that answer in ways that RFC 9110 and 9112 allow, or that are common although they do not."""

from __future__ import annotations

import gzip

import pytest

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.ebml import segment_end
from airflow_video_providers.delivery.source.headers import NO_VERSION, Validator
from airflow_video_providers.delivery.source.http import HttpSource
from airflow_video_providers.delivery.source.signals import BrokenError, DeadLinkError, PastTheEndError
from airflow_video_providers.delivery.source.urls import parse_link
from airflow_video_providers.exceptions import SourceError
from tests.support.raw_server import RawConnection, RawServer

BODY = bytes(range(256)) * 100
SIZE = len(BODY)
WHOLE = f"bytes 0-{SIZE - 1}/{SIZE}"


def chunked(body: bytes) -> bytes:
    return b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + 999]), body[at : at + 999]) for at in range(0, len(body), 999)
    )


CHUNKS = chunked(BODY) + b"0\r\n\r\n"


def fetch(server: RawServer, head: str, body: bytes) -> bytes:
    """Read one file whose host answers each request so and keeps the connection open."""

    def respond(connection: RawConnection, request: bytes) -> bool:
        connection.send(f"HTTP/1.1 {head}\r\n\r\n".encode("latin-1") + body)
        return True

    server.respond = respond
    source = HttpSource(ClientSettings(connect_timeout=5, read_timeout=5))
    try:
        response = source.get(f"{server.url}/v.mp4")
        view = memoryview(bytearray(SIZE + 1))
        return bytes(view[: response.read_into(view)])
    finally:
        source.close()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (f"200 OK\r\nContent-Length: {SIZE}, {SIZE}", BODY),
        (f"200 OK\r\nContent-Length: {SIZE}\r\nContent-Length: {SIZE}", BODY),
        ("200 OK\r\nTransfer-Encoding: chunked ", CHUNKS),
        ("200 OK\r\nTransfer-Encoding: identity, Chunked", CHUNKS),
        ("200 OK\r\nTransfer-Encoding: gzip, chunked", chunked(gzip.compress(BODY)) + b"0\r\n\r\n"),
        (f"203 Non-Authoritative Information\r\nContent-Length: {SIZE}", BODY),
        (f"206 Partial\r\nContent-Range: {WHOLE}\r\nContent-Range: {WHOLE}\r\nContent-Length: {SIZE}", BODY),
        (f"206 Partial\r\nContent-Range: {WHOLE.replace(' ', '=')}\r\nContent-Length: {SIZE}", BODY),
        (f"200 OK\r\nContent-Length : {SIZE}", BODY),
        (f"200 OK\r\nServer\r\nContent-Length: {SIZE}", BODY),
        (f"200 OK\r\n X: 1\r\nContent-Length:\r\n\t{SIZE}", BODY),
        ("200 OK\r\nTransfer-Encoding : chunked", CHUNKS),
        (f"206 Partial\r\nContent-Range : {WHOLE}\r\nContent-Length : {SIZE}", BODY),
        (f"200 OK\r\nContent-Encoding: video/mp4\r\nContent-Length: {SIZE}", BODY),
        (f"200 OK\r\nContent-Encoding: us-ascii, null\r\nContent-Length: {SIZE}", BODY),
    ],
)
def test_the_file_is_read(raw_server: RawServer, head: str, body: bytes) -> None:
    assert fetch(raw_server, head, body) == BODY
    assert len(raw_server.requests) == 1


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "compress"])
def test_a_coding_that_was_not_asked_for(raw_server: RawServer, coding: str) -> None:
    with pytest.raises(SourceError, match=f"encoding '{coding}', which was not asked for"):
        fetch(raw_server, f"200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {SIZE}", BODY)


def test_gzip_that_is_none_is_said_to_be_none(raw_server: RawServer) -> None:
    with pytest.raises(BrokenError, match="not the gzip that its header says"):
        fetch(raw_server, f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {SIZE}", BODY)


EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
"""What S3 sends for a link signed with temporary credentials, and GCS for any, both with the status 400."""


def test_a_400_that_says_expired_is_a_dead_link(raw_server: RawServer) -> None:
    with pytest.raises(DeadLinkError) as caught:
        fetch(raw_server, f"400 Bad Request\r\nContent-Length: {len(EXPIRED)}", EXPIRED)
    assert caught.value.said_expired
    with pytest.raises(SourceError, match="responds with 400"):
        fetch(raw_server, "400 Bad Request\r\nContent-Length: 5", b"other")


@pytest.mark.parametrize(
    "refused",
    [
        f"416 X\r\nContent-Range: bytes */{SIZE}\r\nContent-Length: 0\r\n\r\n",
        "416 X\r\nContent-Length: 0\r\n\r\n",
        "400 X\r\nContent-Length: 0\r\n\r\n",
        "405 X\r\nContent-Length: 0\r\n\r\n",
        "501 X\r\nContent-Length: 0\r\n\r\n",
        "206 X\r\nContent-Length: 3\r\n\r\nabc",
        "206 X\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_a_host_whose_ranges_are_of_no_use_is_asked_for_the_whole(raw_server: RawServer, refused: str) -> None:
    def respond(connection: RawConnection, request: bytes) -> bool:
        if b"\r\nRange: " in request:
            connection.send(f"HTTP/1.1 {refused}".encode())
        else:
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + BODY)
        return True

    raw_server.respond = respond
    source = HttpSource(ClientSettings(connect_timeout=5, read_timeout=5))
    view = memoryview(bytearray(SIZE))
    for first in (0, 0, 7):  # what it is later asked for from a middle is the whole at once
        response = source.get(f"{raw_server.url}/v.mp4", first=first, if_range='"v1"' if first else None)
        assert not response.partial
        assert response.read_into(view) == SIZE
    source.close()
    assert [b"\r\nRange: " in request for request in raw_server.requests] == [True, False, False, False]


def test_the_end_of_a_file_is_no_refusal_of_ranges(raw_server: RawServer) -> None:
    def respond(connection: RawConnection, request: bytes) -> bool:
        connection.send(f"HTTP/1.1 416 X\r\nContent-Range: bytes */{SIZE}\r\nContent-Length: 0\r\n\r\n".encode())
        return True

    raw_server.respond = respond
    source = HttpSource(ClientSettings(connect_timeout=5, read_timeout=5))
    with pytest.raises(PastTheEndError):
        source.get(f"{raw_server.url}/v.mp4", first=SIZE)
    source.close()
    assert len(raw_server.requests) == 1


def test_a_link_behind_a_header_that_is_none_is_followed_and_not_logged(
    raw_server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    def respond(connection: RawConnection, request: bytes) -> bool:
        if request.startswith(b"GET /v.mp4 "):
            location = b"Location: /w?X-Amz-Signature=s3cret\r\n"
            connection.send(b"HTTP/1.1 302 X\r\nServer\r\n" + location + b"Content-Length: 0\r\n\r\n")
        else:
            connection.send(f"HTTP/1.1 200 X\r\nContent-Length: {SIZE}\r\n\r\n".encode() + BODY)
        return True

    raw_server.respond = respond
    source = HttpSource(ClientSettings(connect_timeout=5, read_timeout=5))
    with caplog.at_level("DEBUG"):
        assert source.get(f"{raw_server.url}/v.mp4").size == SIZE
    source.close()
    assert b"X-Amz-Signature=s3cret" in raw_server.requests[1]
    assert "s3cret" not in caplog.text
    assert "Failed to parse headers" not in caplog.text


def test_trailers_without_end_break_the_connection(raw_server: RawServer) -> None:
    def respond(connection: RawConnection, request: bytes) -> bool:
        connection.send(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS[:-2])
        connection.send(b"X-T: 1\r\n" * 10_000)
        return True

    raw_server.respond = respond
    source = HttpSource(ClientSettings(connect_timeout=5, read_timeout=5))
    response = source.get(f"{raw_server.url}/v.mp4")
    with pytest.raises(BrokenError, match="HTTPException"):
        response.read_into(memoryview(bytearray(SIZE + 1)))
    source.close()


@pytest.mark.parametrize("place", ["link", "redirect"])
def test_a_scheme_without_end_is_not_shown_whole(raw_server: RawServer, place: str) -> None:
    scheme = "a" * 5000
    if place == "link":
        with pytest.raises(SourceError) as caught:
            parse_link(f"{scheme}://x/")
    else:
        with pytest.raises(SourceError) as caught:
            fetch(raw_server, f"302 X\r\nContent-Length: 0\r\nLocation: {scheme}://x/", b"")
    assert len(str(caught.value)) < 200


def test_what_comes_behind_the_end_of_a_range_is_none_of_the_file(raw_server: RawServer) -> None:
    head = f"HTTP/1.1 206 X\r\nContent-Range: bytes 0-999/{SIZE}\r\nTransfer-Encoding: chunked\r\n\r\n"

    def respond(connection: RawConnection, request: bytes) -> bool:
        connection.send(head.encode() + chunked(BODY[:1000] + b"x" * 16) + b"0\r\n\r\n")
        return True

    raw_server.respond = respond
    source = HttpSource(ClientSettings())
    response = source.get(f"{raw_server.url}/v.mp4", first=0)
    view = memoryview(bytearray(5000))
    assert response.read_into(view) == 1000
    assert bytes(view[:1000]) == BODY[:1000]
    source.close()


@pytest.mark.parametrize(
    ("first", "then", "same"),
    [
        ({"ETag": 'W/"1"'}, {"ETag": 'W/"2"'}, False),
        ({"ETag": 'W/"1"'}, {"ETag": 'W/"1"'}, True),
        ({"ETag": 'W/"1"'}, {}, True),
        ({"ETag": '"1"'}, {"ETag": '"2"'}, False),
    ],
)
def test_two_weak_etags_that_differ_are_two_versions(first: dict[str, str], then: dict[str, str], same: bool) -> None:
    date = {"Last-Modified": "Fri, 27 Nov 2026 10:00:00 GMT"}
    assert Validator.of(first | date).same(Validator.of(then | date)) is same
    assert Validator.of({"ETag": 'W/"1"'}) == NO_VERSION  # it proves nothing else


def test_the_end_of_a_webm_is_known_behind_a_void() -> None:
    header, segment = b"\x1a\x45\xdf\xa3\x81x", b"\x18\x53\x80\x67\x84body"
    void, checksum = b"\xec\x82ab", b"\xbf\x84crc4"
    for between in (b"", void, void + checksum + void):
        assert segment_end(header + between + segment) == len(header + between + segment)
