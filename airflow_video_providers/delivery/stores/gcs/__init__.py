# SPDX-License-Identifier: Apache-2.0
"""``gs://conn_id@bucket/key``: Google Cloud Storage."""

from __future__ import annotations

from airflow_video_providers.delivery.stores.base import ObjectStore
from airflow_video_providers.delivery.stores.registry import StoreType


def _open(bucket: str, conn_id: str | None) -> ObjectStore:
    from airflow_video_providers.delivery.stores.gcs.store import GcsStore

    return GcsStore(bucket, conn_id)


STORE = StoreType(schemes=("gs", "gcs"), open=_open, extra="gcs")
