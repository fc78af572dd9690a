# SPDX-License-Identifier: Apache-2.0
"""What a vendor's module tells the frame, and what the modules share: the application, new jobs, callbacks, replays."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
import time
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from airflow_video_providers.simulator.jobs import Job
from airflow_video_providers.simulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from airflow_video_providers.simulator.contents import Contents
    from airflow_video_providers.simulator.jobs import Lifecycle
    from airflow_video_providers.simulator.world import World

    Sign = Callable[[bytes, float], Mapping[str, str]]

KEY = "simulator"


class RefusedError(Exception):
    """A request that the vendor refuses."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Notice:
    """
    A callback: what the simulator sends to the user's receiver, once for each ``name`` of a job.

    ``sign`` takes the raw body and the time (epoch seconds) and returns the headers that prove the callback; it is
    asked again for each attempt.
    """

    name: str
    url: str
    body: bytes | None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    sign: Sign | None = None


def json_notice(name: str, url: str, content: Any, sign: Sign | None = None) -> Notice:
    """Return a callback with a JSON body."""
    return Notice(name, url, json.dumps(content).encode(), headers={"content-type": "application/json"}, sign=sign)


def hmac_hex(secret: str | bytes, message: bytes) -> str:
    """Return the HMAC-SHA256 of a message in hex."""
    return hmac.new(secret.encode() if isinstance(secret, str) else secret, message, hashlib.sha256).hexdigest()


def retry_after(wait: float) -> dict[str, str]:
    """Return the headers of a 429 as HTTP has them: ``Retry-After`` in whole seconds."""
    return {"retry-after": str(math.ceil(wait))}


@dataclass(frozen=True)
class Vendor:
    """A vendor as the rest of the simulator sees it."""

    name: str
    prefix: str
    """Where its application is served: ``/`` and the name, and what is common to all its paths."""
    lifecycle: Lifecycle
    operations: tuple[tuple[str, str, str], ...]
    """Method, pattern of the path below the prefix, and names of the operation for faults and counts."""
    create_app: Callable[[World, Contents], FastAPI]
    error_body: Callable[[int, str], dict[str, Any]]
    notices: Callable[[World, Contents, Job, float], list[Notice]]
    """The callbacks that are due for a job at a time; each is sent once, by its ``name``."""
    example: dict[str, Any]
    """A request that the vendor accepts, with ``{text}`` in a title or another field that tells jobs apart."""
    refused: dict[str, Any]
    """A request that the vendor refuses."""
    connection: dict[str, Any] = field(default_factory=lambda: {"password": KEY})
    """What an Airflow connection needs beside its type and its host, which is ``{url}`` (the simulator's address) and
    the prefix unless it is given here."""
    key_headers: tuple[str, ...] = ("authorization",)
    """The headers that carry the key; no link of any vendor takes them."""
    settings: type[Settings] = Settings
    """The settings, with those that only this vendor has."""
    register_webhook: Callable[[World, str], str | None] | None = None
    """Registers an address for the webhooks of the account, as the user does it on the vendor's page, and returns the
    secret that they are signed with; None: the vendor knows no such webhook."""
    limit_headers: Callable[[float], dict[str, str]] = retry_after
    """The headers of a 429, for the seconds to wait."""

    @property
    def uploads(self) -> str:
        """The kind of resource that holds what users have uploaded."""
        return f"{self.name}.uploads"

    def request(self, text: str) -> dict[str, Any]:
        """Return the example with this text in it."""
        return _filled(self.example, text=text)

    def connection_to(self, url: str) -> dict[str, Any]:
        """Return an Airflow connection, as its JSON form has it, to the simulator at this address."""
        fields = {"conn_type": self.name, "host": f"{{url}}{self.prefix}", **self.connection}
        return _filled(fields, url=url)

    def summary(self) -> dict[str, Any]:
        """Return the names of the operations, the statuses of a job, and the settings that only this vendor has."""
        operations = {name for *_, names in self.operations for name in names.split()}
        life = self.lifecycle
        statuses = [word for _, word in life.active + life.succeeded]
        return {
            "operations": sorted(operations | {"download"}),
            "statuses": [*statuses, life.failed, *life.cancelled],
            "settings": {
                name: {"default": field.get_default(call_default_factory=True), "meaning": field.description}
                for name, field in self.settings.model_fields.items()
                if name not in Settings.model_fields
            },
        }

    def classify(self, method: str, path: str) -> tuple[str, ...]:
        """Return the operations that a request asks for."""
        path = path.removeprefix(self.prefix).rstrip("/")
        for wanted, pattern, names in self.operations:
            if method in wanted.split("|") and re.fullmatch(pattern, path):
                return tuple(names.split())
        return ("other",)


