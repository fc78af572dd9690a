# SPDX-License-Identifier: Apache-2.0
"""The CA certificates of a session's connections where no bundle is named: the environment's, else certifi's."""

from __future__ import annotations

import os
from typing import Any

from requests.adapters import HTTPAdapter


class DefaultCertificatesAdapter(HTTPAdapter):
    """
    A transport adapter that honours ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` as Python does, where ``verify`` is true.

    requests knows one file or one folder; Python takes both, and a list of folders. Its defaults are what urllib3 loads
    into each connection that is given no certificates, so none are given where one of the variables names something.
    """

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Return what tells connections apart; a context that requests has filled with certifi's is left out."""
        host, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is True and _names_certificates():
            tls.pop("ssl_context", None)  # of requests before 2.32.5
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Set what a server's certificate is checked against."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # types-requests leaves the types out
        if verify is True and _names_certificates():
            conn.ca_certs = None


def _names_certificates() -> bool:
    """Return whether the environment names certificates in Python's own variables; one that is not there names none."""
    folders = os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)
    return os.path.isfile(os.environ.get("SSL_CERT_FILE", "")) or any(map(os.path.isdir, folders))
