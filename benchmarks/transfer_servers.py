# SPDX-License-Identifier: Apache-2.0
"""
What transfers are measured against: files behind HTTP, and an S3 endpoint that discards what it is sent.

``python benchmarks/transfer_servers.py sink|files|slow [FOLDER]`` serves on a free port, which it prints first.
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

MB = 1024 * 1024
_SLOW_RTT, _SLOW_RATE = 0.020, 20_000_000


def write_mp4(path: Path, size: int) -> None:
    """Write a sparse MP4 whose boxes tile it."""
    ftyp = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
    moov = struct.pack(">I4sI4s", 116, b"moov", 108, b"mvhd") + bytes(100)
    head = ftyp + moov
    with path.open("wb") as file:
        file.write(head + struct.pack(">I4sQ", 1, b"mdat", size - len(head)))
        file.truncate(size)


def serve(handler: Any) -> None:
    """Accept connections on a free port, printed first, each in a thread."""
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(server.getsockname()[1], flush=True)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=handler, args=(connection,), daemon=True).start()


class Requests:
    """The requests of one connection: their heads are parsed, their bodies discarded by the kernel."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._data = b""
        self._scratch = bytearray(4 * MB)

    def head(self) -> tuple[str, str, dict[str, str]] | None:
        while b"\r\n\r\n" not in self._data:
            more = self.connection.recv(64 * 1024)
            if not more:
                return None
            self._data += more
        text, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = text.decode().split("\r\n")
        method, path, _ = first.split(" ", 2)
        return method, path, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def discard(self, length: int) -> None:
        here = min(length, len(self._data))
        self._data = self._data[here:]
        length -= here
        while length:
            got = self.connection.recv_into(self._scratch, min(length, len(self._scratch)), socket.MSG_TRUNC)
            if not got:
                raise SystemExit
            length -= got


def sink(connection: socket.socket) -> None:
    """Speak enough S3 to be sent an object, and let the kernel discard it."""
    requests = Requests(connection)
    parts = 0
    while head := requests.head():
        method, path, headers = head
        if headers.get("expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        requests.discard(int(headers.get("content-length", 0)))
        parts += 1
        status, extra, body = "200 OK", f'ETag: "{parts:032x}"\r\n', b""
        if method == "HEAD":
            status = "404 Not Found"
        elif method == "DELETE":
            status = "204 No Content"
        elif method == "POST" and "uploads" in path:
            body = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        elif method == "POST":
            body = b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
        elif method == "GET":
            body = b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"
        connection.sendall(f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def file_server(folder: Path, slow: bool) -> Any:
    """Return a handler that serves files with ranges; a slow one waits a round trip and paces each connection."""

    def handle(connection: socket.socket) -> None:
        requests = Requests(connection)
        while head := requests.head():
            _, path, headers = head
            file = folder / path.split("?")[0].lstrip("/")
            size = file.stat().st_size
            first, last, status = 0, size - 1, "200 OK"
            if headers.get("range"):
                begin, _, end = headers["range"].removeprefix("bytes=").partition("-")
                first, last, status = int(begin), int(end) if end else last, "206 Partial Content"
            length = last - first + 1
            if slow:
                time.sleep(_SLOW_RTT)
            connection.sendall(
                f'HTTP/1.1 {status}\r\nContent-Type: video/mp4\r\nETag: "{size}"\r\nContent-Length: {length}\r\n'
                f"Content-Range: bytes {first}-{last}/{size}\r\nAccept-Ranges: bytes\r\n\r\n".encode()
            )
            try:
                with file.open("rb") as data:
                    started, sent = time.monotonic(), 0
                    while sent < length:
                        sent += os.sendfile(
                            connection.fileno(),
                            data.fileno(),
                            first + sent,
                            min(256 * 1024 if slow else MB, length - sent),
                        )
                        ahead = sent / _SLOW_RATE - (time.monotonic() - started)
                        if slow and ahead > 0:
                            time.sleep(ahead)
            except OSError:
                return

    return handle


def nginx(folder: Path, stack: ExitStack) -> int | None:
    """Start an nginx for the folder; return its port, or None where there is none."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;"
        f"events {{}} http {{ access_log off; sendfile on; sendfile_max_chunk 2m; {temporary}"
        f" server {{ listen 127.0.0.1:{port}; root {folder}; }} }}"
    )
    process = subprocess.Popen([program, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return port
        except OSError:
            time.sleep(0.05)
    return None


def start(stack: ExitStack, *arguments: str) -> int:
    """Start one of these servers as a process; return its port."""
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    return int(process.stdout.readline())


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    serve(sink if kind == "sink" else file_server(Path(rest[0]), slow=kind == "slow"))
