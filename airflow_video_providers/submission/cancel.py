# SPDX-License-Identifier: Apache-2.0
"""
The one policy for ending a paid job whose task is gone.

| why the task ends | what is done with a job that still runs |
|---|---|
| a user kills it: mark failed, mark success, clear | cancelled, where ``cancel_on_kill`` |
| cleared, or its request changed: a new render follows | cancelled before the new one, where ``cancel_on_kill`` |
| its own timeout, the deferral timeout of Airflow | cancelled, where ``cancel_on_timeout``; no retry submits another |
| the vendor names a cost above ``max_cost`` when it accepts the request | cancelled; no retry submits another |
| ``execution_timeout``, polling given up, trigger crashed; no try is left | cancelled, where ``cancel_on_timeout`` |
| the same, and a try is left | left alone: the next try adopts it |
| the worker is stopped or dies, and Airflow wants the task to go on | left alone: the next try adopts it |

A job that has ended is never touched: on some systems deleting it deletes its files. A job that is not found is gone
only once its vendor must show it: a new job may be shown late, and runs all the same.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING

from airflow_video_providers.exceptions import VideoApiNotFoundError, VideoConfigurationError, VideoProviderError

if TYPE_CHECKING:
    from airflow_video_providers.hooks.base import VideoHook
    from airflow_video_providers.jobs import VideoJob

log = logging.getLogger(__name__)

LOOK_AGAIN = 2.0
"""Seconds between two polls of a job that its vendor may not show yet."""


class Cause(str, Enum):
    """Why a task ends without its job."""

    KILLED = "the task was killed"
    SUPERSEDED = "a new render takes its place"
    TIMED_OUT = "the time for the render is over"
    GIVEN_UP = "the wait was given up"
    TOO_DEAR = "it would cost more than max_cost"


@dataclass(frozen=True)
class CancelPolicy:
    """
    Which causes end the job.

    :param on_kill: cancel when a user ended the task or asked for a new render.
    :param on_timeout: cancel when the task has no more time, or gives the wait up for good.
    """

    on_kill: bool = True
    on_timeout: bool = True

    def applies(self, cause: Cause, *, last_try: bool = True) -> bool:
        """Tell whether the job is to be cancelled; a wait that the next try takes up again is not given up for good."""
        if cause in (Cause.KILLED, Cause.SUPERSEDED):
            return self.on_kill
        return self.on_timeout and (cause is Cause.TIMED_OUT or last_try)


class CancelOutcome(str, Enum):
    """What became of a request to cancel."""

    CANCELLED = "cancelled"
    FINISHED = "finished"
    GONE = "gone"
    NOT_SHOWN = "not shown yet"
    NOT_POSSIBLE = "not possible"
    FAILED = "failed"
    LEFT = "left alone"


@dataclass(frozen=True)
class Cancellation:
    """
    What became of a request to cancel.

    :param text: a sentence that names the job and, where a user must act, its page.
    :param error: why it failed or is not possible.
    :param job: as it was seen before it was cancelled; None where it was not polled.
    """

    outcome: CancelOutcome
    text: str
    error: VideoProviderError | None = None
    job: VideoJob | None = None


def must_be_shown_by(created_at: datetime | None, find_wait: float) -> datetime:
    """
    Return until when a vendor may not show a job, by the time that the vendor says it was created.

    A time that is not known, or yet to come by our clock, counts as now.
    """
    now = datetime.now(timezone.utc)
    return min(created_at or now, now) + timedelta(seconds=find_wait)


def cancel_video_job(
    hook: VideoHook, job_id: str, *, reason: str, shown_by: datetime | None = None, seconds: float | None = None
) -> Cancellation:
    """
    Poll a job and end it if it still runs; never raises a :class:`VideoProviderError`.

    Calling it again does no harm. A job that is not found is polled again until its vendor must show it: only then it
    is gone. Where there is no time for that, it is not shown yet, which is an error.

    :param shown_by: until when the vendor may not show the job (aware); None: for its ``find_wait`` from now on.
    :param seconds: after which no poll follows another; None: as long as it takes. 0: one poll, and the caller, who
        may poll again, names what is not shown.
    """
    name = f"{hook.vendor} job {job_id}"
    unsure = hook.find_wait if shown_by is None else shown_by.timestamp() - time.time()
    left = unsure if seconds is None else min(unsure, seconds)
    is_sure = left >= unsure
    if not hook.can_cancel:
        impossible = VideoConfigurationError(f"{hook.hook_name} documents no way to cancel a job.")
        text = f"{name} was not cancelled ({reason}): {impossible} It may go on and be charged."
        log.warning("%s", text)
        return Cancellation(CancelOutcome.NOT_POSSIBLE, text, impossible)
    try:
        while (seen := hook.cancel_job(job_id)) is None and left > 0:
            time.sleep(min(LOOK_AGAIN, left))
            left -= LOOK_AGAIN
    except VideoProviderError as error:
        text = f"{name} could not be cancelled ({reason}), it may go on and be charged: {error}"
        log.error("%s", text)
        return Cancellation(CancelOutcome.FAILED, text, error)
    if seen is None and not is_sure:
        unproven = VideoApiNotFoundError(
            "the vendor does not find the job, and may show a new one late", vendor=hook.vendor, endpoint="jobs"
        )
        text = f"{name} was not cancelled ({reason}), it may go on and be charged: {unproven}"
        log.log(logging.DEBUG if seconds == 0 else logging.ERROR, "%s", text)
        return Cancellation(CancelOutcome.NOT_SHOWN, text, unproven)
    if seen is None:
        outcome, text = CancelOutcome.GONE, f"{name} is not known to the vendor any more; nothing to cancel."
    elif seen.state.is_terminal:
        outcome, text = CancelOutcome.FINISHED, f"{name} had ended already ({seen.vendor_status}); it was left alone."
    else:
        outcome, text = CancelOutcome.CANCELLED, f"{name} was cancelled: {reason}."
    log.info("%s", text)
    return Cancellation(outcome, text, job=seen)


def how_to_cancel(conn_id: str, job_id: str, page: str | None) -> str:
    """Return the sentence that says how a user ends a job which nobody else will."""
    operator = f"CancelVideoJobOperator(conn_id={conn_id!r}, job_id={job_id!r})"
    return f"To end it: {operator}{f', or {page}' if page else ''}."
