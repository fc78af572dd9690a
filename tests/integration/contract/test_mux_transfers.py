# SPDX-License-Identifier: Apache-2.0
"""Source media for Mux by the transfer operator on the simulator, which keeps the media type that a file came with."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from tests.support.media import mp4
from tests.support.s3 import S3Server
from tests.support.simulator import Simulator


@pytest.mark.s3
@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("video/mp4; codecs=avc1", "video/mp4"),
        ("Video/X-M4V", "video/x-m4v"),
        ("video/quicktime, variant=(string)iso", "video/mp4"),
        ("Application/Octet-Stream", "video/mp4"),
        ("application/x-www-form-urlencoded; charset=utf-8", "video/mp4"),
        ("text/html", "video/mp4"),
        ("mp4", "video/mp4"),
    ],
)
def test_source_media_is_sent_with_the_media_type_of_its_bytes(
    said: str, sent: str, video_connections: Simulator, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in s3.connection_env().items():
        monkeypatch.setenv(variable, value)
    body = mp4(20_000)
    s3.client.put_object(Bucket=s3.bucket, Key="raw/v", Body=body, ContentType=said)
    arguments: dict[str, Any] = {"source": f"s3://s3_test@{s3.bucket}/raw/v", "conn_id": "mux_default"}
    ObjectStorageToVideoOperator(task_id="upload", **arguments).execute({})  # type: ignore[typeddict-item]
    (upload,) = video_connections.uploads()["mux"]
    assert (upload["mime_type"], upload["md5"]) == (sent, hashlib.md5(body).hexdigest())
