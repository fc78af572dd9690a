# SPDX-License-Identifier: Apache-2.0
"""
The vocabulary that every vendor is mapped to: a job, its state, and the files it makes.

The models are frozen: a newer look at a job is a new :class:`VideoJob`. They hold no credentials. Links live only in
:class:`VideoOutput`, which never goes to XCom; ids travel between tasks, links are minted where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

OutputKind = Literal["video", "thumbnail", "subtitles", "archive", "audio", "image"]


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
    """Why a job failed, in the vendor's words."""

    model_config = ConfigDict(frozen=True)

    code: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.code and f"[{self.code}]", self.message) if part) or "no reason given"


class JobCost(BaseModel):
    """What a render costs, in the vendor's own unit (``usd``, ``credits``, ``minutes`` ...)."""

    model_config = ConfigDict(frozen=True)

    amount: float = Field(ge=0, allow_inf_nan=False)
    unit: str

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}"


class VideoJob(BaseModel):
    """
    One render at a vendor, as last seen.

    :param vendor: the connection type of the vendor, e.g. ``xvid``.
    :param job_id: the id that the vendor polls by.
    :param state: the vendor's status in the common vocabulary.
    :param vendor_status: the status in the vendor's own word.
    :param progress: share of the work done, 0..1, or None where the vendor does not say.
    :param stage: what the vendor is doing now, in its own words, where it says so.
    :param name: the title of the video.
    :param key: the submission key, where the vendor gives it back.
    :param page_url: a page where a person can look at the job.
    :param error: the vendor's reason, for a failed job.
    :param cost: what the render costs, where the vendor says.
    :param created_at: when the vendor accepted the job (aware, UTC), likewise ``updated_at`` and ``finished_at``.
    """

    model_config = ConfigDict(frozen=True)

    vendor: str
    job_id: str
    state: JobState
    vendor_status: str
    progress: float | None = Field(default=None, ge=0, le=1)
    stage: str | None = None
    name: str | None = None
    key: str | None = None
    page_url: str | None = None
    error: JobError | None = None
    cost: JobCost | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None

    def to_xcom(self) -> dict[str, Any]:
        """Return the job as plain JSON values: what the XCom ``video_job`` holds."""
        return self.model_dump(mode="json")

    @classmethod
    def from_xcom(cls, value: dict[str, Any]) -> VideoJob:
        """Read back what :meth:`to_xcom` wrote."""
        return cls.model_validate(value)

    def describe(self) -> str:
        """Return one line for a log: vendor, id, status, progress, reason."""
        parts = [f"{self.vendor} job {self.job_id}: {self.vendor_status}"]
        if self.progress is not None:
            parts.append(f"{self.progress:.0%}")
        if self.stage:
            parts.append(self.stage)
        if self.error:
            parts.append(str(self.error))
        return ", ".join(parts)


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
    :param name: the file's name at the vendor, unchecked: it must be made safe before it is used as a path.
    :param size: bytes, ``md5``: hex digest, ``duration_seconds``: play time; each where the vendor says.
    :param expires_at: when the link dies (aware, UTC), where known.
    """

    model_config = ConfigDict(frozen=True)

    kind: OutputKind
    label: str | None = None
    url: str | None = Field(default=None, repr=False)
    content: str | None = Field(default=None, repr=False)
    output_id: str | None = None
    name: str | None = None
    media_type: str | None = None
    size: int | None = Field(default=None, ge=0)
    md5: str | None = None
    duration_seconds: float | None = None
    expires_at: datetime | None = None

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
    """

    job_id: str | None = None
    key: str | None = None
