# SPDX-License-Identifier: Apache-2.0
"""
``make demo``: two DAGs render with every vendor and store the videos in ``./demo-output``.

``render_catalogue`` has a task for each step of each render; ``bulk_from_jsonl`` renders a file of requests in one.

The vendors are the package's simulator on a free port; everything else is the real thing: Airflow runs the DAGs
(``airflow dags test``), and each file that is delivered is decoded to its last frame. No vendor is named here: the
simulator tells its connections and an example request for each.

Airflow's own files are kept in ``./.demo``, made anew at each run. Whatever is started here is stopped at the end, also
on Ctrl-C; a simulator that outlived a killed run is stopped by the next one. One demo at a time runs in a checkout.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
from local_run import ROOT, LocalRun, RunError, catalogue, clean_environment, control

WORK = ROOT / ".demo"
OUTPUT = ROOT / "demo-output"
RENDER_SECONDS = 6
DAGS = ("render_catalogue", "bulk_from_jsonl")
BATCH = 2
"""How many renders a file of requests has."""
RUN = LocalRun("demo", WORK)


def main() -> int:
    """Run the demo and return the exit code."""
    return RUN.carry_out(show, interrupted=130)


def show() -> None:
    """Render with every vendor, and print what was stored."""
    started = time.monotonic()
    for folder in (WORK, OUTPUT):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
    url = RUN.start_simulator(render_seconds=RENDER_SECONDS)
    env = airflow_environment(url)
    RUN.say("preparing Airflow's database")
    RUN.make_database(env)
    for dag_id in DAGS:
        run_dag(dag_id, env, url)
    rows = report(sorted(jobs(url), key=lambda job: job["vendor"]), vendors=set(control(url, "examples")))
    print_table(rows)
    RUN.say(f"{len(rows)} files in {OUTPUT}, {time.monotonic() - started:.0f} s in all")


# ---------------------------------------------------------------- Airflow


def airflow_environment(url: str) -> dict[str, str]:
    """Give Airflow a home, DAGs, connections, what to render and where the videos go, as environment variables."""
    connections = {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)
        for conn_id, connection in control(url, "connections").items()
    }
    return {
        **clean_environment(),
        **connections,
        "AIRFLOW_HOME": str(WORK / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_VAR_VIDEO_DESTINATION": OUTPUT.as_uri(),
        "AIRFLOW_VAR_VIDEO_CATALOGUE": json.dumps(catalogue(url, "Catalogue")),
        "AIRFLOW_VAR_VIDEO_BATCHES": json.dumps(write_batches(url)),
    }


def write_batches(url: str) -> list[dict[str, str]]:
    """Write a file of requests for each vendor, and return what the variable ``video_batches`` holds."""
    batches = []
    for number in range(BATCH):
        for vendor, request in control(url, f"examples?text=Clip%20{number + 1}").items():
            batch = WORK / f"{vendor}.jsonl"
            with batch.open("a", encoding="utf-8") as file:
                print(json.dumps({"id": f"clip-{number + 1}", "request": request}), file=file)
            if not number:
                batches.append({"conn_id": f"{vendor}_default", "requests": batch.as_uri()})
    return batches


def run_dag(dag_id: str, env: dict[str, str], url: str) -> None:
    """Run a DAG and say each change of its jobs while it works."""
    RUN.say(f"airflow dags test {dag_id}")
    log = WORK / f"{dag_id}.log"
    started = time.monotonic()
    seen: dict[str, str] = {job["job_id"]: job["status"] for job in jobs(url)}
    process = RUN.airflow(["dags", "test", dag_id], env, log)
    while process.poll() is None:
        time.sleep(0.5)
        for job in jobs(url):
            if seen.get(job["job_id"]) != job["status"]:
                seen[job["job_id"]] = job["status"]
                RUN.say(f"  {time.monotonic() - started:5.1f} s  {job['vendor']} job {job['job_id']}: {job['status']}")
    if process.returncode:
        raise RunError(f"{dag_id} failed; see {log}")


def jobs(url: str) -> list[dict[str, Any]]:
    """Return every job that the simulator was asked for."""
    return list(control(url, "jobs"))


# ---------------------------------------------------------------- the result


def report(all_jobs: list[dict[str, Any]], vendors: set[str]) -> list[list[str]]:
    """Return one row for each file that was delivered, each video decoded; every vendor must have delivered one."""
    made = Counter(job["vendor"] for job in all_jobs)
    if missing := {vendor for vendor in vendors if made[vendor] != 1 + BATCH}:
        raise RunError(f"not {1 + BATCH} renders with {', '.join(sorted(missing))}; see the logs in {WORK}")
    files = sorted(path for path in OUTPUT.rglob("*") if path.is_file())
    rows = []
    for job in all_jobs:
        own = [path for path in files if plain(job["job_id"]) in plain(str(path))]
        if not any(path.suffix == ".mp4" for path in own):
            raise RunError(f"no video was delivered for {job['vendor']} job {job['job_id']}")
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
