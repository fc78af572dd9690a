# SPDX-License-Identifier: Apache-2.0
"""``python -m airflow_video_providers.simulator``: the command line."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import signal
import socket
import sqlite3
import sys
import tempfile
from pathlib import Path

HOST = "127.0.0.1"  # it knows no secrets and checks little, so it is for this machine alone
NEEDED = ("fastapi", "uvicorn", "av", "PIL", "python_multipart")


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator until it is stopped; returns the exit code."""
    options = _parse(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        install = "pip install 'airflow-video-providers[simulator]'"
        print(f"The simulator needs packages that are not installed ({names}): {install}", file=sys.stderr)
        return 1
    try:
        api = _listen(options.port)
    except OSError as error:
        print(f"The simulator cannot listen on {HOST}:{options.port}: {error.strerror}", file=sys.stderr)
        return 2
    # A clean end is an end without a traceback and with code 0; the server answers these signals while it runs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    os.umask(0o077)  # the state holds tokens and users' requests
    if options.state is not None:
        options.state.mkdir(parents=True, exist_ok=True)
        try:
            _serve(options, api, options.state)
        except sqlite3.OperationalError as error:
            print(f"The simulator cannot keep its state in {options.state}: {error}", file=sys.stderr)
            return 2
    else:
        with tempfile.TemporaryDirectory(prefix="video-simulator-") as directory:
            _serve(options, api, Path(directory), kept=False)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_video_providers.simulator",
        description="The vendors' video APIs as they document them, with faults on demand.",
    )
    parser.add_argument("--port", type=_port, default=8099, help="port of the APIs, 0 for a free one (default 8099)")
    parser.add_argument("--render-seconds", type=float, default=10, help="length of a render (default 10)")
    parser.add_argument("--state", type=Path, help="directory to keep everything in across restarts")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _serve(options: argparse.Namespace, api: socket.socket, directory: Path, *, kept: bool = True) -> None:
    import uvicorn

    from airflow_video_providers.simulator.app import create_app
    from airflow_video_providers.simulator.settings_book import SettingsBook
    from airflow_video_providers.simulator.world import World

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(f"simulator ready on http://{HOST}:{api.getsockname()[1]}", flush=True)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Answers that are cut off now are cut off on purpose: nobody needs their tracebacks.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            await super().shutdown(sockets)

    world = World(SettingsBook(render_seconds=options.render_seconds), directory if kept else None)
    # Links live on a port of their own, as vendors' links live on another host. It stays the same across
    # restarts where it can, so that links given before still work.
    try:
        files = _listen(world.meta("media_port", 0))
    except OSError:
        files = _listen(0)
    world.set_meta("media_port", files.getsockname()[1])
    world.origin = f"http://{HOST}:{api.getsockname()[1]}"
    world.media_origin = f"http://{HOST}:{files.getsockname()[1]}"
    config = uvicorn.Config(
        create_app(world, directory / "media"),
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
    )
    Server(config).run(sockets=[api, files])


if __name__ == "__main__":
    sys.exit(main())
