# SPDX-License-Identifier: Apache-2.0
"""Asks for a page again and again, from a process of its own: a busy benchmark must not slow its own measurement."""

from __future__ import annotations

import contextlib
import http.client
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

PAUSE_SECONDS = 0.02


@contextlib.contextmanager
def probe(url: str) -> Iterator[list[float]]:
    """Ask for a page while the block runs; the list holds, after it, the seconds of each response, sorted."""
    taken: list[float] = []
    process = subprocess.Popen(
        [sys.executable, __file__, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # it has begun
    try:
        yield taken
    finally:
        said, _ = process.communicate("", timeout=120)  # the end of its input ends it
        taken += sorted(float(line) for line in said.splitlines())


def describe(taken: list[float]) -> str:
    """Return one line about the responses: how many, median, p99."""
    p99 = taken[min(len(taken) - 1, int(0.99 * len(taken)))]
    return f"{len(taken)} requests, median {statistics.median(taken):.3f} s, p99 {p99:.3f} s, longest {taken[-1]:.3f} s"


def main(url: str) -> None:
    """Ask until the input ends; print the seconds of each response."""
    parts, ended = urlsplit(url), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print("ready", flush=True)
    while not ended.is_set():
        began = time.monotonic()
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request("GET", parts.path)
        connection.getresponse().read()
        connection.close()
        print(time.monotonic() - began)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
