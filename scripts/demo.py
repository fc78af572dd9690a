# SPDX-License-Identifier: Apache-2.0
"""
``make demo``: the DAGs of ``dags/`` render with all four systems and land the videos in ``./demo-output``.

The vendors are the package's simulator on a free port; everything else is the real thing: Airflow runs the DAGs
(``airflow dags test``), and each file that landed is decoded to its last frame. Airflow's own files are kept in
``./.demo``, made anew at each run. Whatever is started here is stopped at the end, also on Ctrl-C; a simulator that
outlived a killed run is stopped by the next one.
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
PID_FILE = WORK / "simulator.pid"
RENDER_SECONDS = 6
# Colossyan's DAG runs first: the video that it lands is the source that the Xvid DAG uploads and transcodes.
DAGS = ["colossyan_course", "hourone_presenter", "oxolo_product_spot", "xvid_transcode", "render_catalogue"]


class DemoError(Exception):
    """Something did not go as it must; the text says what, and where to look."""


def main() -> int:
    """Run the demo and return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    simulator = None
    try:
        stop_leftover()
        for folder in (WORK, OUTPUT):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        simulator, url = start_simulator()
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
        if simulator is not None:
            stop(simulator)
            PID_FILE.unlink(missing_ok=True)


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"[demo] {text}", flush=True)


# ---------------------------------------------------------------- processes


def start_simulator() -> tuple[subprocess.Popen[str], str]:
    """Start the simulator on a free port and return it with its address."""
    command = [sys.executable, "-m", "airflow_video_providers.simulator", "--port", "0"]
    command += ["--render-seconds", str(RENDER_SECONDS)]
    log = (WORK / "simulator.log").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    PID_FILE.write_text(str(process.pid))
    assert process.stdout is not None
    for line in process.stdout:
        if "ready on" in line:
            url = line.split()[-1]
            say(f"simulator of the four APIs on {url}")
            return process, url
    raise DemoError(f"the simulator did not start; see {WORK / 'simulator.log'}")


def stop_leftover() -> None:
    """Stop the simulator of an earlier run that was killed before it could."""
    try:
        process = psutil.Process(int(PID_FILE.read_text()))
        if "airflow_video_providers.simulator" in process.cmdline():
            process.terminate()
            process.wait(10)
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
    except ProcessLookupError:
        return
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
    """Start an Airflow command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "airflow", *arguments],
        env=env,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run_airflow(arguments: list[str], env: dict[str, str], name: str) -> None:
    """Run an Airflow command to its end."""
    log = WORK / f"{name}.log"
    process = airflow(arguments, env, log)
    try:
        if process.wait():
            raise DemoError(f"airflow {' '.join(arguments)} failed; see {log}")
    finally:
        if process.poll() is None:
            stop(process)


def run_dag(dag_id: str, env: dict[str, str], url: str) -> None:
    """Run one DAG and say each change of its jobs while it works."""
    say(f"airflow dags test {dag_id}")
    log = WORK / f"{dag_id}.log"
    started = time.monotonic()
    process = airflow(["dags", "test", dag_id], env, log)
    seen: dict[str, str] = {job["job_id"]: job["status"] for job in jobs(url)}
    try:
        while process.poll() is None:
            time.sleep(0.5)
            for job in jobs(url):
                if seen.get(job["job_id"]) != job["status"]:
                    seen[job["job_id"]] = job["status"]
                    say(f"  {time.monotonic() - started:5.1f} s  {job['vendor']} job {job['job_id']}: {job['status']}")
    finally:
        if process.poll() is None:
            stop(process)
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
