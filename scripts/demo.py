# SPDX-License-Identifier: Apache-2.0
"""
``make demo``: the DAGs of ``dags/`` render with all four systems and land the videos in ``./demo-output``.

The vendors are the package's simulator on a free port; everything else is the real thing: Airflow runs the DAGs
(``airflow dags test``), and each file that landed is decoded to its last frame. Airflow's own files are kept in
``./.demo``, made anew at each run. Whatever is started here is stopped at the end, also on Ctrl-C; a simulator that
outlived a killed run is stopped by the next one. One demo at a time runs in a checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import psutil
import requests

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".demo"
OUTPUT = ROOT / "demo-output"
PROCESSES = WORK / "processes"
RENDER_SECONDS = 6
# Colossyan's DAG runs first: the video that it lands is the source that the Xvid DAG uploads and transcodes.
DAGS = ["colossyan_course", "hourone_presenter", "oxolo_product_spot", "xvid_transcode"]


class DemoError(Exception):
    """Something did not go as it must; the text says what, and where to look."""


def main() -> int:
    """Run the demo and return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    try:
        stop_started()
        for folder in (WORK, OUTPUT):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
        url = start_simulator()
        env = airflow_environment(url)
        say("preparing Airflow's database")
        run_airflow(["db", "migrate"], env, "db-migrate")
        for dag_id in DAGS:
            if dag_id == "xvid_transcode":
                env["AIRFLOW_VAR_VIDEO_SOURCE"] = next(OUTPUT.glob("colossyan/*/video.mp4")).as_uri()
            run_dag(dag_id, env, url)
        rows = report(jobs(url))
        print_table(rows)
        say(f"{len(rows)} files in {OUTPUT}, {time.monotonic() - started:.0f} s in all")
        return 0
    except DemoError as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    finally:
        # A second Ctrl-C must not leave anything running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop_started()


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"[demo] {text}", flush=True)


# ---------------------------------------------------------------- processes


def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """
    Start a process in a group of its own and note its id.

    Signals wait until the id is on disk, so that whatever was started is found again at the end, and by the next run
    if this one is killed.
    """
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        process = subprocess.Popen(
            command,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, signals),
            **options,
        )
        with PROCESSES.open("a") as noted:
            noted.write(f"{process.pid} {psutil.Process(process.pid).create_time()}\n")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    return process


def stop_started() -> None:
    """Stop the process groups that this run, or an earlier one that was killed, has started."""
    for line in PROCESSES.read_text().splitlines() if PROCESSES.exists() else []:
        pid, created = line.split()
        try:
            # Another process may have the id by now.
            if psutil.Process(int(pid)).create_time() != float(created):
                continue
            os.killpg(int(pid), signal.SIGTERM)
            psutil.Process(int(pid)).wait(10)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
        except psutil.TimeoutExpired:
            os.killpg(int(pid), signal.SIGKILL)
    PROCESSES.unlink(missing_ok=True)


def start_simulator() -> str:
    """Start the simulator on a free port and return its address."""
    command = [sys.executable, "-m", "airflow_video_providers.simulator", "--port", "0"]
    command += ["--render-seconds", str(RENDER_SECONDS)]
    with (WORK / "simulator.log").open("w") as log:
        process = start(command, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    for line in process.stdout:
        if "ready on" in line:
            url = line.split()[-1]
            say(f"simulator of the four APIs on {url}")
            return url
    raise DemoError(f"the simulator did not start; see {WORK / 'simulator.log'}")


def airflow_environment(url: str) -> dict[str, str]:
    """Give Airflow a home, the DAGs, the four connections and where the videos go, all by environment variables."""

    def connection(vendor: str, path: str, **more: str) -> str:
        return json.dumps({"conn_type": vendor, "host": f"{url}/{vendor}{path}", "password": "simulator", **more})

    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return env | {
        "AIRFLOW_HOME": str(WORK / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_VAR_VIDEO_DESTINATION": OUTPUT.as_uri(),
        "AIRFLOW_CONN_COLOSSYAN_DEFAULT": connection("colossyan", "/api/v1"),
        "AIRFLOW_CONN_HOURONE_DEFAULT": connection("hourone", "/api/v1"),
        "AIRFLOW_CONN_OXOLO_DEFAULT": connection("oxolo", "/v1/api"),
        "AIRFLOW_CONN_XVID_DEFAULT": connection("xvid", "/v1", login="simulator", password="c2ltdWxhdG9y"),
    }


def airflow(arguments: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[str]:
    """Start an Airflow command."""
    with log.open("w") as out:
        return start([sys.executable, "-m", "airflow", *arguments], env=env, stdout=out, stderr=subprocess.STDOUT)


def run_airflow(arguments: list[str], env: dict[str, str], name: str) -> None:
    """Run an Airflow command to its end."""
    log = WORK / f"{name}.log"
    if airflow(arguments, env, log).wait():
        raise DemoError(f"airflow {' '.join(arguments)} failed; see {log}")


def run_dag(dag_id: str, env: dict[str, str], url: str) -> None:
    """Run one DAG and say each change of its jobs while it works."""
    say(f"airflow dags test {dag_id}")
    log = WORK / f"{dag_id}.log"
    started = time.monotonic()
    process = airflow(["dags", "test", dag_id], env, log)
    seen: dict[str, str] = {job["job_id"]: job["status"] for job in jobs(url)}
    while process.poll() is None:
        time.sleep(0.5)
        for job in jobs(url):
            if seen.get(job["job_id"]) != job["status"]:
                seen[job["job_id"]] = job["status"]
                say(f"  {time.monotonic() - started:5.1f} s  {job['vendor']} job {job['job_id']}: {job['status']}")
    if process.returncode:
        raise DemoError(f"{dag_id} failed; see {log}")


def jobs(url: str) -> list[dict[str, Any]]:
    """Return every job that the simulator was asked for."""
    answer = requests.get(f"{url}/_simulator/jobs", timeout=30)
    answer.raise_for_status()
    body = answer.json()
    return list(body["jobs"] if isinstance(body, dict) else body)


# ---------------------------------------------------------------- the result


def report(all_jobs: list[dict[str, Any]]) -> list[list[str]]:
    """Return one row for each file that landed, each video decoded; every job must have landed a video."""
    files = sorted(path for path in OUTPUT.rglob("*") if path.is_file())
    rows = []
    for job in all_jobs:
        own = [path for path in files if job["job_id"] in str(path)]
        if not any(path.suffix == ".mp4" for path in own):
            raise DemoError(f"no video landed for {job['vendor']} job {job['job_id']}")
        seconds = f"{job['finished_at'] - job['created_at']:.1f}"
        for path in own:
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:16]
            file = str(path.relative_to(ROOT))
            rows.append(
                [job["vendor"], job["job_id"], job["status"], seconds, str(len(data)), digest, play(path), file]
            )
    return rows


def play(path: Path) -> str:
    """Decode a video to its last frame and describe it; other files are described by their ending."""
    if path.suffix != ".mp4":
        return path.suffix.lstrip(".")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        duration = float(container.duration or 0) / av.time_base
        return f"{stream.codec_context.name} {duration:.1f} s, {frames} frames"


def print_table(rows: list[list[str]]) -> None:
    """Print the rows under their headings."""
    table = [["vendor", "job", "status", "seconds", "bytes", "sha256 (start)", "content", "file"], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    print()
    for number, row in enumerate(table):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if not number:
            print("  ".join("-" * width for width in widths))
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
