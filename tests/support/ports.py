# SPDX-License-Identifier: Apache-2.0
"""Free ports for the servers of the tests."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port that nobody listens on, low enough that 10000 can be added to it, as some servers do."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port + 10000 < 65536:
            return port
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port - 20000))
            except OSError:
                continue
            return port - 20000
