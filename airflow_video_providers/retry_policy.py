# SPDX-License-Identifier: Apache-2.0
"""A ready retry policy (Airflow 3.3): which failures are worth a retry, and how long the vendor said to wait."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    SubmissionError,
    VideoApiAuthenticationError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoCostError,
    VideoJobCancelledError,
    VideoJobFailedError,
    VideoPollingError,
)
from airflow_video_providers.jobs import JobState, VideoJob

if TYPE_CHECKING:
    from airflow.sdk import Context

_HOPELESS = (
    VideoConfigurationError,
    SubmissionError,
    VideoApiAuthenticationError,
    VideoApiPermissionError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoJobCancelledError,
)
_PassingError = VideoApiQuotaError | VideoApiUnavailableError | VideoPollingError

# Few vendors document the reasons of a failed render as codes; these are the words that tell them apart.
_HOPELESS_REASON = re.compile(
    r"moderat|safety|polic(y|ies)|prohibit|not allowed|forbidden|unauthor|authenticat|permission|credential"
    r"|invalid|malformed|unsupported|not supported|not found|missing|too long|validation",
    re.IGNORECASE,
)
_PASSING_REASON = re.compile(
    r"quota|rate.?limit|too many|capacity|overload|busy|unavailable|time[sd]?.?out|internal|temporar|try again",
    re.IGNORECASE,
)


def is_hopeless(job: VideoJob, codes: Collection[str] = ()) -> bool:
    """
    Tell whether a render failed for a reason that the same request would meet again: moderation, an invalid request.

    A submitting task does not retry it, with or without a policy, since a retry would pay for another render. Where the
    words of the reason speak for both, it is not hopeless.

    :param codes: the codes that the vendor's hook calls hopeless, see ``VideoHook.hopeless_codes``.
    """
    if job.state is not JobState.FAILED or job.error is None:
        return False
    reason = str(job.error)
    by_words = _HOPELESS_REASON.search(reason) is not None and _PASSING_REASON.search(reason) is None
    return by_words or any(_is_code(job.error.code or "", code) for code in codes)


def _is_code(code: str, wanted: str) -> bool:
    return code.startswith(wanted) if wanted.endswith(".") else code == wanted


class VideoRetryPolicy(RetryPolicy):
    """
    Retry what may pass, fail at once what cannot.

    | failure | decision |
    |---|---|
    | wrong argument or credentials, refused request, no such job, ambiguous submission, cancelled render | fail |
    | quota used up, vendor down, polling given up | retry, after the task's delay or the vendor's longer Retry-After |
    | failed render, by the vendor's reason: invalid request, moderation, authentication | fail |
    | failed render, by the vendor's reason: quota, capacity, internal error | retry |
    | ambiguous submission that a callback may still resolve | the task's own setting |
    | render above ``max_cost`` that could not be cancelled yet | the task's own setting |
    | anything else, also a timeout that left the job running | the task's own setting |
    | a timeout that cancelled the render | Airflow never asks: it fails at once |

    A retry never exceeds the task's ``retries``. A retry of a failed render is a new, paid one; any other retry adopts
    the job that was submitted before.

    :param longest_delay: the most that a vendor's Retry-After is heeded; default 6 hours.
    """

    def __init__(self, longest_delay: timedelta = timedelta(hours=6)) -> None:
        self.longest_delay = longest_delay

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide in the worker, on the exception that ended the try."""
        if isinstance(exception, AmbiguousSubmissionError) and exception.awaits_callback:
            return RetryDecision.default()
        if isinstance(exception, VideoCostError) and exception.job_goes_on:
            return RetryDecision.default()
        if isinstance(exception, _HOPELESS):
            return RetryDecision.fail(f"{type(exception).__name__}: trying again cannot help")
        if isinstance(exception, _PassingError):
            return RetryDecision.retry(self._delay(exception, context), f"{type(exception).__name__} may pass")
        if isinstance(exception, VideoJobFailedError):
            if is_hopeless(exception.job):
                return RetryDecision.fail("the vendor's reason will be the same for the same request")
            if _PASSING_REASON.search(str(exception.job.error or "")):
                return RetryDecision.retry(reason="the vendor's reason may pass")
        return RetryDecision.default()

    def _delay(self, error: _PassingError, context: Context | None) -> timedelta | None:
        """Return what the vendor asked for, where it is longer than the task's own delay; None: the task's own."""
        if error.retry_after is None:
            return None
        # Capped before it becomes a timedelta, which has its limits.
        asked = timedelta(seconds=min(self.longest_delay.total_seconds(), error.retry_after))
        own = timedelta(0) if context is None else context["task"].retry_delay
        return asked if asked > own else None

    def serialize(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"longest_delay": self.longest_delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> VideoRetryPolicy:
        """Read back what :meth:`serialize` returned."""
        return cls(longest_delay=timedelta(seconds=data["longest_delay"]))
