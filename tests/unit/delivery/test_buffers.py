# SPDX-License-Identifier: Apache-2.0
"""One budget for all transfers."""

from __future__ import annotations

import threading

from airflow_video_providers.delivery.buffers import PART_BYTES, BufferPool, shared_pool


def test_the_budget_holds_and_a_return_wakes_who_waits() -> None:
    pool = BufferPool(2 * PART_BYTES)
    first, second = pool.take(PART_BYTES), pool.take(PART_BYTES)
    assert first is not None
    assert second is not None
    assert pool.take(PART_BYTES, wait=False) is None
    got: list[bytearray | None] = []
    waiting = threading.Thread(target=lambda: got.append(pool.take(PART_BYTES)))
    waiting.start()
    assert got == []
    pool.give(first)
    waiting.join(5)
    assert got[0] is first, "its pages are used again"
    assert pool.lent == 2 * PART_BYTES


def test_one_buffer_is_lent_also_above_the_budget() -> None:
    pool = BufferPool(10)
    assert len(pool.take(100) or b"") == 100
    assert pool.take(1, wait=False) is None


def test_memory_that_may_still_be_written_is_not_lent_again() -> None:
    pool = BufferPool(4 * PART_BYTES)
    kept, lost = pool.take(PART_BYTES), pool.take(PART_BYTES)
    assert kept is not None
    assert lost is not None
    pool.give(lost, reuse=False)
    assert pool.take(PART_BYTES) is not lost


def test_an_idle_pool_keeps_nothing() -> None:
    pool = BufferPool(4 * PART_BYTES)
    buffers = [pool.take(PART_BYTES) for _ in range(3)]
    for buffer in buffers:
        assert buffer is not None
        pool.give(buffer)
    assert (pool.lent, pool._free) == (0, [])


def test_the_budget_is_set_in_the_configuration(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("AIRFLOW__VIDEO_PROVIDERS__TRANSFER_MEMORY_MB", "64")
    shared_pool.cache_clear()
    assert shared_pool().budget == 64 * 1024 * 1024
    monkeypatch.undo()
    shared_pool.cache_clear()
    assert shared_pool().budget == 256 * 1024 * 1024
