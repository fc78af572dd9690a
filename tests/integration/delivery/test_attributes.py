# SPDX-License-Identifier: Apache-2.0
"""What is set on an object, on a real S3 server, whether it is sent in parts or at once."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_video_providers.delivery.delivery import Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4
from tests.support.s3 import S3Server

pytestmark = pytest.mark.s3


@pytest.mark.parametrize("size", [20_000_000, 1_000_000], ids=["parts", "small"])
@pytest.mark.parametrize(
    ("attributes", "seen"),
    [
        ({}, {"ContentType": "video/mp4", "StorageClass": None, "ServerSideEncryption": None}),
        ({"content_type": "video/x-of-ours"}, {"ContentType": "video/x-of-ours"}),
        ({"storage_class": "STANDARD_IA"}, {"StorageClass": "STANDARD_IA"}),
        ({"encryption": "AES256"}, {"ServerSideEncryption": "AES256"}),
    ],
)
def test_an_object_has_what_was_asked_for(
    attributes: dict[str, str],
    seen: dict[str, Any],
    size: int,
    s3: S3Server,
    faulty_server: FaultyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.connection_env().items():
        monkeypatch.setenv(name, value)
    body = mp4(size)
    faulty_server.add("/video", Resource(body))
    output = VideoOutput(kind="video", url=f"{faulty_server.url}/video", name="a.mp4")
    location = parse_location(f"s3://s3_test@{s3.bucket}/v.mp4")
    options: dict[str, Any] = {"content_type": "", "metadata": {"team": "training"}, **attributes}
    Delivery(
        output,
        vendor="acme",
        job_id="j1",
        location=location,
        store=open_store(location),
        refresh=lambda: output,
        rules=DeliveryRules(attributes=ObjectAttributes(**options)),
        journal=MemoryJournal(),
    ).deliver()
    head = s3.client.head_object(Bucket=s3.bucket, Key="v.mp4")
    assert {name: head.get(name) for name in seen} == seen
    assert (head["Metadata"]["team"], head["Metadata"]["videojobid"]) == ("training", "j1")
    assert s3.body("v.mp4") == body
