# SPDX-License-Identifier: Apache-2.0
"""A source that sends next to nothing is given up, wherever in its response it drips."""

from __future__ import annotations

import socketserver
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.source.download import Download
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.exceptions import SourceError
from airflow_video_providers.jobs import VideoOutput
from tests.support.raw_server import RawConnection, RawServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n"
GZIP = (_packer := zlib.compressobj(wbits=31)).compress(b"\0\0\0\x18ftypmp42") + _packer.flush(zlib.Z_FULL_FLUSH)
SETTINGS = DownloadSettings(client=ClientSettings(connect_timeout=5, read_timeout=0.4), attempts=2, backoff=0)


class Drip:
    """A server that sends ``at_once`` and then ``drop``, again and again, as long as anybody listens."""

    def __init__(self, at_once: bytes, drop: bytes, pause: float) -> None:
        self.connections = 0
        self.stopped = threading.Event()
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                owner.connections += 1
                self.request.recv(65536)
                try:
                    self.request.sendall(at_once)
                    while not owner.stopped.wait(pause):
                        self.request.sendall(drop)
                except OSError:
                    return

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.output = VideoOutput(kind="video", url=f"http://127.0.0.1:{self.server.server_address[1]}/v")


@contextmanager
def dripping(at_once: bytes, drop: bytes, pause: float = 0.05) -> Iterator[Drip]:
    drip = Drip(at_once, drop, pause)
    threading.Thread(target=drip.server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield drip
    finally:
        drip.stopped.set()
        drip.server.shutdown()
        drip.server.server_close()


def read(drip: Drip, settings: DownloadSettings = SETTINGS) -> int:
    """Read the file to its end; return how many bytes it has."""
    return read_output(drip.output, settings)


def read_output(output: VideoOutput, settings: DownloadSettings) -> int:
    download = Download(output, lambda: output, settings, lambda: b"")
    pool = BufferPool(1 << 20)
    size = 0
    try:
        download.open()
        for part in download.parts(pool, 1 << 16):
            size += part.length
            pool.give(part.buffer)
    finally:
        download.close()
    return size


@pytest.mark.parametrize(
    ("at_once", "drop"),
    [
        (b"HTTP/1.1 ", b"2"),
        (HEAD + b"X-Long: ", b"x"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
        (HEAD + b"\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 500 + b"\r\nA\r\n"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n" + GZIP, b"\0\0\0\xff\xff" * 200),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"A" * 1000),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-Trailer: y\r\n"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 4000\r\n\r\n", b"x"),
    ],
    ids=[
        "status",
        "header",
        "interim",
        "length",
        "close",
        "chunks",
        "extension",
        "extensions",
        "empty blocks",
        "file name",
        "trailers",
        "error page",
    ],
)
def test_a_drip_is_given_up(at_once: bytes, drop: bytes) -> None:
    with dripping(at_once, drop) as drip:
        with pytest.raises(SourceError, match=r"stalled|broke|ended|refuse"):
            read(drip)
        assert 2 <= drip.connections <= 4


@pytest.mark.parametrize("streams", [1, 2])
def test_a_drip_of_responses_is_given_up(raw_server: RawServer, streams: int) -> None:
    def respond(connection: RawConnection, request: bytes) -> bool:
        first = int(request.partition(b"bytes=")[2].partition(b"-")[0])
        time.sleep(0.1)
        head = (
            f'HTTP/1.1 206 X\r\nContent-Range: bytes {first}-{first}/200000\r\nContent-Length: 1\r\nETag: "a"\r\n\r\n'
        )
        connection.send(head.encode() + b"x")
        return True

    raw_server.respond = respond
    output = VideoOutput(kind="video", url=f"{raw_server.url}/v.mp4")
    with pytest.raises(SourceError, match="next to no bytes in each response"):
        read_output(output, replace(SETTINGS, streams=streams, parallel_from=1))
    assert len(raw_server.requests) < 50


def test_a_slow_source_that_keeps_the_least_rate_is_read() -> None:
    body = bytes(9000)
    patient = replace(SETTINGS, client=ClientSettings(read_timeout=0.9))
    with dripping(HEAD + b"Content-Length: 9000\r\n\r\n", body[:300], 0.1) as drip:  # 3000 bytes a second
        assert read(drip, patient) == len(body)
        assert drip.connections == 1
