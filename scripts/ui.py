# SPDX-License-Identifier: Apache-2.0
"""
``make ui``: a whole Airflow beside the simulator, to click through: connections, example DAGs, a first run, the videos.

Airflow is the real one (``airflow standalone``: API server, scheduler, DAG processor, triggerer) on SQLite; the vendors
are the package's simulator, whose own pages stand in for the vendors'. The connections are in Airflow's database, so
that they can be looked at, changed and tested. Everything listens on this machine alone and needs no login.

Airflow's files are in ``./.ui``, made anew at each start; the videos are in ``./.ui/videos``. Ctrl-C stops all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys

import requests
from example_inputs import callback_inputs, catalogue, vendor_that_calls_back, write_batches
from local_run import (
    ROOT,
    LocalRun,
    RunError,
    control,
    free_port,
    standalone_environment,
    wait_for_url,
)

from airflow_video_providers.simulator.media import render_video

WORK = ROOT / ".ui"
VIDEOS = WORK / "videos"
RUN = LocalRun("ui", WORK)
FIRST_DAG = "render_catalogue"
TITLES = ("Greeting for Ada", "Welcome to the team", "Red kite over the sea", "Onboarding, part 2", "Safety briefing")
BATCH = 3
"""How many renders a file of requests has."""
START_SECONDS = 600  # of a machine that does much else; 60 s is usual


def main(arguments: list[str] | None = None) -> int:
    """Start all, wait for Ctrl-C, and return the exit code."""
    parser = argparse.ArgumentParser(description="Airflow with the video providers and a simulator of all vendors.")
    parser.add_argument("--port", type=int, default=0, help="of Airflow's UI (default: 8080, or a free one)")
    parser.add_argument("--render-seconds", type=float, default=20, help="how long a render takes (default: 20)")
    parser.add_argument("--no-run", action="store_true", help="start no first run")
    options = parser.parse_args(arguments)
    return RUN.carry_out(lambda: serve(options), interrupted=0)


def serve(options: argparse.Namespace) -> None:
    """Start all, and wait until Airflow ends."""
    shutil.rmtree(WORK, ignore_errors=True)
    VIDEOS.mkdir(parents=True)
    simulator = RUN.start_simulator(render_seconds=options.render_seconds)
    port = options.port or (8080 if is_free(8080) else free_port())
    env, address = standalone_environment(WORK, port, ROOT / "dags"), f"http://127.0.0.1:{port}"
    prepare(env, simulator, address)
    server = RUN.airflow(["standalone"], env, WORK / "airflow.log")
    RUN.say("starting Airflow (about a minute)")
    headers = wait_until_ready(address, server)
    if not options.no_run:
        trigger(address, headers)
    RUN.say(f"Airflow's UI:    {address}")
    RUN.say(f"the Videos page: {address}/plugin/videos")
    RUN.say(f"the vendors:     {simulator}")
    RUN.say("Ctrl-C stops all.")
    if server.wait():
        raise RunError(f"Airflow has stopped; see {WORK / 'airflow.log'}")


def is_free(port: int) -> bool:
    """Tell whether nobody answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def prepare(env: dict[str, str], simulator: str, address: str) -> None:
    """
    Make Airflow's database: a connection to each vendor, one that takes callbacks, the variables of the example DAGs.

    :param address: of Airflow's API server.
    """
    RUN.say("preparing Airflow's database")
    RUN.make_database(env)
    source = VIDEOS / "source.mp4"
    render_video(source, "Source", "a video to upload")
    caller = vendor_that_calls_back(WORK / "airflow")
    conn_id, connection, called_back = callback_inputs(simulator, caller, address)
    connections = {**control(simulator, "connections"), conn_id: connection}
    variables = {
        "video_destination": VIDEOS.as_uri(),
        "video_source": source.as_uri(),
        "video_catalogue": json.dumps(catalogue(simulator, *TITLES)),
        "video_batches": json.dumps(write_batches(simulator, WORK, BATCH)),
        "video_renders_called_back": json.dumps(called_back),
    }
    for command, value in (("connections", connections), ("variables", variables)):
        path = WORK / f"{command}.json"
        path.write_text(json.dumps(value))
        RUN.run_airflow([command, "import", str(path)], env, command)


def wait_until_ready(address: str, server: subprocess.Popen[str]) -> dict[str, str]:
    """Wait until the first DAG can be run; return the headers of a user."""
    token = wait_for_url(f"{address}/auth/token", server, seconds=START_SECONDS)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    wait_for_url(f"{address}/api/v2/dags/{FIRST_DAG}", server, headers=headers, seconds=START_SECONDS)
    return headers


def trigger(address: str, headers: dict[str, str]) -> None:
    """Start a run of the first DAG."""
    response = requests.post(
        f"{address}/api/v2/dags/{FIRST_DAG}/dagRuns", json={"logical_date": None}, headers=headers, timeout=60
    )
    if not response.ok:
        raise RunError(f"{FIRST_DAG} could not be triggered: {response.status_code} {response.text[:300]}")
    RUN.say(f"a first run of {FIRST_DAG} has begun: one video with each vendor")


if __name__ == "__main__":
    sys.exit(main())
