# SPDX-License-Identifier: Apache-2.0
"""
The vocabulary that every vendor is mapped to: a job, its state, and the files it makes.

The models are frozen: a newer poll of a job is a new :class:`VideoJob`. They hold no credentials. Links live only in
:class:`VideoOutput`, which never goes to XCom; ids travel between tasks, links are minted where they are used.

Whatever a vendor sends, the models can be logged, stored as JSON and shown: texts are one line of a bounded length
without control characters, numbers are finite, and an optional value that cannot be used is None. A job id that cannot
be used is an error, since a changed one would name another job.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from airflow_video_providers.exceptions import VideoApiUnreadableAnswerError
from airflow_video_providers.text.redaction import (
    clean_label,
    clean_reason,
    clean_text,
    is_clean,
    page_link,
    without_surrogates,
)

OutputKind = Literal["video", "thumbnail", "subtitles", "archive", "audio", "image"]

LONGEST_ID = 1024
_LARGEST_SIZE = 2**63 - 1


def _no_link(value: Any) -> Any:
    """Read no key where a user's own text is a link, which may hold credentials."""
    return None if isinstance(value, str) and "://" in value else value


def _line(longest: int) -> BeforeValidator:
    """Read a text that people read: one line, without the credentials of links."""
    return BeforeValidator(lambda value: None if value is None else clean_label(value, longest=longest))


def _reason(longest: int) -> BeforeValidator:
    """Read a vendor's status, stage or reason of a failure: one line, without anything that looks like a credential."""
    return BeforeValidator(lambda value: None if value is None else clean_reason(value, longest=longest))


def _id(longest: int) -> BeforeValidator:
    """Read a text that is compared or sent back: one line, else as it is."""
    return BeforeValidator(lambda value: None if value is None else clean_text(value, longest=longest))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _share(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else min(1.0, max(0.0, number))


def _seconds(value: Any) -> float | None:
    number = _number(value)
    return None if number is None or number < 0 else number


def _size(value: Any) -> int | None:
    number = value if isinstance(value, int) else _number(value)
    return int(number) if number is not None and 0 <= number <= _LARGEST_SIZE else None


def _md5(value: Any) -> str | None:
    text = str(value).strip().lower()
    return text if re.fullmatch("[0-9a-f]{32}", text) else None


def _time(value: Any, handler: ValidatorFunctionWrapHandler) -> datetime | None:
    try:
        time: datetime | None = handler(value)
        if time is None:
            return None
        return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)
    except (ValidationError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    return without_surrogates(value) if isinstance(value, str) else None


def _link(value: Any) -> str | None:
    text = _text(value)
    return text.strip() or None if text is not None else None


def _only(read: Callable[[Any], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: None if value is None else read(value))


_Time = Annotated[datetime | None, WrapValidator(_time)]


class JobState(str, Enum):
    """Where a render stands. A vendor status that the provider does not know is ``RUNNING``, bounded by the timeout."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the vendor will do no more work on the job."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobError(BaseModel):
    """Why a job failed: the vendor's code and message, each bounded."""

    model_config = ConfigDict(frozen=True)

    code: Annotated[str | None, _reason(100)] = None
    message: Annotated[str | None, _reason(500)] = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.code and f"[{self.code}]", self.message) if part) or "no reason given"


class JobCost(BaseModel):
    """
    What a render costs, in the vendor's own unit (``usd``, ``credits``, ``minutes`` ...).

    ``amount`` is None where the vendor's number cannot be read.
    """

    model_config = ConfigDict(frozen=True)

    amount: Annotated[float | None, _only(_seconds)]
    unit: Annotated[str, _line(40)]

    def __str__(self) -> str:
        return f"{'an unknown number of' if self.amount is None else format(self.amount, 'g')} {self.unit}"


