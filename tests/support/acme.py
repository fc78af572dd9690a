# SPDX-License-Identifier: Apache-2.0
"""
A fake server of Acme Films, the vendor of ``docs/hooks.md``, and its control object for the conformance suite.

It stands for what a third party writes: nothing but the standard library and the vendor's documents.
"""

from __future__ import annotations

import json
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "acme-secret-key"
PAGE = 2
MP4 = (
    struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
    + struct.pack(">I4sI4s", 116, b"moov", 108, b"mvhd")
    + bytes(100)
    + struct.pack(">I4s", 5008, b"mdat")
    + bytes(5000)
)


@dataclass
class Film:
    """A film; it is done after ``seconds``, if any, or when it is told to be."""

    id: str
    title: str
    note: str | None
    seconds: float | None
    state: str = "filming"
    gone: bool = False
    created: float = field(default_factory=time.time)

    def shown(self, origin: str) -> dict[str, Any]:
        """Return the film as the API shows it."""
        if self.state == "filming" and self.seconds is not None and time.time() >= self.created + self.seconds:
            self.state = "done"
        about: dict[str, Any] = {"id": self.id, "title": self.title, "note": self.note, "state": self.state}
        about |= {"created": self.created, "percent": 100 if self.state == "done" else 50}
        if self.state == "done":
            about["url"] = f"{origin}/files/{self.id}.mp4?minted={time.time_ns()}"
        if self.state == "broken":
            about["reason"] = "the camera fell over"
        return about


class FakeAcme:
    """Serves the API under ``/v1`` on a free port while it is open."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.films: dict[str, Film] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                status, content = fake.respond(self.command, self.path, self.headers.get("Authorization"), body)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "video/mp4" if isinstance(content, bytes) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> FakeAcme:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def respond(self, method: str, target: str, authorization: str | None, body: bytes) -> tuple[int, Any]:
        """Return status and content for one request."""
        url = urlsplit(target)
        path = url.path.removeprefix("/v1")
        if method == "GET" and path.startswith("/files/"):
            return (400, {"message": "send no key here"}) if authorization else (200, MP4)
        if authorization != f"Bearer {KEY}":
            return 401, {"message": "this is not a key of ours"}
        if (method, path) == ("GET", "/account"):
            return 200, {"plan": "free"}
        if (method, path) == ("POST", "/films"):
            return self._create(json.loads(body))
        films = [film for film in self.films.values() if not film.gone]
        if (method, path) == ("GET", "/films"):
            start = int(parse_qs(url.query).get("after", ["0"])[0])
            more = str(start + PAGE) if start + PAGE < len(films) else None
            return 200, {"films": [film.shown(self.origin) for film in films[start : start + PAGE]], "next": more}
        for film in films:
            if path == f"/films/{film.id}":
                if method == "DELETE":
                    film.gone, film.state = film.state == "done", "stopped"
                return 200, film.shown(self.origin)
        return 404, {"message": "no such film"}

    def _create(self, request: Any) -> tuple[int, Any]:
        if not isinstance(request, dict) or not request.get("title"):
            return 400, {"message": "a film needs a title"}
        film = Film(f"f{len(self.films) + 1:03}", request["title"], request.get("note"), self.seconds)
        self.films[film.id] = film
        return 201, film.shown(self.origin)

    # ------------------------------------------------------------------ the control object of the conformance suite

    def connection(self) -> dict[str, Any]:
        """Return the connection to this server."""
        return {"conn_type": "acme", "host": f"{self.origin}/v1", "password": KEY}

    def request(self, text: str) -> dict[str, Any]:
        """Return a request that is accepted."""
        return {"title": text, "script": "Once upon a time"}

    def job_ids(self) -> list[str]:
        """Return the ids of all films."""
        return list(self.films)

    def finish(self, job_id: str) -> None:
        """End a film well."""
        self.films[job_id].state = "done"

    def fail(self, job_id: str) -> None:
        """End a film with a failure."""
        self.films[job_id].state = "broken"

    def forget(self, job_id: str) -> None:
        """Remove a film."""
        self.films[job_id].gone = True
