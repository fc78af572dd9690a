# SPDX-License-Identifier: Apache-2.0
"""How large an object and its parts may be."""

from __future__ import annotations

import pytest

from airflow_video_providers.delivery.buffers import PART_BYTES
from airflow_video_providers.delivery.stores.azure.store import AzureStore
from airflow_video_providers.delivery.stores.base import Limits, RefusedError, clean
from airflow_video_providers.delivery.stores.gcs.store import GcsStore
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.delivery.stores.s3.store import S3Store

GIB = 1024**3


@pytest.mark.parametrize(
    ("limits", "size", "part"),
    [
        (S3Store.limits, None, PART_BYTES),
        (S3Store.limits, 0, PART_BYTES),
        (S3Store.limits, 10_000 * PART_BYTES, PART_BYTES),
        (S3Store.limits, 10_000 * PART_BYTES + 1, 2 * PART_BYTES),
        (S3Store.limits, 200 * GIB, 4 * PART_BYTES),
        (S3Store.limits, 50_000 * GIB, 5 * GIB),
        (AzureStore.limits, 50_000 * PART_BYTES, PART_BYTES),
        (AzureStore.limits, 50_000 * PART_BYTES + 1, 2 * PART_BYTES),
        (AzureStore.limits, 190 * 1024 * GIB, 4000 * 1024**2),
        (GcsStore.limits, 5 * 1024 * GIB, PART_BYTES),
        (LocalStore.limits, 10**18, PART_BYTES),
    ],
)
def test_parts_grow_with_the_file_so_that_there_are_few_enough(limits: Limits, size: int | None, part: int) -> None:
    assert limits.part_size(size) == part
    assert part * limits.parts >= (size or 0)


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        (S3Store.limits, 50_000 * GIB + 1),
        (AzureStore.limits, 50_000 * 4000 * 1024**2 + 1),
        (GcsStore.limits, 5 * 1024 * GIB + 1),
    ],
)
def test_a_larger_file_is_refused(limits: Limits, size: int) -> None:
    with pytest.raises(RefusedError, match=f"too large for this store: {size} bytes, at most {size - 1}"):
        limits.part_size(size)


def test_a_file_of_unknown_size_that_needs_too_many_parts_is_refused() -> None:
    S3Store.limits.check_part(9_999)
    with pytest.raises(RefusedError, match=r"does not say its size.*at most 10000 of them"):
        S3Store.limits.check_part(10_000)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Access\n  Denied ", "Access Denied"),
        ("a\x1b[31mb\u202ec", "a[31mbc"),
        ("x" * 501, "x" * 499 + "…"),
        (ValueError("why"), "why"),
        ("Max retries: /c/v.mp4?sv=2&sig=SECRET (Caused by X)", "Max retries: /c/v.mp4?… (Caused by X)"),
        ('no endpoint "https://h/upload?upload_id=SECRET"', 'no endpoint "https://h/upload?…"'),
        ("Really? Yes", "Really? Yes"),
    ],
)
def test_a_store_says_one_short_line(text: object, line: str) -> None:
    assert clean(text) == line
