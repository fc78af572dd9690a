# SPDX-License-Identifier: Apache-2.0
"""
How fast, how cheap and how small a transfer is, beside what else Airflow offers and beside what the machine can do.

    python benchmarks/bench_transfers.py [--quick] [--only NAME ...]

Everything is on loopback: an nginx (or, where there is none, a sendfile server) as the source, and an S3 endpoint that
discards what it is sent, so that the client is what is measured. Each row runs in a process of its own. ``splice``
moves the bytes from socket to socket in the kernel: no program can be faster here. It prints a table, and a JSON line
a row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MB = 1024 * 1024
SIZES = {"8m": 8 * MB, "64m": 64 * MB, "200m": 200 * MB, "1g": 1024 * MB}
SLOW_RTT, SLOW_RATE = 0.020, 20_000_000

# ---------------------------------------------------------------- the source and the sink, each a process


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
                time.sleep(SLOW_RTT)
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
                        ahead = sent / SLOW_RATE - (time.monotonic() - started)
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


# ---------------------------------------------------------------- the rows, each in a process of its own


def splice(link: str, sink_url: str, streams: int) -> None:
    """Move the bytes from socket to socket without touching them."""
    source, target = (
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) for url in (link, sink_url)
    )
    source.sendall(f"GET {urlsplit(link).path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += source.recv(1)
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    target.sendall(f"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    end, begin = os.pipe()
    moved = 0
    while moved < length:
        count = os.splice(source.fileno(), begin, MB)
        moved += count
        while count:
            count -= os.splice(end, target.fileno(), count)
    target.recv(4096)


def ours(link: str, sink_url: str, streams: int, number: int = 0) -> None:
    """Land the file: checks, sha256, commit."""
    from airflow_video_providers.destination import parse_location
    from airflow_video_providers.jobs import VideoOutput
    from airflow_video_providers.landing import Landing, LandingRules, MemoryJournal
    from airflow_video_providers.object_store import open_store
    from airflow_video_providers.patience import DownloadSettings

    output = VideoOutput(kind="video", url=link)
    location = parse_location(f"s3://bench@bucket/video-{number}.mp4")
    landed = Landing(
        output,
        vendor="bench",
        job_id="1",
        location=location,
        store=open_store(location),
        refresh=lambda: output,
        rules=LandingRules(download=DownloadSettings(streams=streams)),
        journal=MemoryJournal(),
    ).land()
    assert landed.sha256


def ours_16(link: str, sink_url: str, streams: int) -> None:
    """Land sixteen files at once."""
    with ThreadPoolExecutor(16) as threads:
        for done in [threads.submit(ours, link, sink_url, 1, number) for number in range(16)]:
            done.result()


def http_to_s3(link: str, sink_url: str, streams: int) -> None:
    """Run the amazon provider's operator."""
    from airflow.providers.amazon.aws.transfers.http_to_s3 import HttpToS3Operator

    os.environ["AIRFLOW_CONN_HTTP_DEFAULT"] = f"http://127.0.0.1:{urlsplit(link).port}"
    HttpToS3Operator(
        task_id="t", endpoint=urlsplit(link).path, s3_bucket="bucket", s3_key="k", aws_conn_id="bench", replace=True,
        method="GET",
    ).execute({})  # fmt: skip


def object_storage_path(link: str, sink_url: str, streams: int) -> None:
    """Copy into ObjectStoragePath.open("wb")."""
    import requests
    from airflow.sdk import ObjectStoragePath

    with (
        requests.get(link, stream=True, timeout=60) as response,
        ObjectStoragePath("s3://bench@bucket/k").open("wb") as file,
    ):
        shutil.copyfileobj(response.raw, file, 8 * MB)


ROWS = {
    "splice": splice, "ours": ours, "ours16": ours_16,
    "HttpToS3Operator": http_to_s3, "ObjectStoragePath": object_storage_path,
}  # fmt: skip


def memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def child(name: str, link: str, warm: str, sink_url: str, streams: int) -> None:
    """Measure one row: imports and one small transfer first, then the real one."""
    connection = {
        "conn_type": "aws", "login": "k", "password": "s",
        "extra": {"endpoint_url": sink_url, "region_name": "us-east-1"},
    }  # fmt: skip
    os.environ["AIRFLOW_CONN_BENCH"] = json.dumps(connection)
    row = ROWS[name]
    (ours if name == "ours16" else row)(warm, sink_url, 1)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = memory("VmRSS")
    usage, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    row(link, sink_url, streams)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    peak = memory("VmHWM")
    print(json.dumps({"wall": wall, "cpu": cpu, "rss_above": (peak - before) / MB, "rss_peak": peak / MB}))


# ---------------------------------------------------------------- the run


def start(stack: ExitStack, *arguments: str) -> int:
    """Start a server of this file as a process; return its port."""
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout is not None
    return int(process.stdout.readline())


def main() -> None:
    """Run the rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="no 1 GiB rows")
    parser.add_argument("--only", nargs="*", help="only rows whose name begins so")
    parser.add_argument("--repeat", type=int, default=2, help="runs of a row; the fastest counts (default 2)")
    parser.add_argument("--serve", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        kind, *rest = options.serve
        serve(sink if kind == "sink" else file_server(Path(rest[0]), slow=kind == "slow"))
    elif options.child:
        name, link, warm, sink_url, streams = options.child
        child(name, link, warm, sink_url, int(streams))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    big = "200m" if options.quick else "1g"
    plan = [
        ("splice", big, "fast", 1), ("ours", "8m", "fast", 1), ("ours", "200m", "fast", 1), ("ours", big, "fast", 1),
        ("HttpToS3Operator", big, "fast", 1), ("ObjectStoragePath", big, "fast", 1), ("ours16", "200m", "fast", 1),
        ("ours", "200m", "slow", 1), ("ours", "200m", "slow", 4), ("ours", "200m", "slow", 8),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.chmod(0o755)
        for label, size in SIZES.items():
            write_mp4(folder / f"{label}.mp4", size)
            with (folder / f"{label}.mp4").open("rb") as file:  # into the page cache: the disk is not what is measured
                while file.read(MB):
                    pass
        ports = {"slow": start(stack, "--serve", "slow", str(folder))}
        ports["fast"] = nginx(folder, stack) or start(stack, "--serve", "files", str(folder))
        sink_url = f"http://127.0.0.1:{start(stack, '--serve', 'sink')}"
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
        for name, label, source, streams in plan:
            if options.only and not name.startswith(tuple(options.only)):
                continue
            command = [sys.executable, __file__, "--child", name, f"http://127.0.0.1:{ports[source]}/{label}.mp4",
                       f"http://127.0.0.1:{ports['fast']}/8m.mp4", sink_url, str(streams)]  # fmt: skip
            best: dict[str, Any] | None = None
            for _ in range(1 if source == "slow" or name == "ours16" else options.repeat):
                done = subprocess.run(
                    command, capture_output=True, text=True, env=environment, check=False, timeout=120
                )
                if done.returncode:
                    reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                    print(f"{name} {label}: not measured ({reason[:150]})", file=sys.stderr)
                    break
                result = json.loads(done.stdout.strip().splitlines()[-1])
                if best is None or result["wall"] < best["wall"]:
                    best = result
            if best is not None:
                rows.append({"row": name, "size": label, "source": source, "streams": streams, **best})
                print(f"{name} {label} {source} {streams}: {best['wall']:.2f} s", file=sys.stderr)
    limit = next((row["wall"] for row in rows if row["row"] == "splice"), None)
    print("| row | size | source | ranges | wall s | x splice | CPU s/GiB | RSS above start MB | peak RSS MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        gib = SIZES[row["size"]] * (16 if row["row"] == "ours16" else 1) / (1024 * MB)
        row["cpu_per_gib"] = row["cpu"] / gib
        row["x_splice"] = row["wall"] / limit if limit and row["size"] == big and row["source"] == "fast" else None
        ratio = f"{row['x_splice']:.2f}" if row["x_splice"] else ""
        print(
            f"| {row['row']} | {row['size']} | {row['source']} | {row['streams']} | {row['wall']:.2f} | {ratio} "
            f"| {row['cpu_per_gib']:.2f} | {row['rss_above']:.0f} | {row['rss_peak']:.0f} |"
        )
    for row in rows:
        print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}))


if __name__ == "__main__":
    main()
