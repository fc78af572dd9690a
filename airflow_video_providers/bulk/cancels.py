# SPDX-License-Identifier: Apache-2.0
"""Cancel many renders at the same time; those that are not shown yet are polled again, after all others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from airflow_video_providers.submission.cancel import LOOK_AGAIN, Cancellation, CancelOutcome

_CANCELS = 16

_Key = TypeVar("_Key")


def cancel_in_rounds(
    calls: Mapping[_Key, Callable[[], Cancellation]], *, seconds: float
) -> Iterator[tuple[_Key, Cancellation | None]]:
    """
    Make all calls, some at a time, and yield what became of each; None: no time was left for it.

    :param calls: each cancels one job, with one poll: a job that is not shown yet must not hold up one that runs.
    :param seconds: after which no more is waited for.
    """
    threads = ThreadPoolExecutor(_CANCELS, thread_name_prefix="cancel")
    until = time.monotonic() + seconds
    left = dict(calls)
    try:
        while left:
            futures = {threads.submit(call): key for key, call in left.items()}
            done, late = wait(futures, max(0.0, until - time.monotonic()))
            ended = {futures[future]: future.result() for future in done}
            again = time.monotonic() + LOOK_AGAIN < until
            left = {key: left[key] for key, end in ended.items() if again and end.outcome is CancelOutcome.NOT_SHOWN}
            yield from ((key, end) for key, end in ended.items() if key not in left)
            yield from ((futures[future], None) for future in late)
            if left:
                time.sleep(LOOK_AGAIN)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
