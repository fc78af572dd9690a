# SPDX-License-Identifier: Apache-2.0
"""A store is found by the scheme of its URIs: a module in the folder, or an entry point of another distribution."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_video_providers.delivery import stores
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.stores import registry
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.delivery.stores.registry import find_store_type, known_schemes, open_store
from airflow_video_providers.exceptions import VideoConfigurationError

STORE = """
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.delivery.stores.registry import StoreType

class OurStore(LocalStore):
    def __init__(self, bucket, conn_id):
        self.opened_with = bucket, conn_id

STORE = StoreType(schemes=("ours", "theirs"), open=OurStore)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder on ``sys.path``, and forget afterwards what was found in it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._own_types.cache_clear()
    find_store_type.cache_clear()
    yield tmp_path
    registry._own_types.cache_clear()
    find_store_type.cache_clear()
    for name in [name for name in sys.modules if name.rpartition(".")[2] == "our_store"]:
        del sys.modules[name]


def test_the_stores_of_this_distribution() -> None:
    assert known_schemes() == ["abfs", "file", "gs", "s3"]
    assert {find_store_type(name) for name in ("gs", "gcs")} == {find_store_type("gs")}
    assert isinstance(open_store(parse_location("file:///a.mp4")), LocalStore)
    assert find_store_type("ftp") is None


@pytest.mark.parametrize(
    ("scheme", "package", "extra"),
    [("s3", "botocore", "s3"), ("gs", "google.cloud", "gcs"), ("abfs", "azure", "azure")],
)
def test_a_client_that_is_not_installed(scheme: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith((package, f"{stores.__name__}.{extra}.store"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    location = parse_location(f"{scheme}://bucket/a.mp4")
    with pytest.raises(VideoConfigurationError, match=rf"not installed \({package}.*pip install .*\[{extra}\]'"):
        open_store(location)


def test_a_new_module_is_a_new_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "our_store.py").write_text(STORE)
    monkeypatch.setattr(stores, "__path__", [*stores.__path__, str(folder)])
    location = parse_location("theirs://conn@bucket/a.mp4")
    assert location.uri == "ours://bucket/a.mp4"
    assert open_store(location).opened_with == ("bucket", "conn")  # type: ignore[attr-defined]  # of the store above


def test_another_distribution_adds_a_store(folder: Path) -> None:
    (folder / "our_store.py").write_text(STORE)
    metadata = folder / "our_store-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: our-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[airflow_video_providers.stores]\nours = our_store:STORE\nbroken = our_store:NONE\n"
    )
    assert {"ours", "s3"} < set(known_schemes())
    location = parse_location("ours://conn@bucket/a.mp4")
    assert open_store(location).opened_with == ("bucket", "conn")  # type: ignore[attr-defined]  # of the store above
    with pytest.raises(VideoConfigurationError, match=r"broken:// \(our_store:NONE\) is broken"):
        parse_location("broken://bucket/a.mp4")
