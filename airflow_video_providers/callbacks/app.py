# SPDX-License-Identifier: Apache-2.0
"""
The address that vendors post to, on Airflow's API server: ``POST /video-callbacks/{conn_id}``.

A callback is verified by the hook of its connection and kept; the response says that and no more. The vendor's API is
never called, so that its state has no part in how soon the response comes.

| status | when |
|---|---|
| 200 | verified and stored; also when it names no job that anybody waits for |
| 400 | malformed: no JSON object, a parameter or header that is there twice |
| 401 | forged or stale |
| 404 | no such connection, not a video API, or one without ``callback_secret`` |
| 204 | to OPTIONS, by which a vendor asks whether somebody is there; whatever the connection |
| 405, 413, 415 | not a POST; the body is above 1 MiB; it is no JSON |
| 429 | refused, as too many others in this minute |
| 503 | not stored in time: the database is away, or something is too slow. The vendor should come again |
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from airflow_video_providers.callbacks import store
from airflow_video_providers.callbacks.connections import Connections, NotHere
from airflow_video_providers.callbacks.events import Teller
from airflow_video_providers.callbacks.inbox import NEWS_SECONDS, QUARTER_MINUTE
from airflow_video_providers.callbacks.keeper import Keeper
from airflow_video_providers.callbacks.limits import PerMinute
from airflow_video_providers.exceptions import VideoCallbackRefusedError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.callbacks import KEY_HEADER, LONGEST_CALLBACK, TOKEN_HEADER
from airflow_video_providers.jobs import CallbackHint

log = logging.getLogger(__name__)

RESPONSE_SECONDS = 5.0
"""How long a response may take at the most; the shortest time that a vendor documents to wait for it is 6 seconds."""
MOST_REFUSED = 300
"""Refused callbacks in a minute, of this process; any other gets 429. One that proves itself is always taken."""
MOST_LOGGED = 10
"""Refused callbacks in a minute that the log names, of this process."""
_THREADS = 8
_OURS = {KEY_HEADER.lower().encode(), TOKEN_HEADER.lower().encode()}
_RETRY_AFTER = {"Retry-After": "30"}


class Refused(Exception):
    """The request is refused by this status."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Receiver:
    """Receives the callbacks of one process."""

    def __init__(self, teller: Teller | None = None) -> None:
        self._teller = teller
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="video-callback")
        self._connections = Connections(self._threads)
        self._keeper = Keeper(self._keep, store.forget_old_news, lasts=NEWS_SECONDS + 2 * QUARTER_MINUTE)
        self._refused, self._logged = PerMinute(MOST_REFUSED), PerMinute(MOST_LOGGED)

    async def __call__(self, request: Request) -> Response:
        """Respond to one callback, in time."""
        conn_id = request.path_params["conn_id"]
        try:
            await asyncio.wait_for(self._take(request, conn_id), RESPONSE_SECONDS)
        except Refused as refusal:
            return self._refuse(refusal)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            if self._logged.allow():
                log.error("A callback was not stored, the vendor is told to come again: %s", _named(error))
            return Response(status_code=503, headers=_RETRY_AFTER)
        return Response(status_code=200)

    async def _take(self, request: Request, conn_id: str) -> None:
        try:
            hook = await self._connections.find(conn_id)
        except NotHere as error:
            raise Refused(error.status, str(error)) from None
        headers = _headers(request)
        body = await _body(request)
        hint = await self._verify(hook, headers, body)
        received = store.Received(hook.conn_id, hook.conn_type, hint.job_id, hint.key, time.time(), hint.candidates)
        if hint.job_id is not None or hint.key is not None:
            await self._keeper.keep(received)

    def _keep(self, batch: Sequence[store.Received]) -> None:
        if store.keep(batch) and self._teller is not None:
            self._teller.wake()

    async def _verify(self, hook: VideoHook, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, hook.verify_callback, headers, body)
        except VideoCallbackRefusedError as error:
            raise Refused(error.status, f"connection {hook.conn_id}: {error}") from None

    def _refuse(self, refusal: Refused) -> Response:
        if self._logged.allow():
            more = self._logged.take_surplus()
            log.warning("A callback was refused (%d): %s%s", refusal.status, refusal, f"; {more} more" if more else "")
        if not self._refused.allow():
            return Response(status_code=429, headers={"Retry-After": "60"})
        return Response(status_code=refusal.status)


def _headers(request: Request) -> Headers:
    """Return the headers, with the parameters of the address in the two that stand for them, and from nowhere else."""
    raw = [(name, value) for name, value in request.headers.raw if name.lower() not in _OURS]
    for parameter, header in (("key", KEY_HEADER), ("token", TOKEN_HEADER)):
        values = request.query_params.getlist(parameter)
        if len(values) > 1:
            raise Refused(400, f"the parameter {parameter} is there twice")
        raw += [(header.lower().encode(), value.encode("latin-1", "replace")) for value in values]
    return Headers(raw=raw)


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > LONGEST_CALLBACK:
        raise Refused(413, "the body is too long")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_CALLBACK:
            raise Refused(413, "the body is too long")
    return bytes(body)


def _named(error: Exception) -> str:
    """Return the kind of an error: its text may hold what the vendor sent, or the address of the database."""
    return type(error).__name__


def make_app(teller: Teller | None = None) -> Starlette:
    """
    Return the app, with a state of its own.

    :param teller: tells asset events; None: another server does.
    """
    receiver = Receiver(teller)

    async def receive(request: Request) -> Response:
        return await receiver(request)

    async def describe(request: Request) -> Response:
        return Response(status_code=204, headers={"Allow": "OPTIONS, POST"})

    # A vendor may ask with OPTIONS, before it registers an address, whether somebody is there.
    routes = [Route("/{conn_id:path}", receive, methods=["POST"])]
    return Starlette(routes=[*routes, Route("/{conn_id:path}", describe, methods=["OPTIONS"])])