def _filled(template: dict[str, Any], **values: str) -> dict[str, Any]:
    text = json.dumps(template)
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", json.dumps(value)[1:-1])
    filled: dict[str, Any] = json.loads(text)
    return filled


def json_answer(content: Any, status: int = 200) -> Response:
    """Return a JSON response, without a framework's slow walk through large lists."""
    return Response(json.dumps(content), status, media_type="application/json")


def new_app(error_answer: Callable[[Request, RefusedError], Response], **options: Any) -> FastAPI:
    """Return a vendor's application, which words all its errors in the vendor's own form."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, **options)

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            error = RefusedError(400, describe(error))
        elif isinstance(error, HTTPException):
            error = RefusedError(error.status_code, str(error.detail))
        elif isinstance(error, (UnicodeError, RecursionError, JSONDecodeError)):
            error = RefusedError(400, "The request cannot be read")  # text in no encoding, JSON without an end
        elif not isinstance(error, RefusedError):
            error = RefusedError(500, "Internal server error")
        return error_answer(request, error)

    for kind in (
        RefusedError,
        RequestValidationError,
        HTTPException,
        UnicodeError,
        RecursionError,
        JSONDecodeError,
        Exception,
    ):
        app.add_exception_handler(kind, refused)
    return app


def describe(error: RequestValidationError) -> str:
    """Return all field errors in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}" for item in error.errors()
    )


def new_job(
    world: World,
    vendor: Vendor,
    contents: Contents,
    *,
    job_id: str,
    name: str,
    request: dict[str, Any],
    texts: Sequence[object] = (),
    **fields: Any,
) -> Job:
    """Create a job; ``texts`` are the words that may ask for a failure besides the name."""
    now, settings = time.time(), world.settings.of(vendor.name)
    job = Job(vendor.name, job_id, name or "Untitled", request, now, settings.render_seconds, updated_at=now, **fields)
    trigger = settings.fail_titles_containing
    if trigger and any(trigger in str(text) for text in (name, *texts) if text is not None):
        job.outcome = "failed"
        job.error = {"code": "simulated", "message": f"The simulator fails every job that contains {trigger!r}"}
    job.ends_at = now + job.render_seconds * (0.5 if job.outcome == "failed" else 1)
    if vendor.notices(world, contents, job, job.ends_at + 10 * job.render_seconds):
        world.watch(job)
    world.add_job(job)
    return job


class Replays:
    """
    Responses that are given again to a request with the same idempotency key.

    Within ``seconds`` of the first request with a key, the same ``scope`` and key get the first response, word for
    word, and nothing is made again; while the first is still worked on, 409 with the code ``request_in_progress``.
    """

    def __init__(self, world: World, vendor: str, seconds: float) -> None:
        self.world, self.kind, self.seconds = world, f"{vendor}.replays", seconds
        self._running: set[str] = set()

    async def answer(self, scope: str, key: str | None, make: Callable[[], Awaitable[Response]]) -> Response:
        """Return the kept response of this key, or the one that ``make`` gives now."""
        if key is None:
            return await make()
        name, now = f"{scope} {key}", time.time()
        for old, kept in list(self.world.resources[self.kind].items()):
            if now >= kept["until"]:
                self.world.drop(self.kind, old)
        if kept_ := self.world.resources[self.kind].get(name):
            return Response(kept_["body"], kept_["status"], media_type=kept_["media_type"])
        if name in self._running:
            raise RefusedError(409, "A request with this key is still in progress", "request_in_progress")
        self._running.add(name)
        try:
            response = await make()
        finally:
            self._running.discard(name)
        body, media_type = bytes(response.body).decode(), response.media_type or "application/json"
        kept = {"body": body, "status": response.status_code, "media_type": media_type, "until": now + self.seconds}
        self.world.put(self.kind, name, kept)
        return response


def iso_time(seconds: float | None) -> str | None:
    """Return epoch seconds as ISO 8601 in UTC with milliseconds."""
    if seconds is None:
        return None
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03}Z"
