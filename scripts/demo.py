# SPDX-License-Identifier: Apache-2.0
"""
``make demo``: DAGs render with every vendor and store the videos in ``./demo-output``.

``render_catalogue`` has a task for each step of each render; ``bulk_from_jsonl`` renders a file of requests in one. In
``render_called_back`` a vendor ends the wait: it calls Airflow's API server, which runs beside the DAGs for that.

The vendors are the package's simulator on a free port; everything else is the real thing: Airflow runs the DAGs
(``airflow dags test``), and each file that is delivered is decoded to its last frame. No vendor is named here: the
simulator tells its connections and an example request for each, and a hook whether its vendor calls back.

Airflow's own files are kept in ``./.demo``, made anew at each run. Whatever is started here is stopped at the end, also
on Ctrl-C; a simulator that outlived a killed run is stopped by the next one. One demo at a time runs in a checkout.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from example_inputs import callback_inputs, catalogue, vendor_that_calls_back, write_batches
from local_run import ROOT, LocalRun, RunError, clean_environment, control, free_port, wait_for_url

WORK = ROOT / ".demo"
OUTPUT = ROOT / "demo-output"
RENDER_SECONDS = 6
CALLED_BACK = "render_called_back"
DAGS = ("render_catalogue", "bulk_from_jsonl", CALLED_BACK)
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
    caller, port = vendor_that_calls_back(WORK / "airflow"), free_port()
    env = airflow_environment(url) | callback_environment(url, caller, port)
    RUN.say("preparing Airflow's database")
    RUN.run_airflow(["db", "migrate"], env, "db-migrate")
    server = RUN.airflow(["api-server", "--host", "127.0.0.1", "--port", str(port)], env, WORK / "airflow.log")
    first, *others = DAGS
    run_dags([first], env, url)  # alone: it also writes all DAGs to the database
    wait_for_api_server(port, server)
    run_dags(others, env, url)
    expected = Counter(dict.fromkeys(control(url, "examples"), 1 + BATCH)) + Counter([caller])
    rows = report(sorted(jobs(url), key=lambda job: job["vendor"]), expected)
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
        "AIRFLOW_VAR_VIDEO_BATCHES": json.dumps(write_batches(url, WORK, BATCH)),
    }


def callback_environment(url: str, vendor: str, port: int) -> dict[str, str]:
    """
    Return what callbacks need: a connection that takes them, what to render there, and where the API server listens.

    :param vendor: the vendor that calls back.
    :param port: of the API server.
    """
    address = f"http://127.0.0.1:{port}"
    conn_id, connection, renders = callback_inputs(url, vendor, address)
    return {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection),
        "AIRFLOW_VAR_VIDEO_RENDERS_CALLED_BACK": json.dumps(renders),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{WORK / 'airflow' / 'airflow.db'}?timeout=60",
    }


def wait_for_api_server(port: int, server: subprocess.Popen[str]) -> None:
    """Wait until callbacks are taken."""
    wait_for_url(f"http://127.0.0.1:{port}/api/v2/monitor/health", server, seconds=120)
    RUN.say(f"Airflow's API server takes callbacks on http://127.0.0.1:{port}/video-callbacks/")


def run_dags(dag_ids: Sequence[str], env: dict[str, str], url: str) -> None:
    """Run DAGs at the same time, and say each change of their jobs while they work."""
    started = time.monotonic()
    seen: dict[str, str] = {job["job_id"]: job["status"] for job in jobs(url)}
    running = {}
    for dag_id in dag_ids:
        RUN.say(f"airflow dags test {dag_id}")
        running[dag_id] = RUN.airflow(["dags", "test", dag_id], env, WORK / f"{dag_id}.log")
    while any(process.poll() is None for process in running.values()):
        time.sleep(0.5)
        for job in jobs(url):
            if seen.get(job["job_id"]) != job["status"]:
                seen[job["job_id"]] = job["status"]
                RUN.say(f"  {time.monotonic() - started:5.1f} s  {job['vendor']} job {job['job_id']}: {job['status']}")
    for dag_id, process in running.items():
        if process.returncode:
            raise RunError(f"{dag_id} failed; see {WORK / dag_id}.log")


def jobs(url: str) -> list[dict[str, Any]]:
    """Return every job that the simulator was asked for."""
    return list(control(url, "jobs"))


# ---------------------------------------------------------------- the result


def report(all_jobs: list[dict[str, Any]], expected: Counter[str]) -> list[list[str]]:
    """
    Return one row for each file that was delivered, each video decoded.

    :param expected: how many renders each vendor must have made and delivered.
    """
    made = Counter(job["vendor"] for job in all_jobs)
    if wrong := {vendor for vendor in expected | made if made[vendor] != expected[vendor]}:
        raise RunError(f"not as many renders as expected with {', '.join(sorted(wrong))}; see the logs in {WORK}")
    called_back = jobs_called_back()
    if not called_back:
        raise RunError(f"no wait was ended by a callback; see {WORK / CALLED_BACK}.log and {WORK / 'airflow.log'}")
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
            ended_by = "callback" if job["job_id"] in called_back else "poll"
            row = [job["vendor"], job["job_id"], job["status"], seconds, ended_by, str(len(data)), digest]
            rows.append([*row, play(path), file])
    return rows


def jobs_called_back() -> set[str]:
    """Return the ids of the jobs of which the log of a wait says that their callback ended it."""
    lines = (WORK / f"{CALLED_BACK}.log").read_text(errors="replace").splitlines()
    found = (re.search(r"· (\S+ \S+) · called back", line) for line in lines)
    return {match.group(1).partition(" ")[2] for match in found if match}


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
    table = [["vendor", "job", "status", "seconds", "ended by", "bytes", "sha256 (start)", "content", "file"], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    print()
    for number, row in enumerate(table):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if not number:
            print("  ".join("-" * width for width in widths))
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
