# SPDX-License-Identifier: Apache-2.0
"""An Airflow connection that cannot work is named, whatever the client of the store says of it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.delivery.stores.s3.bucket import Bucket
from airflow_video_providers.exceptions import DestinationError, SourceError, VideoConfigurationError

AWS: dict[str, Any] = {"conn_type": "aws", "login": "k", "password": "s"}
GOOGLE: dict[str, Any] = {"conn_type": "google_cloud_platform"}


def use(uri: str, operation: str) -> None:
    """Do something with an object."""
    location = parse_location(uri)
    store = open_store(location)
    if operation == "put":
        store.put(location.key, b"x", ObjectAttributes(), replace=True)
    else:
        getattr(store, operation)(location.key)


@pytest.mark.parametrize("operation", ["head", "put", "open"])
@pytest.mark.parametrize(
    ("scheme", "connection", "problem"),
    [
        ("s3", {**AWS, "extra": {"endpoint_url": "foo"}}, "Invalid endpoint: foo"),
        ("s3", {**AWS, "extra": {"config_kwargs": {"nope": 1}}}, "nope"),
        ("gs", {**GOOGLE, "extra": {"key_path": "/none.json"}}, "none.json"),
        ("gs", None, "isn't defined"),
        ("abfs", {"conn_type": "wasb", "extra": {"connection_string": "SECRET"}}, "malformed"),
        ("abfs", None, "isn't defined"),
    ],
)
def test_a_connection_that_cannot_be_used(
    scheme: str,
    connection: dict[str, Any] | None,
    problem: str,
    operation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(connection))
    with pytest.raises(VideoConfigurationError, match=f"the Airflow connection 'wrong' cannot be used: .*{problem}"):
        use(f"{scheme}://wrong@bucket/v.mp4", operation)


@pytest.mark.parametrize("operation", ["head", "put", "open"])
@pytest.mark.parametrize(
    ("scheme", "connection", "problem"),
    [
        ("s3", {**AWS, "extra": {"profile_name": "nope"}}, r"config profile \(nope\)"),
        ("gs", {**GOOGLE, "extra": {"keyfile_dict": '{"private_key": "SECRET"}'}}, "not in the expected format"),
        ("abfs", {"conn_type": "wasb", "login": "account", "password": "SECRET!"}, "invalid shared key"),
    ],
)
def test_credentials_that_the_client_refuses(
    scheme: str, connection: dict[str, Any], problem: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(connection))
    expected = SourceError if operation == "open" else DestinationError
    with pytest.raises(expected, match=problem) as caught:
        use(f"{scheme}://wrong@bucket/v.mp4", operation)
    assert "SECRET" not in str(caught.value)


def test_s3_clients_are_made_one_at_a_time_and_nobody_else_waits_for_them() -> None:
    making, most = 0, 0
    may_end = threading.Event()

    def make_client(_: Any) -> object:
        nonlocal making, most
        making += 1
        most = max(most, making)
        may_end.wait(30)
        making -= 1
        return object()

    ready = Bucket("ready", lambda _: "its client", 1)
    assert ready.client == "its client"
    with ThreadPoolExecutor(5) as threads:
        buckets = [Bucket(str(number), make_client, 1) for number in range(4)]
        clients = [threads.submit(lambda bucket=bucket: bucket.client) for bucket in buckets]
        while not making:
            time.sleep(0.01)
        asked = threads.submit(lambda: ready.client)
        assert asked.result(timeout=10) == "its client"
        may_end.set()
        assert len({id(client.result(timeout=30)) for client in clients}) == 4
    assert most == 1


def test_what_one_s3_client_has_read_of_botocore_s_files_serves_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps({**AWS, "extra": {"region_name": "us-east-1"}}))
    read: list[str] = []
    load = JSONFileLoader.load_file
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda self, path: read.append(path) or load(self, path))
    stores = [open_store(parse_location(f"s3://store@bucket-{number}/v.mp4")) for number in range(3)]
    clients = {id(store.bucket.client) for store in stores[:1]}  # type: ignore[attr-defined]
    read.clear()
    clients |= {id(store.bucket.client) for store in stores[1:]}  # type: ignore[attr-defined]
    assert len(clients) == 3
    assert [path for path in read if "service-2" in path] == []
