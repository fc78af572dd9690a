# SPDX-License-Identifier: Apache-2.0
"""
``make demo``: the DAG ``render_catalogue`` renders with every vendor and stores the videos in ``./demo-output``.

The vendors are the package's simulator on a free port; everything else is the real thing: Airflow runs the DAG
(``airflow dags test``), and each file that is delivered is decoded to its last frame. No vendor is named here: the
simulator tells its connections and an example request for each.

Airflow's own files are kept in ``./.demo``, made anew at each run. Whatever is started here is stopped at the end, also
on Ctrl-C; a simulator that outlived a killed run is stopped by the next one. One demo at a time runs in a checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
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
DAG = "render_catalogue"


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
        run_dag(env, url)
        rows = report(sorted(jobs(url), key=lambda job: job["vendor"]), vendors=set(control(url, "examples")))
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
            say(f"simulator of the vendors' APIs on {url}")
            return url
    raise DemoError(f"the simulator did not start; see {WORK / 'simulator.log'}")


def airflow_environment(url: str) -> dict[str, str]:
    """Give Airflow a home, DAGs, connections, what to render and where the videos go, as environment variables."""
    examples = control(url, "examples?text=Catalogue")
    catalogue = [{"conn_id": f"{vendor}_default", "request": request} for vendor, request in examples.items()]
    connections = {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)
        for conn_id, connection in control(url, "connections").items()
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return {
        **env,
        **connections,
        "AIRFLOW_HOME": str(WORK / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_VAR_VIDEO_DESTINATION": OUTPUT.as_uri(),
        "AIRFLOW_VAR_VIDEO_CATALOGUE": json.dumps(catalogue),
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


def run_dag(env: dict[str, str], url: str) -> None:
    """Run the DAG and say each change of its jobs while it works."""
    say(f"airflow dags test {DAG}")
    log = WORK / f"{DAG}.log"
    started = time.monotonic()
    process = airflow(["dags", "test", DAG], env, log)
    seen: dict[str, str] = {}
    while process.poll() is None:
        time.sleep(0.5)
        for job in jobs(url):
            if seen.get(job["job_id"]) != job["status"]:
                seen[job["job_id"]] = job["status"]
                say(f"  {time.monotonic() - started:5.1f} s  {job['vendor']} job {job['job_id']}: {job['status']}")
    if process.returncode:
        raise DemoError(f"{DAG} failed; see {log}")


def jobs(url: str) -> list[dict[str, Any]]:
    """Return every job that the simulator was asked for."""
    return list(control(url, "jobs"))


def control(url: str, path: str) -> Any:
    """Ask the simulator's control API."""
    response = requests.get(f"{url}/_simulator/{path}", timeout=30)
    response.raise_for_status()
    return response.json()


# ---------------------------------------------------------------- the result


def report(all_jobs: list[dict[str, Any]], vendors: set[str]) -> list[list[str]]:
    """Return one row for each file that was delivered, each video decoded; every vendor must have delivered one."""
    if missing := vendors - {job["vendor"] for job in all_jobs}:
        raise DemoError(f"nothing was rendered with {', '.join(sorted(missing))}; see {WORK / f'{DAG}.log'}")
    files = sorted(path for path in OUTPUT.rglob("*") if path.is_file())
    rows = []
    for job in all_jobs:
        own = [path for path in files if plain(job["job_id"]) in plain(str(path))]
        if not any(path.suffix == ".mp4" for path in own):
            raise DemoError(f"no video was delivered for {job['vendor']} job {job['job_id']}")
        seconds = f"{job['finished_at'] - job['created_at']:.1f}"
        for path in own:
            data = path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:16]
            file = str(path.relative_to(ROOT))
            rows.append(
                [job["vendor"], job["job_id"], job["status"], seconds, str(len(data)), digest, play(path), file]
            )
    return rows


def plain(text: str) -> str:
    """Return a text without what a path cannot hold."""
    return re.sub(r"\W+", "_", text)


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
