# SPDX-License-Identifier: Apache-2.0
"""A ready retry policy (Airflow 3.3): which failures are worth a retry, and how long the vendor said to wait."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from airflow_video_providers.exceptions import (
    SubmissionError,
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobFailedError,
    VideoPollingError,
)

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
_PASSING = (VideoApiQuotaError, VideoApiUnavailableError, VideoPollingError)

_DEEPEST_CAUSE = 10

# No vendor documents the reasons of a failed render as codes; these are the words that tell them apart.
_HOPELESS_REASON = re.compile(
    r"moderat|polic(y|ies)|prohibit|not allowed|forbidden|unauthor|authenticat|permission|credential"
    r"|invalid|malformed|unsupported|not supported|not found|missing|too long|validation",
    re.IGNORECASE,
)
_PASSING_REASON = re.compile(
    r"quota|rate.?limit|too many|capacity|overload|busy|unavailable|time[sd]?.?out|internal|temporar|try again",
    re.IGNORECASE,
)


class VideoRetryPolicy(RetryPolicy):
    """
    Retry what may pass, fail at once what cannot.

    | failure | decision |
    |---|---|
    | wrong argument or credentials, refused request, no such job, ambiguous submission, cancelled render | fail |
    | quota used up, vendor down, polling given up | retry, after the vendor's Retry-After where it sent one |
    | failed render, by the vendor's reason: invalid request, moderation, authentication | fail |
    | failed render, by the vendor's reason: quota, capacity, internal error | retry |
    | anything else, also a timeout that left the job running | the task's own setting |
    | a timeout that cancelled the render | Airflow never asks: it fails at once |

    A retry never exceeds the task's ``retries``. A retry of a failed render is a new, paid one; any other retry adopts
    the job that was bought before.

    :param longest_delay: the most that a vendor's Retry-After is heeded; default 6 hours.
    """

    def __init__(self, longest_delay: timedelta = timedelta(hours=6)) -> None:
        self.longest_delay = longest_delay

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide in the worker, on the exception that ended the try."""
        if isinstance(exception, _HOPELESS):
            return RetryDecision.fail(f"{type(exception).__name__}: trying again cannot help")
        if isinstance(exception, _PASSING):
            return RetryDecision.retry(self._delay(exception), f"{type(exception).__name__} may pass")
        if isinstance(exception, VideoJobFailedError):
            reason = str(exception.job.error or "")
            if _HOPELESS_REASON.search(reason):
                return RetryDecision.fail("the vendor's reason will be the same for the same request")
            if _PASSING_REASON.search(reason):
                return RetryDecision.retry(reason="the vendor's reason may pass")
        return RetryDecision.default()

    def _delay(self, exception: BaseException) -> timedelta | None:
        # A wait that was given up carries the vendor's last answer as its cause, or its cause's cause.
        error: BaseException | None = exception
        for _ in range(_DEEPEST_CAUSE):
            if isinstance(error, VideoApiError) and error.retry_after is not None:
                longest = self.longest_delay.total_seconds()
                return timedelta(seconds=min(longest, error.retry_after))  # capped first: a timedelta has its limits
            error = error.__cause__ if error is not None else None
        return None

    def serialize(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"longest_delay": self.longest_delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> VideoRetryPolicy:
        """Read back what :meth:`serialize` returned."""
        return cls(longest_delay=timedelta(seconds=data["longest_delay"]))
