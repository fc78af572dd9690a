# SPDX-License-Identifier: Apache-2.0
"""Oxolo's files by the transfer operators on the simulator."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_video_providers.exceptions import SourceError
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from tests.support.s3 import S3Server
from tests.support.simulator import Simulator


@pytest.mark.s3
def test_source_media_goes_to_the_vendor(
    video_connections: Simulator, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in s3.connection_env().items():
        monkeypatch.setenv(variable, value)
    body = b"\xff\xd8\xff\xe0" + bytes(3_000_000) + b"\xff\xd9"
    s3.client.put_object(Bucket=s3.bucket, Key="sources/in.jpg", Body=body)
    arguments: dict[str, Any] = {"task_id": "upload", "conn_id": "oxolo_default", "options": None}
    media_id = ObjectStorageToVideoOperator(
        source=f"s3://s3_test@{s3.bucket}/sources/in.jpg", name=None, **arguments
    ).execute({})  # type: ignore[typeddict-item]
    assert media_id
    (upload,) = video_connections.uploads()["oxolo"]
    assert upload["size"] == len(body), upload
    with pytest.raises(SourceError, match="no object"):
        ObjectStorageToVideoOperator(source=f"s3://s3_test@{s3.bucket}/none", **arguments).execute({})  # type: ignore[typeddict-item]
