# SPDX-License-Identifier: Apache-2.0
"""How a session reaches the network, for calls and files alike."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy

import requests

from airflow_video_providers.api.guard import GuardedAdapter
from airflow_video_providers.api.links import LinkPolicy


def prepare_session(
    session: requests.Session, *, hosts: int, connections: int, whole: bool = False, links: LinkPolicy | None = None
) -> GuardedAdapter:
    """
    Set up a session and return its adapter: bounded connections, no .netrc, no cookies, no tries of its own.

    :param hosts: for how many hosts connections are kept. :param connections: how many for each.
    :param whole: the total time of a response bounds its body too; False: its headers only.
    :param links: where links may lead; None: anywhere.
    """
    # Credentials come from the connection alone, never a .netrc. Proxies and CA bundles are given with each request.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = GuardedAdapter(whole=whole, links=links, pool_connections=hosts, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return adapter
