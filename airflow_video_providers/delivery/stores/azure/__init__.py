# SPDX-License-Identifier: Apache-2.0
"""``abfs://conn_id@container/key``: Azure Blob Storage."""

from __future__ import annotations

from airflow_video_providers.delivery.stores.base import ObjectStore
from airflow_video_providers.delivery.stores.registry import StoreType

_LONGEST_NAME = 1024


def _open(container: str, conn_id: str | None) -> ObjectStore:
    from airflow_video_providers.delivery.stores.azure.store import AzureStore

    return AzureStore(container, conn_id)


def _key_problem(key: str) -> str | None:
    return f"the name is too long: {len(key)} characters, at most {_LONGEST_NAME}" if len(key) > _LONGEST_NAME else None


STORE = StoreType(schemes=("abfs", "abfss"), open=_open, extra="azure", key_problem=_key_problem)
