# SPDX-License-Identifier: Apache-2.0
"""Callbacks of a vendor that does not sign, and the app that receives them, in process."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import httpx
import pytest

from airflow_video_providers.callbacks import app as receiving
from airflow_video_providers.callbacks.app import make_app
from airflow_video_providers.callbacks.connections import find_hook
from airflow_video_providers.callbacks.inbox import DOUBT_PREFIX, digest_of, doubt_name
from airflow_video_providers.hooks.base import VideoHook
from tests.support.callback_fuzz import Attempts
from tests.support.vendors import HOOKS

SECRET = "a secret of 24 characters"
CONN_ID = "calls_back"
UNSIGNED = next(name for name, hook in HOOKS.items() if hook.verify_callback is VideoHook.verify_callback)
"""A vendor whose callbacks are proved by the token of their address."""
KEY = "avp-" + "0123456789" * 4


@dataclass
class Caller:
    """Posts to the app as a vendor does."""

    client: httpx.AsyncClient
    hook: VideoHook

    async def post(self, body: Any = None, *, key: str | None = KEY, url: str | None = None, **options: Any) -> int:
        """Post a callback for a key; return the status of the response, which must say nothing else."""
        parts = urlsplit(url or self.hook.callback_url("http://airflow.example", key))
        target = f"{parts.path.removeprefix('/video-callbacks')}?{parts.query}"
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        options.setdefault("headers", {"Content-Type": "application/json"})
        answer = await self.client.post(target, content=content, **options)
        assert answer.content == b"" or answer.status_code in (404, 405)
        return answer.status_code


def make_caller(monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Return a caller of a fresh app, and set the connection that it calls."""
    fields = {"conn_type": UNSIGNED, "password": "the key", "extra": {"callback_secret": SECRET}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(fields))
    find_hook(CONN_ID)  # the first look-up of a process makes Airflow read its providers
    transport = httpx.ASGITransport(app=make_app(), raise_app_exceptions=False)
    return Caller(httpx.AsyncClient(transport=transport, base_url="http://airflow.example"), HOOKS[UNSIGNED](CONN_ID))


async def run_fuzz(set_env: Any, *, count: int, seed: int) -> tuple[Counter[tuple[str, int]], list[str], list[str]]:
    """
    Send attempts to a fresh app while a render is waited for and in doubt.

    :param set_env: sets an environment variable.
    :return: how often each kind got each status; what they changed of the render; those with a wrong status.
    """
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select

    for conn_id, secret in ((CONN_ID, SECRET), ("stranger", SECRET[::-1])):
        fields = {"conn_type": UNSIGNED, "password": "the key", "extra": {"callback_secret": secret}}
        set_env(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
    find_hook(CONN_ID)
    hooks = HOOKS[UNSIGNED](CONN_ID), HOOKS[UNSIGNED]("stranger")
    doubt = json.dumps({"conn_id": CONN_ID, "job_id": None})
    with create_session() as session:
        session.execute(delete(Variable))
        session.add(Variable(doubt_name(KEY), doubt))
    seen: Counter[tuple[str, int]] = Counter()
    wrong: list[str] = []
    with mock.patch.object(receiving, "MOST_REFUSED", 10**9):  # so that each gets the status of its own fault
        app = receiving.make_app()
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow.example") as client:
        for attempt in Attempts(*hooks, KEY, seed).make(count):
            answer = await client.request(
                attempt.method, attempt.path, content=attempt.content, headers=attempt.headers
            )
            seen[attempt.kind, answer.status_code] += 1
            if answer.status_code not in attempt.statuses:
                wrong.append(f"{attempt.kind} {answer.status_code}: {attempt.method} {attempt.path[:200]}")
    waited = digest_of(CONN_ID, key=KEY)
    with create_session() as session:
        left = {each.key: each.val for each in session.scalars(select(Variable))}
    effects = [name for name in left if waited in name]
    effects += [name for name, value in left.items() if name.startswith(DOUBT_PREFIX) and value != doubt]
    return seen, effects, wrong


@pytest.fixture
def callback_server(airflow_db: None) -> Iterator[str]:
    """Run the app on a free port, below the path at which the API server mounts it; return the base URL."""
    import uvicorn
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select
    from starlette.applications import Starlette
    from starlette.routing import Mount

    with create_session() as session:
        session.execute(delete(Variable))
        list(session.scalars(select(Variable)))  # the first query of a process makes Airflow read its models
    app = Starlette(routes=[Mount("/video-callbacks", make_app())])
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join(10)
