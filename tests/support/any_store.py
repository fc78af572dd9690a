# SPDX-License-Identifier: Apache-2.0
"""A fresh place in each kind of store, for tests of what all of them must do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.stores.base import ObjectStore
from airflow_video_providers.delivery.stores.registry import open_store

Place = Callable[[str], tuple[ObjectStore, str]]


@pytest.fixture(params=["s3", "gs", "abfs", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a function from the name of an object to the store and the object's key in it."""
    if request.param == "file":
        start = f"file://{tmp_path}/"
    elif request.param == "s3":
        server = request.getfixturevalue("s3")
        for name, value in server.connection_env().items():
            monkeypatch.setenv(name, value)
        start = f"s3://s3_test@{server.bucket}/"
    else:
        bucket = request.getfixturevalue(f"{request.param}_bucket")
        start = bucket.uri("")

    def find(name: str) -> tuple[ObjectStore, str]:
        location = parse_location(f"{start}{name}")
        return open_store(location), location.key

    return find
