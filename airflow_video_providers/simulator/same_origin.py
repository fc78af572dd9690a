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
    _check_host(request)
    if _is_of_another_page(request):
        raise HTTPException(403, "The control API takes no requests of other sites' pages")


def check_page(request: Request) -> None:
    """
    Refuse what :func:`check_same_origin` refuses, save a link that the user follows: Airflow's UI leads here.

    The browser then shows the page in a tab of its own, where the page with the link cannot read it.
    """
    _check_host(request)
    is_link = (
        request.headers.get("sec-fetch-mode") == "navigate" and request.headers.get("sec-fetch-dest") == "document"
    )
    if _is_of_another_page(request) and not is_link:
        raise HTTPException(403, "The pages are shown to no other site's page")


def _check_host(request: Request) -> None:
    if not OWN_HOST.fullmatch(request.headers.get("host", "")):
        raise HTTPException(403, "Reach the simulator as 127.0.0.1 or localhost")


def _is_of_another_page(request: Request) -> bool:
    own = f"http://{request.headers.get('host', '')}"
    site = request.headers.get("sec-fetch-site", "none")
    return request.headers.get("origin") not in (None, own) or site not in ("none", "same-origin")
