# SPDX-License-Identifier: Apache-2.0
"""A gzip body costs no more than it should."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from airflow_video_providers.delivery.source.inflate import Inflater
from airflow_video_providers.delivery.source.signals import BrokenError
from airflow_video_providers.exceptions import ContentCheckError


def unpack(body: bytes, step: int, most: int = 1 << 20) -> bytes:
    """Unpack a body that comes in pieces."""
    inflater, out = Inflater(), bytearray()
    for start in range(0, len(body), step):
        inflater.feed(body[start : start + step])
        while not inflater.is_hungry:
            out += inflater.unpack(most)
    inflater.end()
    return bytes(out)


DATA = random.Random(1).randbytes(100_000) + bytes(100_000)


@pytest.mark.parametrize("step", [1, 777, 1 << 20])
@pytest.mark.parametrize("most", [500, 1 << 20])
def test_members_are_unpacked_one_after_another(step: int, most: int) -> None:
    body = gzip.compress(DATA[:70_000]) + gzip.compress(b"") + gzip.compress(DATA[70_000:])
    assert unpack(body, step, most) == DATA


def test_many_small_members_are_read() -> None:
    body = b"".join(gzip.compress(DATA[start : start + 2000]) for start in range(0, len(DATA), 2000))
    assert unpack(body, 1 << 20) == DATA


def test_members_without_end_are_refused() -> None:
    with pytest.raises(ContentCheckError, match="next to nothing"):
        unpack(gzip.compress(b"") * 50_000, 1 << 20)
    with pytest.raises(ContentCheckError, match="next to nothing"):
        unpack(gzip.compress(b"x") * 50_000, 1 << 20)


def test_a_bomb_is_refused_before_it_has_grown() -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    body = b"".join(packer.compress(block) for _ in range(80)) + packer.flush()
    assert len(body) < 1 << 20
    with pytest.raises(ContentCheckError, match="was not asked for"):
        unpack(body, 1 << 20)


def test_a_cut_and_what_is_no_gzip() -> None:
    with pytest.raises(BrokenError, match="cut"):
        unpack(gzip.compress(DATA)[:-3], 1000)
    with pytest.raises(zlib.error):
        unpack(b"plain", 1000)
