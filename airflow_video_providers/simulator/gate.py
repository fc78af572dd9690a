# SPDX-License-Identifier: Apache-2.0
"""The gate that every request passes: it counts, limits, injects faults, and writes down what happened."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from airflow_video_providers.simulator import contents
from airflow_video_providers.simulator.faults import EXPIRED_LINKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_video_providers.simulator.vendor import Vendor
    from airflow_video_providers.simulator.world import World

HTML_PAGE = b"<!DOCTYPE html><html><head><title>Please wait</title></head><body>Checking your browser</body></html>"
_WITHOUT_BODY = (204, 304)
LONGEST_BODY, LONGEST_UPLOAD = 8 << 20, 8 << 30
COUNTED_AS = {
    "status": "polls",
    "list": "lists",
    "video": "videos",
    "file": "files",
    "link": "links",
    "download": "downloads",
    "create": "create_requests",
    "delete": "delete_requests",
    "token": "token_requests",
}


class Bucket:
    """Requests that a vendor allows: ``burst`` at once, and then ``rate`` a second."""

    def __init__(self) -> None:
        self._left, self._seen = 0.0, 0.0

    def wait(self, rate: float, burst: int, now: float) -> float:
        """Take one request and return 0, or return the seconds until the next one is allowed."""
        self._left = min(burst, self._left + (now - self._seen) * rate)
        self._seen = now
        if self._left < 1:
            return (1 - self._left) / rate
        self._left -= 1
        return 0.0


class Gate:
    """The outermost ASGI layer."""

    def __init__(self, app: ASGIApp, world: World, vendors: Mapping[str, Vendor]) -> None:
        self.app, self.world, self.vendors = app, world, vendors
        self.in_flight: Counter[tuple[str, str]] = Counter()
        self.buckets = {name: Bucket() for name in vendors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through, or let a fault have it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        found = self._classify(scope["method"], scope["path"])
        receive = _bounded(receive, LONGEST_UPLOAD if found and "upload" in found[1] else LONGEST_BODY)
        if found is None:
            await self.app(scope, receive, _Answer(self.world, send, None))
            return
        vendor, operations = found
        # The vendors' own texts write collections with and without a final slash.
        scope = {**scope, "path": scope["path"].rstrip("/")}
        download = "download" in operations
        peak = "max_downloads_in_flight" if download else "max_in_flight"
        self.in_flight[vendor, peak] += 1
        answer = _Answer(self.world, send, vendor if download else None)
        answer.at_end = lambda: self._leave(vendor, peak)
        try:
            self.world.count_peak(vendor, peak, self.in_flight[vendor, peak])
            self.world.count(vendor, "requests")
            for name in operations:
                self.world.count(vendor, COUNTED_AS.get(name, name) if scope["method"] != "HEAD" else "heads")
            wait = 0.0 if operations in (("download",), ("upload",)) else self._wait(vendor)
            if wait:
                self.world.count(vendor, "limited")
                await self._refuse({"message": "Too many requests", "retry_after": wait}, vendor, 429, answer)
            elif effect := self.world.strike(vendor, operations):
                await self._strike(effect, vendor, scope, receive, answer)
            else:
                await self.app(scope, receive, answer)
        finally:
            answer.end()
            self.world.flush()

    def _classify(self, method: str, path: str) -> tuple[str, tuple[str, ...]] | None:
        """Return vendor and operations of a request, or None for what is not a vendor's."""
        first, _, rest = path.lstrip("/").partition("/")
        if first in ("media", "upload"):
            name = rest.partition("/")[0]
            return (name, ("download" if first == "media" else "upload",)) if name in self.vendors else None
        for vendor in self.vendors.values():
            if path.startswith(f"{vendor.prefix}/"):
                return vendor.name, vendor.classify(method, path)
        return None

    def _wait(self, vendor: str) -> float:
        settings = self.world.settings.of(vendor)
        if settings.requests_per_second is None:
            return 0.0
        return self.buckets[vendor].wait(settings.requests_per_second, settings.burst, time.monotonic())

    def _leave(self, vendor: str, peak: str) -> None:
        self.in_flight[vendor, peak] -= 1

    async def _strike(
        self, effect: Mapping[str, Any], vendor: str, scope: Scope, receive: Receive, answer: _Answer
    ) -> None:
        lost = effect.get("lose_answer")
        late_status = effect.get("answer_status_after_effect")
        if lost or late_status:
            # The delay comes after the effect, so that a client which gives up has paid all the same.
            await self.app(scope, receive, _nowhere)
            self.world.flush()
            await asyncio.sleep(effect.get("delay", 0))
            if late_status and not lost:
                await self._refuse(effect, vendor, late_status, answer)
            else:
                await answer.reset()
            return
        await asyncio.sleep(effect.get("delay", 0))
        if effect.get("status"):
            await self._refuse(effect, vendor, effect["status"], answer)
        elif effect.get("html"):
            await answer.whole(200, "text/html; charset=utf-8", HTML_PAGE)
        elif effect.get("expired_link") and answer.download_of:
            await self._refuse({"message": "Request has expired", **effect}, vendor, 403, answer)
        else:
            answer.cut_after = effect.get("cut_after")
            answer.bytes_per_second = effect.get("bytes_per_second")
            answer.malformed = bool(effect.get("malformed"))
            token = EXPIRED_LINKS.set(bool(effect.get("expired_link")))
            try:
                await self.app(scope, receive, answer)
            finally:
                EXPIRED_LINKS.reset(token)

    async def _refuse(self, effect: Mapping[str, Any], vendor: str, status: int, answer: _Answer) -> None:
        message, wait = str(effect.get("message", "A fault of the simulator")), effect.get("retry_after")
        headers: dict[str, str] = {}
        if answer.download_of:
            store = contents.store_error(status, "AccessDenied" if status == 403 else "ServiceError", message)
            media_type, body = "application/xml", bytes(store.body)
        else:
            media_type, body = "application/json", json.dumps(self.vendors[vendor].error_body(status, message)).encode()
        if status == 429 and isinstance(wait, (int, float)) and not answer.download_of:
            headers = self.vendors[vendor].limit_headers(wait)
        elif wait is not None:
            headers = {"retry-after": str(wait)}
        await answer.whole(status, media_type, body, headers)


