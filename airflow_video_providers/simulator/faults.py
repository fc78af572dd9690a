# SPDX-License-Identifier: Apache-2.0
"""Faults on demand, and the gate that every request passes: it counts, injects and keeps."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_video_providers.simulator.world import World

    Classify = Callable[[str, str], tuple[str, tuple[str, ...]] | None]
    ErrorAnswer = Callable[[str, int, str], tuple[str, bytes]]

EXPIRED_LINKS: ContextVar[bool] = ContextVar("expired_links", default=False)
"""Set while a request is answered whose links shall be expired from the start."""

HTML_PAGE = b"<!DOCTYPE html><html><head><title>Please wait</title></head><body>Checking your browser</body></html>"
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


@dataclass
class Fault:
    """One fault: where it strikes, how often, and what it does (``effect``)."""

    vendor: str
    operation: str
    effect: dict[str, Any]
    times: int | None = 1
    after: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(4))

    def strikes(self, vendor: str, operations: tuple[str, ...]) -> bool:
        """Whether this fault hits this request; counts down ``after`` and ``times``."""
        if self.vendor not in ("*", vendor) or not (self.operation == "*" or self.operation in operations):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class Gate:
    """The outermost ASGI layer."""

    def __init__(self, app: ASGIApp, world: World, classify: Classify, error_answer: ErrorAnswer) -> None:
        self.app, self.world, self.classify, self.error_answer = app, world, classify, error_answer
        self.in_flight: Counter[tuple[str, str]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through, or let a fault have it."""
        found = self.classify(scope["method"], scope["path"]) if scope["type"] == "http" else None
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
            effect = self._effect(vendor, operations)
            if effect is None:
                await self.app(scope, receive, answer)
            else:
                await self._strike(effect, vendor, scope, receive, answer)
        finally:
            answer.end()
            self.world.flush()

    def _leave(self, vendor: str, peak: str) -> None:
        self.in_flight[vendor, peak] -= 1

    def _effect(self, vendor: str, operations: tuple[str, ...]) -> Mapping[str, Any] | None:
        for fault in list(self.world.faults.values()):
            if fault.strikes(vendor, operations):
                if fault.times is not None and fault.times <= 0:
                    del self.world.faults[fault.id]
                self.world.count(vendor, "faults")
                self.world.save_faults()
                return fault.effect
        if self.world.faults:
            self.world.save_faults()
        return None

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
        message = str(effect.get("message", "A fault of the simulator"))
        media_type, body = self.error_answer("" if answer.download_of else vendor, status, message)
        headers = {"retry-after": str(effect["retry_after"])} if "retry_after" in effect else {}
        await answer.whole(status, media_type, body, headers)


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
        """Send a complete answer."""
        all_headers = {"content-type": media_type, "content-length": str(len(body)), **(headers or {})}
        raw = [(name.encode(), value.encode()) for name, value in all_headers.items()]
        await self({"type": "http.response.start", "status": status, "headers": raw})
        await self({"type": "http.response.body", "body": body})

    async def reset(self) -> None:
        """End the connection with a reset and no answer at all."""
        transport = self._transport()
        connection = transport.get_extra_info("socket")
        # Lingering for zero seconds makes the kernel send a reset instead of an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._closed = True
        transport.abort()
        await asyncio.sleep(0.01)  # the server must notice, or it would answer for us

    def _transport(self) -> Any:
        # ASGI has no word for a broken connection; uvicorn's ``send`` belongs to the object that owns it.
        return self.send.__self__.transport  # type: ignore[attr-defined]  # bound to uvicorn's cycle


async def _nowhere(message: Message) -> None:
    """Take an answer that shall not arrive."""
