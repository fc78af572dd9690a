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
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import requests
from local_run import ROOT, LocalRun, RunError, catalogue, clean_environment, control, free_port

from airflow_video_providers.simulator.media import render_video

WORK = ROOT / ".ui"
VIDEOS = WORK / "videos"
RUN = LocalRun("ui", WORK)
FIRST_DAG = "render_catalogue"
START_SECONDS = 600  # of a machine that does much else; 60 s is usual


def main(arguments: list[str] | None = None) -> int:
    """Start all, wait for Ctrl-C, and return the exit code."""
    parser = argparse.ArgumentParser(description="Airflow with the video providers and a simulator of all vendors.")
    parser.add_argument("--port", type=int, default=0, help="of Airflow's UI (default: 8080, or a free one)")
    parser.add_argument("--render-seconds", type=float, default=20, help="how long a render takes (default: 20)")
    parser.add_argument("--no-run", action="store_true", help="start no first run")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        RUN.stop_started()
        shutil.rmtree(WORK, ignore_errors=True)
        VIDEOS.mkdir(parents=True)
        simulator = RUN.start_simulator(render_seconds=options.render_seconds)
        port = options.port or (8080 if is_free(8080) else free_port())
        env, address = airflow_environment(port), f"http://127.0.0.1:{port}"
        prepare(env, simulator)
        server = RUN.airflow(["standalone"], env, WORK / "airflow.log")
        RUN.say("starting Airflow (about a minute)")
        api = Api(address)
        api.wait(server)
        if not options.no_run:
            api.trigger(FIRST_DAG)
        RUN.say(f"Airflow's UI:    {address}")
        RUN.say(f"the Videos page: {address}/plugin/videos")
        RUN.say(f"the vendors:     {simulator}")
        RUN.say("Ctrl-C stops all.")
        if server.wait():
            raise RunError(f"Airflow has stopped; see {WORK / 'airflow.log'}")
        return 0
    except RunError as error:
        print(f"\nui failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopping ...", file=sys.stderr)
        return 0
    finally:
        # A second Ctrl-C must not leave anything running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        RUN.stop_started()


def is_free(port: int) -> bool:
    """Tell whether nobody answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def airflow_environment(port: int) -> dict[str, str]:
    """Return Airflow's settings: on this machine alone, no login, every DAG unpaused."""
    address = f"http://127.0.0.1:{port}"
    return {
        **clean_environment(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),  # finds `airflow`
        "AIRFLOW_HOME": str(WORK / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__PARALLELISM": "4",  # SQLite has one writer
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{WORK / 'airflow' / 'airflow.db'}?timeout=60",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }


def prepare(env: dict[str, str], simulator: str) -> None:
    """Make Airflow's database, with a connection to each vendor and the variables of the example DAGs."""
    RUN.say("preparing Airflow's database")
    RUN.run_airflow(["db", "migrate"], env, "db-migrate")
    source = VIDEOS / "source.mp4"
    render_video(source, "Source", "a video to upload")
    variables = {
        "video_destination": VIDEOS.as_uri(),
        "video_source": source.as_uri(),
        "video_catalogue": json.dumps(catalogue(simulator, "First video")),
    }
    for command, value in (("connections", control(simulator, "connections")), ("variables", variables)):
        path = WORK / f"{command}.json"
        path.write_text(json.dumps(value))
        RUN.run_airflow([command, "import", str(path)], env, command)


class Api:
    """
    Airflow's REST API, asked as the user that needs no login.

    :param address: of the API server.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = requests.Session()
        self.session.trust_env = False

    def wait(self, server: Any) -> None:
        """
        Wait until the first DAG can be run.

        :raises RunError: Airflow ended, or needs too long.
        """
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if server.poll() is not None:
                raise RunError(f"Airflow did not start; see {WORK / 'airflow.log'}")
            try:
                token = self.session.get(f"{self.address}/auth/token", timeout=10).json()["access_token"]
                self.session.headers["Authorization"] = f"Bearer {token}"
                if self.session.get(f"{self.address}/api/v2/dags/{FIRST_DAG}", timeout=10).ok:
                    return
            except (requests.RequestException, ValueError, KeyError):
                pass
            time.sleep(1)
        raise RunError(f"Airflow was not ready after {START_SECONDS} s; see {WORK / 'airflow.log'}")

    def trigger(self, dag_id: str) -> None:
        """Start a run of a DAG."""
        response = self.session.post(
            f"{self.address}/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None}, timeout=30
        )
        if not response.ok:
            raise RunError(f"{dag_id} could not be triggered: {response.status_code} {response.text[:300]}")
        RUN.say(f"a first run of {dag_id} has begun: one video with each vendor")


if __name__ == "__main__":
    sys.exit(main())
