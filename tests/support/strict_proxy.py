# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy in front of a real store, which adds what other stores do: it refuses requests and edits responses."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_HOP = {"connection", "content-length", "expect", "transfer-encoding"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent: clients leave in the middle of a response."""


class StrictProxy:
    """
    Forwards requests unchanged, so that their signatures hold.

    :param refuse: given method, path and headers (names in lower case), returns status, code and message of a
        refusal in S3's words, or None to forward the request.
    :param edit: given method, path and response body, returns the body to send.
    :param hide: given method and path, returns the name of a response header that is not passed on.
    :param swallow: answer every request but HEAD (404) with an empty 200 instead of forwarding it.
    """

    def __init__(
        self,
        port: int,
        refuse: Callable[[str, str, Mapping[str, str]], tuple[int, str, str] | None] = lambda *_: None,
        edit: Callable[[str, str, bytes], bytes] = lambda method, path, body: body,
        hide: Callable[[str, str], str] = lambda method, path: "",
        swallow: bool = False,
    ) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.refused = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                owner.requests.append((self.command, self.path, headers))
                if swallow:
                    self.answer(404 if self.command == "HEAD" else 200, {}, b"")
                    return
                refusal = refuse(self.command, self.path, headers)
                if refusal is not None:
                    owner.refused += 1
                    status, code, message = refusal
                    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
                    self.answer(status, {"Content-Type": "application/xml"}, text)
                    return
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _HOP - {"content-length"}:
                        upstream.putheader(name, value)
                upstream.endheaders(body or None)
                response = upstream.getresponse()
                answer = edit(self.command, self.path, response.read())
                kept = {
                    name: value
                    for name, value in response.getheaders()
                    if name.lower() not in _HOP and name.lower() != hide(self.command, self.path).lower()
                }
                if self.command == "HEAD":
                    kept["Content-Length"] = response.getheader("Content-Length") or "0"
                self.answer(response.status, kept, answer)
                upstream.close()

            def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def bodies(self) -> list[dict[str, str]]:
        """Return the headers of the requests that carried an object or a part."""
        return [headers for method, _, headers in self.requests if method == "PUT"]

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
