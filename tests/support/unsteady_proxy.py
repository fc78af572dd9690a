# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy in front of a real server that breaks connections on request."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

_RESET = struct.pack("ii", 1, 0)


class UnsteadyProxy:
    """
    Forwards to a local port.

    ``resets``: how many connections are still to be reset, each after ``after`` bytes from the client; with ``answers``
    after as many bytes from the server instead.
    """

    def __init__(self, port: int) -> None:
        self.resets = 0
        self.after = 0
        self.answers = False
        self.broken = 0
        self._target = port
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        seen = 0
        with suppress(OSError):
            while data := source.recv(64 * 1024):
                seen += len(data)
                with self._lock:
                    reset = self.resets > 0 and self.answers == answers and seen > self.after
                    if reset:
                        self.resets -= 1
                        self.broken += 1
                if reset:
                    for end in (source, target):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        end.shutdown(socket.SHUT_RDWR)
                        end.close()
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
