# SPDX-License-Identifier: Apache-2.0
"""Keeps other web sites' pages, which a browser on this machine may show, out of the control API and the pages."""

from __future__ import annotations

import re

from fastapi import HTTPException, Request

OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


def check_same_origin(request: Request) -> None:
    """
    Refuse a request that another site's page may have made.

    Such a page can have its own name resolved to 127.0.0.1 (the ``Host`` tells), or send a form across origins
    (``Origin`` and ``Sec-Fetch-Site`` tell).
    """
    host = request.headers.get("host", "")
    if not OWN_HOST.fullmatch(host):
        raise HTTPException(403, "Reach the simulator as 127.0.0.1 or localhost")
    origin = request.headers.get("origin")
    if origin not in (None, f"http://{host}") or request.headers.get("sec-fetch-site", "none") not in (
        "none",
        "same-origin",
    ):
        raise HTTPException(403, "The control API takes no requests of other sites' pages")
