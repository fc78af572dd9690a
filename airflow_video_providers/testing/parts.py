# SPDX-License-Identifier: Apache-2.0
"""Small parts of the conformance suite."""

from __future__ import annotations

import queue
import threading
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from airflow_video_providers.exceptions import VideoApiNotFoundError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.callbacks import KEY_HEADER, TOKEN_HEADER
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput
from airflow_video_providers.testing.control import VendorControl
from airflow_video_providers.testing.tap import TapRequest


def now() -> datetime:
    """Return the time of an intent to submit."""
    return datetime.now(timezone.utc)


def new_key() -> str:
    """Return a key of the form that operators use: at most 44 characters of ``a-z0-9-``."""
    return f"conformance-{uuid.uuid4().hex}"


def id_of(job: VideoJob | None) -> str | None:
    """Return the id of what a search has found."""
    return job.job_id if job else None


def unknown_id(job_id: str) -> str:
    """Return an id of the same form that no job has."""
    return job_id[:-1] + ("0" if job_id[-1] != "0" else "1")


def has_ended_without_files(hook: VideoHook, job_id: str) -> bool:
    """Tell whether the vendor knows the job no longer, or as cancelled or failed."""
    try:
        return hook.get_job(job_id).state in (JobState.CANCELLED, JobState.FAILED)
    except VideoApiNotFoundError:
        return True


def carries_credentials(request: TapRequest, control: VendorControl) -> bool:
    """Tell whether a request shows the login or the password of the connection."""
    secrets = [control.connection().get(name) for name in ("login", "password")]
    return "authorization" in request.headers or any(secret in request for secret in secrets if secret)


class CallbackServer:
    """Takes what a fake server posts, and gives it to a hook as Airflow's API server does."""

    def __init__(self) -> None:
        heard: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                ours = {"key": KEY_HEADER, "token": TOKEN_HEADER}
                headers = {name: value for name, value in self.headers.items() if name not in ours.values()}
                query = parse_qsl(urlsplit(self.path).query)
                heard.put((headers | {ours[name]: value for name, value in query if name in ours}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Keep quiet: the path has a token."""

        self._heard = heard
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/airflow"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self) -> tuple[dict[str, str], bytes]:
        """Return headers and body of the next callback; fail after 30 seconds."""
        try:
            return self._heard.get(timeout=30)
        except queue.Empty:
            raise AssertionError("no callback came within 30 seconds") from None

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def content_of(hook: VideoHook, job_id: str, output: VideoOutput) -> bytes:
    """Return the bytes of an output; where the vendor mints links on request, its link is minted first."""
    if output.content is not None:
        return output.content.encode()
    if output.url is None:
        output = hook.refresh_output(job_id, output)
    content = download(output)
    assert output.size in (None, len(content))
    return content


def download(output: VideoOutput) -> bytes:
    """Download a link as a delivery does: without credentials."""
    assert output.url is not None
    opener = build_opener(ProxyHandler({}))
    with opener.open(Request(output.url), timeout=60) as response:
        return bytes(response.read())
