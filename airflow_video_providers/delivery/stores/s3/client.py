# SPDX-License-Identifier: Apache-2.0
"""
The boto3 client of an Airflow connection.

Each transfer has a client of its own. What botocore reads from its data files for one, which takes much of the time and
memory of making a client, serves all of a process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.config import Config

from airflow_video_providers.delivery.stores.base import reading_connection

_LOADER = "data_loader"
_shared: list[Any] = []


def client_of(conn_id: str | None) -> Callable[[Config], Any]:
    """
    Return what makes a client, given the settings that transfers want; those of the connection override them.

    It must be called by one thread at a time, as :class:`.bucket.Bucket` does.

    :param conn_id: the connection, read by the ``S3Hook``; None: boto3's own credentials.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    class SharingHook(S3Hook):
        def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
            session = super().get_session(region_name, deferrable)
            core = session._session  # boto3 gives its botocore session out in no other way
            if not _shared:
                _shared.append(core.get_component(_LOADER))
            core.register_component(_LOADER, _shared[0])
            return session

    hook = SharingHook(aws_conn_id=conn_id)

    def make_client(ours: Config) -> Any:
        with reading_connection(conn_id):
            return hook.get_client_type(region_name=hook.region_name, config=ours.merge(hook.config))

    return make_client