def _bounded(receive: Receive, longest: int) -> Receive:
    """Return ``receive`` for a body of at most so many bytes; one that is longer is refused with 413."""
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > longest:
            raise HTTPException(413, f"The body is longer than {longest} bytes")
        return message

    return take


class _Answer:
    """The way of one answer to the client: kept before it leaves, counted, and bent as a fault says."""

    def __init__(self, world: World, send: Send, download_of: str | None) -> None:
        self.world, self.send, self.download_of = world, send, download_of
        self.cut_after: int | None = None
        self.bytes_per_second: float | None = None
        self.malformed = False
        self._start: Message | None = None
        self._sent = 0
        self._held = b""
        self._closed = False
        self.at_end: Callable[[], None] | None = None

    def end(self) -> None:
        """The answer is over; called before its last byte leaves, so that a next request finds nothing in flight."""
        if self.at_end is not None:
            self.at_end()
            self.at_end = None

    async def __call__(self, message: Message) -> None:
        if self._closed:
            return
        if message["type"] == "http.response.start":
            self.world.flush()
            self._start = message
            if not self.malformed:
                await self.send(message)
        elif self.malformed:
            await self._send_malformed(message)
        else:
            await self._send_body(message)

    async def _send_malformed(self, message: Message) -> None:
        self._held += message.get("body", b"")
        if message.get("more_body") or self._start is None:
            return
        broken = self._held[: max(len(self._held) // 2, 1)]
        headers = [(name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"]
        await self.send({**self._start, "headers": [*headers, (b"content-length", b"%d" % len(broken))]})
        await self.send({"type": "http.response.body", "body": broken})

    async def _send_body(self, message: Message) -> None:
        body = message.get("body", b"")
        if self.cut_after is not None and self._sent + len(body) >= self.cut_after:
            body = body[: self.cut_after - self._sent]
            await self._pass({"type": "http.response.body", "body": body, "more_body": True})
            self._closed = True
            # Closing sends what is buffered and then ends the connection in the middle of the body.
            self._transport().close()
            return
        if self.bytes_per_second:
            step = max(int(self.bytes_per_second / 10), 1)
            for start in range(0, len(body), step):
                piece = body[start : start + step]
                await self._pass({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(len(piece) / self.bytes_per_second)
            await self._pass({**message, "body": b""})
        else:
            await self._pass(message)

    async def _pass(self, message: Message) -> None:
        size = len(message.get("body", b""))
        self._sent += size
        if not message.get("more_body"):
            self.end()
        if self.download_of and size and self._start is not None and self._start["status"] < 400:
            self.world.count(self.download_of, "bytes", size)
        await self.send(message)

    async def whole(self, status: int, media_type: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a complete answer; a status that has no body goes without."""
        framing = {"content-type": media_type, "content-length": str(len(body))}
        if status in _WITHOUT_BODY:
            framing, body = {}, b""
        all_headers = {**framing, **(headers or {})}
        raw = [(name.encode(), value.encode()) for name, value in all_headers.items()]
        await self({"type": "http.response.start", "status": status, "headers": raw})
        await self({"type": "http.response.body", "body": body})

    async def reset(self) -> None:
        """End the connection with a reset and no answer at all."""
        transport = self._transport()
        self._closed = True
        if transport.is_closing():
            return  # the client has given up
        connection = transport.get_extra_info("socket")
        # Lingering for zero seconds makes the kernel send a reset instead of an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await asyncio.sleep(0.01)  # the server must notice, or it would answer for us

    def _transport(self) -> Any:
        # ASGI has no word for a broken connection; uvicorn's ``send`` belongs to the object that owns it.
        return self.send.__self__.transport  # type: ignore[attr-defined]  # bound to uvicorn's cycle


async def _nowhere(message: Message) -> None:
    """Take an answer that shall not arrive."""
