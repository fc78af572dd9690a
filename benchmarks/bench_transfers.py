# SPDX-License-Identifier: Apache-2.0
"""
How fast, how cheap and how small a transfer is, beside what else Airflow offers and beside what the machine can do.

    python benchmarks/bench_transfers.py [--quick] [--only NAME ...]

Everything is on loopback: an nginx (or, where there is none, a sendfile server) as the source, and an S3 endpoint that
discards what it is sent, so that the client is what is measured. Each row runs in a process of its own. ``splice``
moves the bytes from socket to socket in the kernel: no program can be faster here. ``ours`` goes through the Airflow
connection; ``engine`` is the same code in a process that never imports Airflow, so that its peak memory is that of
the transfer. It prints a table, and a JSON line a row.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.transfer_servers import MB, nginx, start, write_mp4

SIZES = {"8m": 8 * MB, "64m": 64 * MB, "200m": 200 * MB, "1g": 1024 * MB}

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


def deliver(link: str, store: Any, streams: int, number: int = 0, pool: Any = None) -> None:
    """Deliver the file: checks, sha256, commit."""
    from airflow_video_providers.delivery.delivery import Delivery, DeliveryRules
    from airflow_video_providers.delivery.destination import parse_location
    from airflow_video_providers.delivery.journal import MemoryJournal
    from airflow_video_providers.delivery.source.patience import DownloadSettings
    from airflow_video_providers.jobs import VideoOutput

    output = VideoOutput(kind="video", url=link)
    delivered = Delivery(
        output,
        vendor="bench",
        job_id="1",
        location=parse_location(f"s3://bench@bucket/video-{number}.mp4"),
        store=store,
        refresh=lambda: output,
        rules=DeliveryRules(download=DownloadSettings(streams=streams)),
        journal=MemoryJournal(),
        pool=pool,
    ).deliver()
    assert delivered.sha256


def ours(link: str, sink_url: str, streams: int, number: int = 0) -> None:
    """Deliver the file through the Airflow connection, as the operator does."""
    from airflow_video_providers.delivery.destination import parse_location
    from airflow_video_providers.delivery.stores.registry import open_store

    deliver(link, open_store(parse_location("s3://bench@bucket/k")), streams, number)


def engine(link: str, sink_url: str, streams: int) -> None:
    """Deliver the file with the same code in a process that holds nothing of Airflow."""
    import boto3

    from airflow_video_providers.delivery.buffers import BufferPool
    from airflow_video_providers.delivery.stores.s3.store import S3Store

    credentials = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    session = boto3.Session(**credentials)  # type: ignore[arg-type]
    store = S3Store("bucket", lambda config: session.client("s3", endpoint_url=sink_url, config=config))
    deliver(link, store, streams, pool=BufferPool(256 * MB))
    assert "airflow" not in sys.modules


def ours_16(link: str, sink_url: str, streams: int) -> None:
    """Deliver sixteen files at once."""
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


def import_airflow(link: str, sink_url: str, streams: int) -> None:
    """Import what every operator needs, and transfer nothing."""
    import airflow.sdk

    assert airflow.sdk.BaseOperator


ROWS = {
    "splice": splice, "import airflow.sdk": import_airflow, "ours": ours, "engine": engine, "ours16": ours_16,
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
    gc.collect()  # what the small transfer left behind is not the row's to clean
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = memory("VmRSS")
    usage, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    row(link, sink_url, streams)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    peak = memory("VmHWM")
    print(json.dumps({"wall": wall, "cpu": cpu, "rss_above": (peak - before) / MB, "rss_peak": peak / MB}))


# ---------------------------------------------------------------- the run


def main() -> None:
    """Run the rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="no 1 GiB rows")
    parser.add_argument("--only", nargs="*", help="only rows whose name begins so")
    parser.add_argument("--repeat", type=int, default=5, help="turns; the median counts (default 5)")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, link, warm, sink_url, streams = options.child
        child(name, link, warm, sink_url, int(streams))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    big = "200m" if options.quick else "1g"
    plan = [
        ("splice", big, "fast", 1), ("import airflow.sdk", "8m", "fast", 1),
        ("ours", "8m", "fast", 1), ("ours", "200m", "fast", 1), ("ours", big, "fast", 1),
        ("engine", big, "fast", 1), ("HttpToS3Operator", big, "fast", 1), ("ObjectStoragePath", big, "fast", 1),
        ("ours16", "200m", "fast", 1), ("ours", "200m", "slow", 1), ("ours", "200m", "slow", 4),
        ("ours", "200m", "slow", 8),
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
        ports = {"slow": start(stack, "slow", str(folder))}
        ports["fast"] = nginx(folder, stack) or start(stack, "files", str(folder))
        sink_url = f"http://127.0.0.1:{start(stack, 'sink')}"
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
        measured: dict[int, list[dict[str, Any]]] = {}
        for turn in range(options.repeat):  # in turns, so that a slow moment of the machine meets every row
            for number, (name, label, source, streams) in enumerate(plan):
                if options.only and not name.startswith(tuple(options.only)):
                    continue
                if turn and (number not in measured or source == "slow" or name == "ours16"):
                    continue
                command = [sys.executable, __file__, "--child", name, f"http://127.0.0.1:{ports[source]}/{label}.mp4",
                           f"http://127.0.0.1:{ports['fast']}/8m.mp4", sink_url, str(streams)]  # fmt: skip
                done = subprocess.run(
                    command, capture_output=True, text=True, env=environment, check=False, timeout=120
                )
                if done.returncode:
                    reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                    print(f"{name} {label}: not measured ({reason[:150]})", file=sys.stderr)
                    continue
                result = json.loads(done.stdout.strip().splitlines()[-1])
                measured.setdefault(number, []).append(result)
                print(f"{name} {label} {source} {streams}: {result['wall']:.2f} s", file=sys.stderr)
    for number, results in sorted(measured.items()):
        name, label, source, streams = plan[number]
        medians = {key: statistics.median(result[key] for result in results) for key in results[0]}
        rows.append({"row": name, "size": label, "source": source, "streams": streams, **medians})
    limit = next((row["wall"] for row in rows if row["row"] == "splice"), None)
    peer = next((row for row in rows if row["row"] == "HttpToS3Operator"), None)
    print("| row | size | source | ranges | wall s | x splice | CPU s/GiB | RSS above start MB | peak RSS | of peer |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        gib = SIZES[row["size"]] * (16 if row["row"] == "ours16" else 1) / (1024 * MB)
        row["cpu_per_gib"] = row["cpu"] / gib
        row["x_splice"] = row["wall"] / limit if limit and row["size"] == big and row["source"] == "fast" else None
        ratio = f"{row['x_splice']:.2f}" if row["x_splice"] else ""
        row["rss_of_peer"] = row["rss_peak"] / peer["rss_peak"] if peer and row["size"] == big else None
        share = f"{row['rss_of_peer']:.1%}" if row["rss_of_peer"] else ""
        print(
            f"| {row['row']} | {row['size']} | {row['source']} | {row['streams']} | {row['wall']:.2f} | {ratio} "
            f"| {row['cpu_per_gib']:.2f} | {row['rss_above']:.0f} | {row['rss_peak']:.0f} | {share} |"
        )
    for row in rows:
        print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}))


if __name__ == "__main__":
    main()
