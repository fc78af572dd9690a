# SPDX-License-Identifier: Apache-2.0
"""A wait in the worker, whose thread it holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.waiting.outcome import describe_failure
from airflow_video_providers.waiting.schedule import Pace
from airflow_video_providers.waiting.wait import Limits, Wait

if TYPE_CHECKING:
    from airflow_video_providers.hooks.base import VideoHook


def poll(hook: VideoHook, wait: Wait, *, log: Any) -> Wait:
    """Poll the vendor once and return the wait after it; the log tells what moved or failed. Never raises."""
    try:
        job = hook.get_job(wait.job.job_id)
    except Exception as error:
        after = wait.missed(error, time.time(), find_wait=hook.find_wait)
        if after.end is None:
            log.warning("%s; polling again in %.0f s", describe_failure(error), after.due - time.time())
        return after
    after = wait.saw(job, time.time())
    if after.has_moved(wait):
        log.info("%s", after.describe())
    return after


def sleep_until_due(wait: Wait) -> None:
    """Hold the thread until the next poll is due."""
    time.sleep(max(0.0, wait.due - time.time()))


def wait_for_job(
    hook: VideoHook,
    job: VideoJob,
    limits: Limits,
    *,
    log: Any,
    on_poll: Callable[[VideoJob], None] | None = None,
    on_move: Callable[[VideoJob], None] | None = None,
) -> VideoJob:
    """
    Wait in this thread until a job has ended, well or badly.

    :param job: as last polled; returned at once when it has ended.
    :param on_poll: called after each poll that showed the job.
    :param on_move: called when the job has moved and goes on, after the log has told so.
    :return: the job in its terminal state; ``outcome.raise_unless_succeeded`` tells how it ended. A job that was there
        and is not found any more is returned as cancelled.
    :raises VideoJobTimeoutError: the deadline passed. The job is left alone.
    :raises VideoPollingError: too many polls failed in a row. The job is left alone.
    :raises VideoConfigurationError: the connection cannot work as it is. The job is left alone.
    """
    wait = Wait.begin(job, Pace.begin(job, time.time()), limits)
    while wait.end is None:
        sleep_until_due(wait)
        before, wait = wait, poll(hook, wait, log=log)
        if on_poll and not wait.failures:
            on_poll(wait.job)
        if on_move and wait.end is None and wait.has_moved(before):
            on_move(wait.job)
    return wait.result()
