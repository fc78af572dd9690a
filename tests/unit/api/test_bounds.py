# SPDX-License-Identifier: Apache-2.0
"""Nothing that is small on the wire, or slow, may cost much memory or time."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from functools import lru_cache
from typing import Any

import pytest

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.content import LARGEST_RESPONSE, ContentError, decode_json
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
)
from tests.support.raw_server import RawConnection, RawServer, http_response

READ_TIMEOUT = 0.3
JOB = b'{"id": "1"}'


@pytest.fixture
def client(raw_server: RawServer) -> VideoApiClient:
    settings = ClientSettings(connect_timeout=5.0, read_timeout=READ_TIMEOUT, retry_deadline=0.01)
    return VideoApiClient(vendor="acme", base_url=raw_server.url, settings=settings)


def answer(server: RawServer, *responses: bytes) -> None:
    """Answer every request with these bytes."""

    def respond(connection: RawConnection, request: bytes) -> bool:
        for response in responses:
            connection.send(response)
        return True

    server.respond = respond


def fail(client: VideoApiClient, method: str = "GET") -> VideoApiError:
    with pytest.raises(VideoApiError) as caught:
        client.call_json(method, "/jobs/1", endpoint=f"{method} /jobs/{{id}}")
    return caught.value


@lru_cache
def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(b'{"id": "1"')]
    packed += [packer.compress(bytes(2**20)) for _ in range(size // 2**20)]
    return b"".join([*packed, packer.flush()])


class TestSize:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_small_response_that_inflates_to_a_large_one(
        self, raw_server: RawServer, client: VideoApiClient, method: str
    ) -> None:
        answer(raw_server, http_response(bomb(128 * 2**20), headers="Content-Encoding: gzip\r\n"))
        tracemalloc.start()
        error = fail(client, method)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert isinstance(error, VideoApiUnreadableAnswerError)
        assert "larger than 16 MiB" in str(error)
        assert error.outcome_unknown is (method == "POST")
        assert peak < 4 * LARGEST_RESPONSE

    @pytest.mark.parametrize("packed", [True, False])
    def test_of_a_large_error_only_the_beginning_is_read(
        self, raw_server: RawServer, client: VideoApiClient, packed: bool
    ) -> None:
        body = bomb(64 * 2**20) if packed else b'{"message": "' + b"x" * 32 * 2**20
        answer(raw_server, http_response(body, status=500, headers="Content-Encoding: gzip\r\n" if packed else ""))
        error = fail(client)
        assert isinstance(error, VideoApiUnavailableError)
        assert error.status == 500
        assert len(str(error)) < 1000

    def test_a_large_response_without_encoding(self, raw_server: RawServer, client: VideoApiClient) -> None:
        answer(raw_server, http_response(b'["' + b"x" * LARGEST_RESPONSE + b'"]'))
        assert "larger than 16 MiB" in str(fail(client))

    def test_gzip_of_several_members_is_read(self, raw_server: RawServer, client: VideoApiClient) -> None:
        body = gzip.compress(JOB[:4]) + gzip.compress(b"") + gzip.compress(JOB[4:])
        answer(raw_server, http_response(body, headers="Content-Encoding: GZip\r\n"))
        assert client.get_json("/jobs/1", endpoint="GET /jobs/{id}") == {"id": "1"}

    def test_gzip_members_without_end_are_not(self, raw_server: RawServer, client: VideoApiClient) -> None:
        answer(raw_server, http_response(gzip.compress(b"") * 5000, headers="Content-Encoding: gzip\r\n"))
        assert "members" in str(fail(client))

    @pytest.mark.parametrize("coding", ["identity", "aws-chunked", "binary", "UTF-8", "identity, none", ""])
    def test_a_coding_that_is_none_is_ignored(self, raw_server: RawServer, client: VideoApiClient, coding: str) -> None:
        answer(raw_server, http_response(JOB, headers=f"Content-Encoding: {coding}\r\n"))
        assert client.get_json("/jobs/1", endpoint="GET /jobs/{id}") == {"id": "1"}

    @pytest.mark.parametrize(
        ("coding", "body"),
        [
            ("gzip, gzip", gzip.compress(gzip.compress(JOB))),
            ("deflate", zlib.compress(JOB)),
            ("br", JOB),
            ("gzip", JOB),
        ],
        ids=["twice", "deflate", "br", "not gzip"],
    )
    def test_any_other_coding_is_refused(
        self, raw_server: RawServer, client: VideoApiClient, coding: str, body: bytes
    ) -> None:
        answer(raw_server, http_response(body, headers=f"Content-Encoding: {coding}\r\n"))
        for method in ("GET", "POST"):
            error = fail(client, method)
            assert isinstance(error, VideoApiUnreadableAnswerError)
            assert error.outcome_unknown is (method == "POST")

    def test_the_connection_is_used_again(self, raw_server: RawServer, client: VideoApiClient) -> None:
        answer(raw_server, http_response(gzip.compress(JOB), headers="Content-Encoding: gzip\r\n"))
        for _ in range(3):
            client.get_json("/jobs/1", endpoint="GET /jobs/{id}")
        assert (len(raw_server.requests), raw_server.connections) == (3, 1)


class TestJson:
    def test_numbers_are_finite_and_short(self) -> None:
        content = b'{"a": 1e999, "b": -1e999, "c": NaN, "d": Infinity, "e": 1.5, "f": 7, "g": %s}' % (b"9" * 5000)
        assert decode_json(content) == {"a": None, "b": None, "c": None, "d": None, "e": 1.5, "f": 7, "g": None}

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32"])
    def test_a_number_has_40_digits_at_most(self, encoding: str) -> None:
        for digits, number in ((40, int("9" * 40)), (41, None)):
            assert decode_json(f"[{'9' * digits}, -1]".encode(encoding)) == [number, -1]

    @pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe\x00", b'{"a": ', b"<html>"])
    def test_what_is_no_json_is_one_error(self, content: bytes) -> None:
        with pytest.raises(ContentError):
            decode_json(content)

    def test_a_million_values_are_the_most(self) -> None:
        with pytest.raises(ContentError, match="more than 1000000 values"):
            decode_json(b"[" + b"{}," * 999_999 + b"{}]")

    @pytest.mark.parametrize("body", [b"[" * 100_000, b'{"id": '])
    def test_a_paid_call_whose_response_cannot_be_read_has_an_unknown_outcome(
        self, raw_server: RawServer, client: VideoApiClient, body: bytes
    ) -> None:
        answer(raw_server, http_response(body))
        error = fail(client, "POST")
        assert isinstance(error, VideoApiUnreadableAnswerError)
        assert error.outcome_unknown


class TestTime:
    """Each of these servers would go on far beyond the total time; it is cut off long before."""

    RESPONSE = http_response(b'{"id": "%s"}' % (b"1" * 400))

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("headers_at_once", [True, False], ids=["dripped body", "dripped headers"])
    def test_a_dripped_response(
        self, raw_server: RawServer, client: VideoApiClient, method: str, headers_at_once: bool
    ) -> None:
        at_once = self.RESPONSE.index(b"\r\n\r\n") + 4 if headers_at_once else 0

        def respond(connection: RawConnection, request: bytes) -> bool:
            connection.send(self.RESPONSE[:at_once])
            connection.drip(self.RESPONSE[at_once:], pause=READ_TIMEOUT / 6)
            return False

        raw_server.respond = respond
        error = fail(client, method)
        assert isinstance(error, VideoApiUnavailableError)
        assert error.outcome_unknown is (method == "POST")
        assert raw_server.sent - at_once < 100

    def test_a_slow_response_within_the_total_time_is_read(self, raw_server: RawServer, client: VideoApiClient) -> None:
        def respond(connection: RawConnection, request: bytes) -> bool:
            response = http_response(JOB)
            connection.send(response[:-4])
            connection.drip(response[-4:], pause=READ_TIMEOUT / 3)
            return False

        raw_server.respond = respond
        assert client.get_json("/jobs/1", endpoint="GET /jobs/{id}") == {"id": "1"}

    def test_interim_responses_without_end(self, raw_server: RawServer, client: VideoApiClient) -> None:
        def respond(connection: RawConnection, request: bytes) -> bool:
            for _ in range(400):
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                time.sleep(0.005)
            return False

        raw_server.respond = respond
        error = fail(client, "POST")
        assert error.outcome_unknown
        assert raw_server.sent < 400 * 25

    @pytest.mark.parametrize("status", [100, 102, 103])
    def test_an_interim_response_is_not_the_final_one(
        self, raw_server: RawServer, client: VideoApiClient, status: int
    ) -> None:
        interim = f"HTTP/1.1 {status} X\r\nLink: </a>; rel=preload\r\nLocation: /elsewhere\r\n\r\n".encode()
        count = 0

        def respond(connection: RawConnection, request: bytes) -> bool:
            nonlocal count
            count += 1
            connection.send(interim)
            time.sleep(0.02)  # a client that took the interim response for the final one would go on now
            connection.send(http_response({"id": count}))
            return True

        raw_server.respond = respond
        ids = [client.call_json("POST", "/jobs", endpoint="POST /jobs")["id"] for _ in range(3)]
        assert ids == [1, 2, 3]


def test_the_query_is_sent_as_it_is_and_never_shown(
    raw_server: RawServer, client: VideoApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer(raw_server, http_response(JOB))
    with caplog.at_level("DEBUG"):
        client.get_json("/jobs/1", endpoint="GET /jobs/{id}", params={"sig": "a+b/c=", "n": "ü"})
    assert raw_server.requests[0].startswith(b"GET /jobs/1?sig=a%2Bb%2Fc%3D&n=%C3%BC HTTP/1.1\r\n")
    assert "GET /jobs/1?***" in caplog.text
    assert "sig=" not in caplog.text


def test_an_error_of_the_library_shows_no_query(client: VideoApiClient, raw_server: RawServer) -> None:
    raw_server.close()
    with pytest.raises(VideoApiUnavailableError) as caught:
        client.get_json("/jobs/1", endpoint="GET /jobs/{id}", params={"sig": "feed"})
    assert "feed" not in str(caught.value)


def test_headers_without_end(raw_server: RawServer, client: VideoApiClient) -> None:
    answer(raw_server, b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\n")
    error: Any = fail(client, "POST")
    assert error.outcome_unknown


@pytest.mark.parametrize(
    "head",
    [
        f"Content-Length: {len(JOB)}, {len(JOB)}\r\n\r\n".encode() + JOB,
        b"Transfer-Encoding: chunked \r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(JOB), JOB),
        b"Transfer-Encoding: identity, Chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(JOB), JOB),
        b"Content-Encoding: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(JOB), JOB),
    ],
)
def test_where_a_response_ends_is_read_as_http_allows(
    raw_server: RawServer, client: VideoApiClient, head: bytes
) -> None:
    answer(raw_server, b"HTTP/1.1 200 OK\r\n" + head)  # it stays open: who does not know the end waits long
    for _ in range(2):
        assert client.get_json("/jobs", endpoint="GET /jobs") == {"id": "1"}
    assert raw_server.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "chunk", [b"-5\r\nabcde", b"zz\r\n", b"\r\n", b"9" * 5000 + b"\r\n", b"5;" + b"x" * 70_000 + b"\r\n"]
)
def test_chunks_that_are_none_are_a_named_error(
    raw_server: RawServer, client: VideoApiClient, method: str, chunk: bytes
) -> None:
    raw_server.respond = lambda connection, request: bool(
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    )
    error = fail(client, method)
    assert isinstance(error, VideoApiUnavailableError)
    assert error.outcome_unknown is (method == "POST")
