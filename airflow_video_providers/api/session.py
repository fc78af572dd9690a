# SPDX-License-Identifier: Apache-2.0
"""How a connection reaches the network, for calls and files alike: timeouts, proxy, TLS."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests

from airflow_video_providers.api.guard import GuardedAdapter
from airflow_video_providers.exceptions import VideoConfigurationError


@dataclass(frozen=True)
class ClientSettings:
    """
    How a connection talks to its vendor; read from the connection's extras of the same names.

    :param connect_timeout: seconds to wait for the connection (default 10).
    :param read_timeout: seconds to wait for each part of a response, and for the headers of a download (default 60);
        the whole response of a call may take three times as long.
    :param retry_deadline: seconds over which a repeatable call is tried again in all (default 120).
    :param proxy: URL of a proxy for http and https, or None for the environment's.
    :param verify: True (the environment's ``REQUESTS_CA_BUNDLE`` counts), False, or the path of a CA bundle.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    retry_deadline: float = 120.0
    proxy: str | None = field(default=None, repr=False)  # its password is in it
    verify: bool | str = True

    def for_request(self, url: str) -> dict[str, Any]:
        """
        Return what ``requests`` needs to know to fetch this URL: ``timeout``, ``verify`` and ``proxies``.

        :raises VideoConfigurationError: the CA bundle does not exist.
        """
        verify: bool | str = self.verify
        if verify is True:
            verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        if isinstance(verify, str) and url.startswith("https:") and not os.path.exists(verify):
            raise VideoConfigurationError(
                f"The CA bundle {verify!r} does not exist on this machine. Correct the connection's extra 'ca_bundle', "
                "or REQUESTS_CA_BUNDLE in the environment."
            )
        return {
            "timeout": (self.connect_timeout, self.read_timeout),
            "verify": verify,
            "proxies": (
                {"http": self.proxy, "https": self.proxy} if self.proxy else requests.utils.get_environ_proxies(url)
            ),
        }


def prepare_session(session: requests.Session, *, hosts: int, connections: int, whole: bool = False) -> GuardedAdapter:
    """
    Set up a session and return its adapter: bounded connections, no .netrc, no cookies, no tries of its own.

    :param hosts: for how many hosts connections are kept. :param connections: how many for each.
    :param whole: the total time of a response bounds its body too; False: its headers only.
    """
    # Credentials come from the connection alone, never a .netrc. Proxies and CA bundles are given with each request.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = GuardedAdapter(whole=whole, pool_connections=hosts, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return adapter
