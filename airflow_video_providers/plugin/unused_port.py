# SPDX-License-Identifier: Apache-2.0
"""
Let the test icon of the connections page work for connections without a port.

Airflow 3.3.2's page sends 0 for a port that is not set, and its API server takes that for another port than the stored
one and refuses the test (apache/airflow#73298, fixed after that release). While such an Airflow reads a connection of
this provider's types whose port is not set, the port is 0 in memory: nothing is written to the database, a connection's
URI is the same, and no client uses it. Elsewhere this does nothing.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def mend_test_icon() -> bool:
    """Make the port of our connections 0 as they are read, where Airflow needs it; return whether it does."""
    try:
        from airflow.api_fastapi.core_api.routes.public.connections import _same_endpoint
    except ImportError:  # an Airflow before or after the ones with the bug
        return False
    if _same_endpoint(0, None):
        return False
    from airflow.models.connection import Connection
    from sqlalchemy import event

    from airflow_video_providers.get_provider_info import read_vendors

    types = frozenset(vendor["connection-type"] for vendor in read_vendors())

    def fill(connection: Any, *_: Any) -> None:
        values = connection.__dict__
        if values.get("conn_type") in types and values.get("port", 0) is None:
            values["port"] = 0  # not an attribute's assignment, which would be written to the database

    for moment in ("load", "refresh"):
        event.listen(Connection, moment, fill)
    return True
