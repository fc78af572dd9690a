# SPDX-License-Identifier: Apache-2.0
"""``abfs://conn_id@container/key``: Azure Blob Storage."""

from __future__ import annotations

from airflow_video_providers.delivery.stores.base import ObjectStore
from airflow_video_providers.delivery.stores.registry import StoreType


def _open(container: str, conn_id: str | None) -> ObjectStore:
    from airflow_video_providers.delivery.stores.azure.store import AzureStore

    return AzureStore(container, conn_id)


STORE = StoreType(schemes=("abfs", "abfss"), open=_open, extra="azure")
