# SPDX-License-Identifier: Apache-2.0
"""
Every way in which a request, a job or a transfer can fail, on one screen.

| family | says |
|---|---|
| :class:`VideoApiError` | one call failed; its subclass is the cause, ``outcome_unknown`` tells if a job may exist |
| :class:`VideoJobError` | a render ended badly, or is not to be had; the job is named |
| :class:`VideoPollingError` | the vendor could not be asked about a job for too long; the render goes on |
| :class:`SubmissionError` | no render was submitted, or that cannot be known; the text says what to check |
| :class:`VideoCallbackRefusedError` | a callback proves nothing or cannot be read; it has no effect |
| :class:`VideoTransferError` | a file was not delivered; nothing is left at the destination |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_video_providers.text.redaction import clean_text, redact

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoJob

_LONGEST = 8000
_LONGEST_MESSAGE = 4000
_LONGEST_CODE = 100


class VideoProviderError(Exception):
    """
    Base of all errors of this provider.

    All of them can be copied and pickled; their texts are one line without control characters.

    :param advice: what the user can do, a short line each. It is part of the text until it has been logged: a task logs
        it line by line before it fails, and its error is then one short sentence.
    :ivar advice_logged: whether the log has the advice already.
    """

    def __init__(self, *args: object, advice: Sequence[str] = ()) -> None:
        super().__init__(*(clean_text(text, longest=_LONGEST) if isinstance(text, str) else text for text in args))
        self.advice = tuple(clean_text(line, longest=_LONGEST) for line in advice)
        self.advice_logged = False

    def __str__(self) -> str:
        text = super().__str__()
        if not self.advice or self.advice_logged:
            return text
        return " ".join([text if text.endswith((".", "!", "?")) else f"{text}.", *self.advice])

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class with its text alone, which those with keywords do not accept.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(kind: type[VideoProviderError], args: tuple[Any, ...]) -> VideoProviderError:
    return kind.__new__(kind, *args)


class VideoConfigurationError(VideoProviderError, ValueError):
    """A connection or an argument cannot work as it is; the text says what to change. Nothing was sent."""


# ---------------------------------------------------------------- one call to a vendor


class VideoApiError(VideoProviderError):
    """
    A call to a vendor failed.

    :param vendor: connection type of the vendor.
    :param endpoint: method and path pattern, e.g. ``GET /jobs/{id}``.
    :param status: HTTP status, or None where no response came.
    :param message: the vendor's own message, secrets removed.
    :param code: the vendor's own error code.
    :param retry_after: seconds that the vendor asked to wait, or None.
    :param outcome_unknown: the call may have had its effect (a job may exist) although no good response came.
    :param hint: what the user can do about it; default: the text that the class has of its own.
    """

    hint = ""

    def __init__(
        self,
        message: str,
        *,
        vendor: str,
        endpoint: str,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        outcome_unknown: bool = False,
        hint: str | None = None,
    ) -> None:
        self.message = message = redact(message, longest=_LONGEST_MESSAGE)
        self.vendor = vendor
        self.endpoint = endpoint
        self.status = status
        self.code = code = None if code is None else redact(code, longest=_LONGEST_CODE)
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown
        responded = f" responded {status}" if status is not None else ""
        coded = f" [{code}]" if code else ""
        hint = hint or self.hint
        text = f"{vendor}: {endpoint}{responded}:{coded} {message.rstrip('.')}"
        super().__init__(text, advice=[hint] if hint else [])


class VideoApiAuthenticationError(VideoApiError):
    """The vendor does not accept the credentials (401, or a refused token)."""

    hint = "Check the key or the client id and secret of the Airflow connection."


class VideoApiPermissionError(VideoApiError):
    """The credentials are known but may not do this (403, 402)."""

    hint = "Check the plan, the credits and the rights of this account at the vendor."


class VideoApiNotFoundError(VideoApiError):
    """The job, file or path does not exist, or no longer (404, 410)."""

    hint = "Check the id; a vendor may also have removed it after its retention time."


class VideoApiInvalidRequestError(VideoApiError):
    """
    The vendor refused the request (400, 409, 422 ...), or it cannot be written as HTTP and was never sent.

    ``fields`` holds the vendor's messages by field.
    """

    def __init__(self, message: str, *, fields: dict[str, str] | None = None, **kwargs: Any) -> None:
        self.fields = fields or {}
        if self.fields:
            message = f"{message} ({'; '.join(f'{name}: {text}' for name, text in self.fields.items())})"
        super().__init__(message, **kwargs)


class VideoApiQuotaError(VideoApiError):
    """Too many requests or renders (429); ``retry_after`` seconds where the vendor says."""


class VideoApiUnavailableError(VideoApiError):
    """The vendor could not be reached, did not respond in time, or responded with 5xx."""


class VideoApiUnreadableAnswerError(VideoApiError):
    """The response is not what the vendor documents: not JSON, or without a required field, which is named."""


class VideoSearchInconclusiveError(VideoApiUnreadableAnswerError):
    """A search for a submission key found no job, and what could be read is no proof that there is none."""


class VideoApiRedirectError(VideoApiError, VideoConfigurationError):
    """The call was redirected, which is not followed: nothing was submitted, and the connection's host is wrong."""

    hint = (
        "Redirects are not followed: set the host of the Airflow connection to the base URL that responds without one "
        "(https, with the whole path)."
    )


