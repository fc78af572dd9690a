# SPDX-License-Identifier: Apache-2.0
"""The test icon works for saved connections of our types without a port, and nothing is written for that."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.core_api.routes.public.connections import _same_endpoint

from airflow_video_providers.get_provider_info import read_vendors
from airflow_video_providers.plugin.unused_port import mend_test_icon

pytestmark = pytest.mark.airflow


@pytest.mark.skipif(_same_endpoint(0, None), reason="this Airflow has the fix of apache/airflow#73298")
def test_a_port_that_is_not_set_reads_as_the_page_sends_it_and_stays_unset(airflow_db):
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import text

    ours = read_vendors()[0]["connection-type"]
    assert mend_test_icon()
    try:
        with create_session() as session:
            for conn_id, conn_type, port in [("a", ours, None), ("b", ours, 8443), ("c", "http", None)]:
                session.add(Connection(conn_id=conn_id, conn_type=conn_type, host="h", port=port))
        with create_session() as session:
            read = {
                conn.conn_id: conn for conn in session.query(Connection).filter(Connection.conn_id.in_(["a", "b", "c"]))
            }
            assert {conn_id: conn.port for conn_id, conn in read.items()} == {"a": 0, "b": 8443, "c": None}
            assert read["a"].get_uri() == Connection(conn_id="a", conn_type=ours, host="h").get_uri()
            read["a"].description = "changed"
        with create_session() as session:
            stored = dict(
                session.execute(text("select conn_id, port from connection where conn_id in ('a', 'b', 'c')")).all()
            )
        assert stored == {"a": None, "b": 8443, "c": None}
    finally:
        with create_session() as session:
            session.query(Connection).filter(Connection.conn_id.in_(["a", "b", "c"])).delete()
