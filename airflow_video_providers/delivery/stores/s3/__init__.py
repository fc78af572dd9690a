# SPDX-License-Identifier: Apache-2.0
"""``s3://conn_id@bucket/key``: Amazon S3 and every store that offers its API."""

from __future__ import annotations

from airflow_video_providers.delivery.stores.base import ObjectStore
from airflow_video_providers.delivery.stores.registry import StoreType


def _open(bucket: str, conn_id: str | None) -> ObjectStore:
    from airflow_video_providers.delivery.stores.s3.client import client_of
    from airflow_video_providers.delivery.stores.s3.store import S3Store

    return S3Store(bucket, client_of(conn_id))


STORE = StoreType(schemes=("s3", "s3a"), open=_open, extra="s3")