class VideoOutputNotReadyError(VideoApiUnreadableAnswerError):
    """The job is finished, but the vendor names no link of its file yet; asking again a little later may help."""


# ---------------------------------------------------------------- a job


class VideoJobError(VideoProviderError):
    """A job did not end in a video; ``job`` is the job as last polled."""

    def __init__(self, message: str, *, job: VideoJob, advice: Sequence[str] = ()) -> None:
        self.job = job
        super().__init__(message, advice=advice)


class VideoJobFailedError(VideoJobError):
    """The render failed at the vendor; the vendor's reason is in the text and in ``job.error``."""


class VideoJobCancelledError(VideoJobFailedError):
    """The render was cancelled or deleted at the vendor. Waiting again cannot help."""


class VideoJobTimeoutError(VideoJobError):
    """A submitting operator waited longer than its ``timeout``; the text says whether the job was cancelled."""


class VideoPollingError(VideoProviderError):
    """
    The vendor could not be polled about a job too many times in a row; the job itself may go on.

    :param retry_after: seconds that the vendor asked to wait in its last response, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, advice: Sequence[str] = ()) -> None:
        self.retry_after = retry_after
        super().__init__(message, advice=advice)


# ---------------------------------------------------------------- submitting


class SubmissionError(VideoProviderError):
    """A request was not submitted, or not as asked: this try has paid for nothing, unless the text says so."""


class RenderVideosError(VideoProviderError):
    """More items of a bulk task failed than it allows; ``summary`` has the counts, the manifest names each item."""

    def __init__(self, message: str, *, summary: dict[str, Any] | None = None) -> None:
        self.summary = summary or {}
        super().__init__(message)


class SubmissionKeyConflictError(SubmissionError, ValueError):
    """The request already fills the field that must carry our key, and the field cannot hold both."""


class VideoCostError(SubmissionError):
    """
    The render would cost more than ``max_cost``: nothing was submitted.

    Where the vendor names the cost only when it has accepted the request, the text says what became of the render.

    :ivar job_goes_on: the render could not be cancelled yet: the next try adopts it and cancels it.
    """

    job_goes_on = False


class AmbiguousSubmissionError(SubmissionError):
    """
    An earlier try may have paid for a render, and the vendor offers no sure way to find it. The user must decide.

    :ivar awaits_callback: a callback of the vendor may still name the job, which a later try then adopts.
    """

    awaits_callback = False


class SubmissionSupersededError(SubmissionError):
    """Airflow has replaced this try of the task by another one: it stops, and sends nothing more."""


class SubmissionNotRecordedError(VideoProviderError):
    """A job was submitted, but its id cannot be recorded; the text names it and says what the next try makes of it."""


# ---------------------------------------------------------------- callbacks


class VideoCallbackRefusedError(VideoProviderError):
    """
    A callback proves nothing or cannot be read; it has no effect. The text repeats nothing of it.

    :param status: the HTTP status of the response: 400 malformed, 401 forged, stale or not expected, 413 too long,
        415 not JSON.
    """

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)


# ---------------------------------------------------------------- transfers


class VideoTransferError(VideoProviderError):
    """A file was not delivered. Nothing new is visible at the destination, and an older object there is whole."""


class SourceError(VideoTransferError):
    """The source could not be read to its end (cut, stalled, gone, changed while it was read)."""


class SourceLinkExpiredError(SourceError):
    """The link died and a fresh one did not help."""


class SourceLinkRefusedError(SourceError):
    """The link leads where it may not: into a private network, or to what is no http or https address."""


class ContentCheckError(VideoTransferError):
    """The bytes are not the file they should be: wrong length, digest, or not media at all."""


class DestinationError(VideoTransferError):
    """The object store refused or failed."""


class DestinationExistsError(DestinationError):
    """An object is there already and ``if_exists="fail"``."""
