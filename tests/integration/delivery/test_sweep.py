# SPDX-License-Identifier: Apache-2.0
"""Unfinished uploads that nobody remembers are swept when they are too old, in few requests for many files."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.delivery.stores.s3 import store as s3_store
from tests.support.s3 import S3Server

pytestmark = pytest.mark.s3


@pytest.mark.parametrize("page", [1000, 1])
def test_a_folder_is_listed_once_unless_it_holds_too_many_uploads(
    page: int, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_S3_TEST", s3.connection_env()["AIRFLOW_CONN_S3_TEST"])
    store = open_store(parse_location(f"s3://s3_test@{s3.bucket}/x"))
    assert isinstance(store, s3_store.S3Store)
    calls: Counter[str] = Counter()
    client = store.bucket.client
    events = client.meta.events
    events.register("provide-client-params.s3.ListMultipartUploads", lambda params, **_: {**params, "MaxUploads": page})
    events.register("before-call.s3.ListMultipartUploads", lambda **_: calls.update(["list"]))

    def begin(key: str) -> str:
        started: dict[str, Any] = s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
        return str(started["UploadId"])

    uploads = {key: begin(key) for key in ("v/1.mp4", "v/2.mp4", "v/3.mp4", "w/1.mp4", "top.mp4")}
    longer = begin("v/1.mp4.other")
    assert store.sweep("v/1.mp4", []) == []
    assert len(s3.uploads()) == 6, "an upload of another task was swept"
    monkeypatch.setattr(s3_store, "STALE_AFTER_SECONDS", -3600)
    store = s3_store.S3Store(s3.bucket, lambda _: client)
    calls.clear()
    for key in ("v/1.mp4", "v/2.mp4", "v/3.mp4", "w/1.mp4", "v/1.mp4"):
        assert store.sweep(key, []) == []
        assert uploads[key] not in s3.uploads()
    assert sorted(s3.uploads()) == sorted([uploads["top.mp4"], longer])
    assert store.sweep("top.mp4", [uploads["top.mp4"]]) == []
    assert s3.uploads() == [longer]
    assert calls["list"] == 3 if page == 1000 else calls["list"] > 6