class VideoJob(BaseModel):
    """
    One render at a vendor, as last polled.

    :param vendor: the connection type of the vendor, e.g. ``acme``.
    :param job_id: the id that the vendor polls by.
    :param state: the vendor's status in the common vocabulary.
    :param vendor_status: the vendor's own status.
    :param progress: share of the work done, 0..1, or None where the vendor does not say.
    :param stage: what the vendor is doing now, where it says so.
    :param name: the title of the video; where the vendor tells none, operators fill in what the request calls it.
    :param key: the submission key, where the vendor gives it back.
    :param page_url: a page that shows the job to a user, without its query, which may be a credential.
    :param error: the vendor's reason, for a failed job.
    :param cost: what the render costs, where the vendor says.
    :param created_at: when the vendor accepted the job (aware, UTC), likewise ``updated_at`` and ``finished_at``.
    """

    model_config = ConfigDict(frozen=True)

    vendor: Annotated[str, _line(100)]
    job_id: str
    state: JobState
    vendor_status: Annotated[str, _reason(200)]
    progress: Annotated[float | None, _only(_share)] = None
    stage: Annotated[str | None, _reason(200)] = None
    name: Annotated[str | None, _line(500)] = None
    key: Annotated[str | None, _id(LONGEST_ID), BeforeValidator(_no_link)] = None
    page_url: Annotated[str | None, _only(page_link)] = None
    error: JobError | None = None
    cost: JobCost | None = None
    created_at: _Time = None
    updated_at: _Time = None
    finished_at: _Time = None

    @field_validator("job_id", mode="before")
    @classmethod
    def _usable(cls, value: Any, info: ValidationInfo) -> str:
        text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        if not text.strip() or len(text) > LONGEST_ID or not is_clean(text):
            # Not a ValueError, which pydantic would wrap: this error says that a job may have been submitted.
            raise VideoApiUnreadableAnswerError(
                f"it is no text of 1 to {LONGEST_ID} visible characters: {clean_text(value, longest=50)!r}",
                vendor=info.data.get("vendor", "video"),
                endpoint="job id",
                outcome_unknown=True,
            )
        return text

    def to_xcom(self) -> dict[str, Any]:
        """Return the job as plain JSON values: what the XCom ``video_job`` holds."""
        return self.model_dump(mode="json")

    @classmethod
    def from_xcom(cls, value: dict[str, Any]) -> VideoJob:
        """Read back what :meth:`to_xcom` wrote."""
        return cls.model_validate(value)

    def to_asset_event(self, conn_id: str) -> dict[str, Any]:
        """
        Return the extra of the asset event that tells of the job's end.

        ``duration`` is that of the render, in seconds; None where the vendor does not tell both times.
        """
        duration = None
        if self.created_at is not None and self.finished_at is not None:
            duration = round((self.finished_at - self.created_at).total_seconds(), 3)
        return {
            "conn_id": conn_id,
            "vendor": self.vendor,
            "job_id": self.job_id,
            "state": self.state.value,
            "name": self.name,
            "duration": duration,
        }

    @property
    def label(self) -> str:
        """The video's name, or the job's id, with the vendor: what a list of many jobs shows."""
        return f"{self.name or self.job_id} · {self.vendor}"

    def describe(self) -> str:
        """
        Return one line for a log, what matters first: progress, status, reason, cost, name, and at last the id.

        In this order, since Airflow's log view shows about 110 characters of a line.
        """
        parts = [self.vendor_status, self.stage]
        if self.progress is not None and not self.state.is_terminal:
            parts.insert(0, percent(self.progress))
        if self.error:
            parts.append(str(self.error))
        if self.cost:
            parts.append(f"costs {self.cost}")
        if self.name:
            parts.append(f'"{self.name}"')
        return " · ".join([*(part for part in parts if part), f"{self.vendor} {self.job_id}"])

    def with_facts_of(self, earlier: VideoJob) -> VideoJob:
        """Return the job with what an earlier poll told of it and this one did not: name, key, page, cost, birth."""
        kept = {name: getattr(earlier, name) for name in _LASTING if getattr(self, name) is None}
        return self.model_copy(update=kept) if any(value is not None for value in kept.values()) else self


_LASTING = ("name", "key", "page_url", "cost", "created_at")


def percent(share: float) -> str:
    """Return a share of 0..1 as a log shows it: ``48 %``."""
    return f"{share * 100:.0f} %"


class VideoOutput(BaseModel):
    """
    One file that a finished job offers.

    Either ``content`` (the whole text, inline) or ``url`` is set; both are None where the vendor mints links on request
    only: ``VideoHook.refresh_output`` then gives the output with a fresh link. The link is left out of ``repr``, since
    its query is a credential.

    :param kind: ``video``, ``thumbnail``, ``subtitles``, ``archive``, ``audio`` or ``image``.
    :param label: tells apart several outputs of one kind, e.g. ``captioned`` or ``720p``; None: the only one, or the
        main one.
    :param url: a link; or ``s3://bucket/key`` or ``gs://bucket/key`` where the vendor writes into the user's bucket.
    :param output_id: the vendor's id of this file, where it has one.
    :param name: the file's name at the vendor, one line of text: it must be made safe before it is used as a path.
    :param size: bytes, ``md5``: hex digest in lower case, ``duration_seconds``: play time; each where the vendor says.
    :param expires_at: when the link dies (aware, UTC), where known.
    """

    model_config = ConfigDict(frozen=True)

    kind: OutputKind
    label: Annotated[str | None, _line(100)] = None
    url: Annotated[str | None, _only(_link)] = Field(default=None, repr=False)
    content: Annotated[str | None, _only(_text)] = Field(default=None, repr=False)
    output_id: Annotated[str | None, _id(LONGEST_ID)] = None
    name: Annotated[str | None, _line(500)] = None
    media_type: Annotated[str | None, _line(200)] = None
    size: Annotated[int | None, _only(_size)] = None
    md5: Annotated[str | None, _only(_md5)] = None
    duration_seconds: Annotated[float | None, _only(_seconds)] = None
    expires_at: _Time = None

    @property
    def identity(self) -> tuple[str, str | None, str | None]:
        """What stays the same when the link is minted again; a name can change, so it counts only without an id."""
        kind = self.kind if self.label is None else f"{self.kind}:{self.label}"
        return (kind, self.output_id, None if self.output_id else self.name)


@dataclass(frozen=True)
class CallbackHint:
    """
    What a verified callback names: the vendor's job id, the submission key, or both. It is a hint, never a proof.

    :param job_id: the id of a job, or None where the callback does not name it.
    :param key: the submission key that the job carries, or None.
    :param candidates: of a callback that names no job: ids in its links, one of which may be the job's or its video's.
        They are tried for a submission whose outcome is unknown, and a job is taken if it carries the key.
    """

    job_id: str | None = None
    key: str | None = None
    candidates: tuple[str, ...] = ()
