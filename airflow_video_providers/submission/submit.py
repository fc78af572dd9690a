# SPDX-License-Identifier: Apache-2.0
"""
Submit exactly once: write the intent, send it with a key, write the job id; on the next try adopt or refuse.

One record in the task state store says what is known. It survives retries and crashes of the worker:

| the next try finds | and does |
|---|---|
| no record | submits; a vendor that finds jobs by key surely is asked first if earlier tries may have been here |
| an intent without a job id | asks the vendor for the key: adopts, submits, or raises ``AmbiguousSubmissionError`` |
| a job id, the job active or succeeded | adopts it |
| a job id, the job failed, cancelled or gone | submits anew |
| a record from before a clear, or of another request | cancels what still runs, and submits anew |
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    VideoApiError,
    VideoApiNotFoundError,
    VideoProviderError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook, get_video_hook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.submission.cancel import CancelPolicy, Cause, cancel_video_job
from airflow_video_providers.submission.record import (
    RECORD_RETENTION,
    SubmissionRecord,
    TaskTry,
    fingerprint_of,
    read_record,
    submission_key,
    write_record,
)

log = logging.getLogger(__name__)

OnAmbiguous = Literal["fail", "resubmit"]

DEFAULT_FIND_WAIT = 60.0
"""Seconds for which a vendor's list may lag behind a submission before a job that it does not show is surely absent."""

_LOST = (JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Submission:
    """
    The job of a task.

    :param adopted: an earlier try had bought it.
    :param submitted_at: when it was bought (aware, UTC): what a timeout counts from.
    """

    job: VideoJob
    submitted_at: datetime
    adopted: bool


class JobSubmission:
    """
    Buys the render of one task, or finds the one that an earlier try bought.

    :param hook: of the connection to buy from.
    :param store: the task state store of the running task.
    :param task_try: where the task stands.
    :param on_ambiguous: what to do where it cannot be known whether an earlier try bought a render: ``fail`` or
        ``resubmit``, which may buy a second one.
    :param find_wait: seconds to look for a job before it is surely absent.
    :param policy: whether a render that a new one replaces is cancelled.
    :param on_job: told of the job before anything else is done, so that its owner can end it whatever fails next.
    :param deployment: see :func:`submission_key`.
    """

    def __init__(
        self,
        *,
        hook: VideoHook,
        store: Any,
        task_try: TaskTry,
        on_ambiguous: OnAmbiguous = "fail",
        find_wait: float = DEFAULT_FIND_WAIT,
        policy: CancelPolicy | None = None,
        on_job: Callable[[VideoJob], None] | None = None,
        deployment: str = "",
    ) -> None:
        self.hook = hook
        self.store = store
        self.task_try = task_try
        self.on_ambiguous = on_ambiguous
        self.find_wait = find_wait
        self.policy = policy or CancelPolicy()
        self.on_job = on_job
        self.deployment = deployment

    def submit_or_adopt(self, request: Mapping[str, Any]) -> Submission:
        """
        Return the job of this task, bought now or before.

        :raises AmbiguousSubmissionError: an earlier try may have bought a render, and the vendor offers no way to look.
        :raises SubmissionKeyConflictError: the request fills the field that must carry the key. Nothing was sent.
        :raises VideoApiError: the vendor refused, or did not answer. The next try looks before it submits.
        """
        fingerprint = fingerprint_of(self.hook.conn_id, request)
        record = read_record(self.store)
        if record is None:
            return self._without_record(request, fingerprint)
        if self.task_try.cleared_since(last_try=record.last_try, max_tries=record.max_tries):
            log.info("The task was cleared: a new render. The one before was %s.", self._name(record))
        elif record.fingerprint != fingerprint:
            log.warning(
                "The request is not the one of try %s (a template that contains the time or the try number?): a new "
                "render. The one before was %s.",
                record.last_try,
                self._name(record),
            )
        else:
            return self._resume(record, request)
        self._supersede(record, request)
        return self._submit(request, fingerprint, max(self.task_try.first_try, record.last_try + 1))

    # ------------------------------------------------------------------ what an earlier try left

    def _without_record(self, request: Mapping[str, Any], fingerprint: str) -> Submission:
        generation = self.task_try.first_try
        if self.task_try.try_number > generation and self.hook.key_support is KeySupport.EXACT:
            # The record may have been deleted by hand, or not have outlived a long wait; the key can be derived again.
            record = self._intent(fingerprint, generation, at=datetime.now(timezone.utc) - RECORD_RETENTION)
            job = self._look_for(record, request, wait=0.0)
            if job is not None:
                bought = job.created_at or datetime.now(timezone.utc)
                return self._adopt(record.model_copy(update={"intended_at": bought}), job)
        return self._submit(request, fingerprint, generation)

    def _resume(self, record: SubmissionRecord, request: Mapping[str, Any]) -> Submission:
        if record.state == "submitted":
            job = self._look_at(record)
        elif record.state == "intended":
            job = self._resolve(record, request)
        else:
            job = None
        if job is not None:
            return self._adopt(record, job)
        return self._submit(request, record.fingerprint, record.generation)

    def _look_at(self, record: SubmissionRecord) -> VideoJob | None:
        """Return the job that the record names, if it is worth adopting."""
        assert record.job_id is not None
        seen_by = record.intended_at + timedelta(seconds=self.find_wait)
        left = (seen_by - datetime.now(timezone.utc)).total_seconds()
        for pause in _pauses():
            try:
                job = self.hook.get_job(record.job_id)
            except VideoApiNotFoundError:
                if left > 0:
                    # Bought a moment ago: the vendor may not show it everywhere yet.
                    time.sleep(min(pause, left))
                    left -= pause
                    continue
                log.warning("%s is gone at the vendor: a new render.", self._name(record))
                return None
            if job.state in _LOST:
                log.warning("An earlier try's render did not succeed: %s. A new render.", job.describe())
                return None
            return job
        return None

    def _resolve(self, record: SubmissionRecord, request: Mapping[str, Any]) -> VideoJob | None:
        """Find out whether an intent became a job; None: it did not, or the user wants another one all the same."""
        log.warning(
            "Try %s was about to submit at %s and its outcome is unknown: looking for its job.",
            record.last_try,
            record.intended_at.isoformat(timespec="seconds"),
        )
        job = None
        if self.hook.key_support is not KeySupport.NONE:
            job = self._look_for(record, request, self.find_wait)
        if job is not None:
            return job
        if self.hook.key_support is KeySupport.EXACT:
            log.info("The vendor has no job with key %s: it was not bought.", record.key)
            return None
        if self.on_ambiguous == "resubmit":
            log.warning(
                "No proof that the earlier render was not bought; submitting all the same: on_ambiguous=resubmit."
            )
            return None
        raise self._ambiguous(record)

    def _look_for(self, record: SubmissionRecord, request: Mapping[str, Any], wait: float) -> VideoJob | None:
        for pause in _pauses():
            job = self.hook.find_job(record.key, request=request, since=record.intended_at)
            # A lost job is an earlier one of the same key; the one in question may not be listed yet.
            if job is not None and job.state not in _LOST:
                return job
            if wait <= 0:
                return None
            time.sleep(min(pause, wait))
            wait -= pause
        return None

    def _adopt(self, record: SubmissionRecord, job: VideoJob) -> Submission:
        self._tell(job)
        log.info("Adopting the render that an earlier try bought: %s", job.describe())
        write_record(
            self.store,
            record.model_copy(
                update={
                    "state": "submitted",
                    "job_id": job.job_id,
                    "last_try": self.task_try.try_number,
                }
            ),
        )
        return Submission(job=job, submitted_at=record.intended_at, adopted=True)

    def _supersede(self, record: SubmissionRecord, request: Mapping[str, Any]) -> None:
        """End what an outdated render still costs; whatever goes wrong here must not stop the new one."""
        if not self.policy.applies(Cause.SUPERSEDED) or record.state == "refused":
            return
        try:
            hook = self.hook if record.conn_id == self.hook.conn_id else get_video_hook(record.conn_id)
            job_id = record.job_id
            if job_id is None and hook.key_support is KeySupport.EXACT:
                job = hook.find_job(record.key, request=request, since=record.intended_at)
                job_id = job.job_id if job is not None else None
            if job_id is not None:
                cancel_video_job(hook, job_id, reason=Cause.SUPERSEDED.value)
        except Exception as error:
            log.warning("%s may still run and be charged: %s", self._name(record), error)

    # ------------------------------------------------------------------ buying

    def _submit(self, request: Mapping[str, Any], fingerprint: str, generation: int) -> Submission:
        record = self._intent(fingerprint, generation)
        write_record(self.store, record)
        try:
            job = self.hook.submit_job(request, key=record.key)
        except VideoApiError as error:
            if not error.outcome_unknown:
                write_record(self.store, record.model_copy(update={"state": "refused"}))
                raise
            return self._after_lost_answer(record, request, error)
        except VideoProviderError:
            # Raised before anything is sent: a wrong argument, a taken key field.
            write_record(self.store, record.model_copy(update={"state": "refused"}))
            raise
        self._tell(job)
        log.info("Submitted %s", job.describe())
        write_record(self.store, record.model_copy(update={"state": "submitted", "job_id": job.job_id}))
        return Submission(job=job, submitted_at=record.intended_at, adopted=False)

    def _after_lost_answer(
        self, record: SubmissionRecord, request: Mapping[str, Any], error: VideoApiError
    ) -> Submission:
        log.warning("The vendor's answer was lost, a render may have been bought: %s", error)
        if self.hook.key_support is not KeySupport.NONE:
            try:
                job = self._look_for(record, request, self.find_wait)
            except VideoProviderError as failure:
                # What happened first is what counts; the next try looks again.
                raise error from failure
            if job is not None:
                return self._adopt(record, job)
        if self.hook.key_support is KeySupport.EXACT or self.on_ambiguous == "resubmit":
            # Nothing is seen now; the next try looks once more before it submits.
            raise error
        raise self._ambiguous(record) from error

    def _intent(self, fingerprint: str, generation: int, *, at: datetime | None = None) -> SubmissionRecord:
        return SubmissionRecord(
            state="intended",
            conn_id=self.hook.conn_id,
            key=submission_key(self.task_try, generation, fingerprint, deployment=self.deployment),
            fingerprint=fingerprint,
            generation=generation,
            intended_at=at or datetime.now(timezone.utc),
            last_try=self.task_try.try_number,
            max_tries=self.task_try.max_tries,
        )

    def _tell(self, job: VideoJob) -> None:
        if self.on_job is not None:
            self.on_job(job)

    # ------------------------------------------------------------------ words and storage

    def _ambiguous(self, record: SubmissionRecord) -> AmbiguousSubmissionError:
        blind = self.hook.key_support is KeySupport.NONE
        sight = "offers no way to look for it" if blind else "shows no match, which is no proof"
        return AmbiguousSubmissionError(
            f"A render may have been bought from {self.hook.hook_name} (connection {record.conn_id!r}) at "
            f"{record.intended_at.isoformat(timespec='seconds')}: its outcome is unknown, and the vendor {sight}. "
            f"Look in the vendor's app for a video created at that time. If there is none, clear this task: it submits "
            f"anew. If there is one, use it and mark this task as success, or delete it there and clear this task. "
            f'on_ambiguous="resubmit" lets retries submit without asking, at the risk of paying twice.'
        )

    def _name(self, record: SubmissionRecord) -> str:
        if record.job_id is None:
            return f"a render with key {record.key} whose outcome is unknown"
        return f"job {record.job_id} of connection {record.conn_id!r}"


def doubtful_job(hook: VideoHook, store: Any, request: Mapping[str, Any]) -> VideoJob | None:
    """
    Return the job of a request that was interrupted, for a task that no other try will look after.

    One look, since the task has no time left. Where it shows nothing, the log names the doubt: a list may lag.
    """
    job = None
    try:
        record = read_record(store)
        if record is None or record.state != "intended":
            return None
        if hook.key_support is not KeySupport.NONE:
            job = hook.find_job(record.key, request=request, since=record.intended_at)
    except Exception as failure:  # it must not take the place of what ended the task
        log.warning("No look for the job of the interrupted request: %s", failure)
    if job is None:
        log.error(
            "The task ended while it sent its request: a render may have been bought from %s and may be charged. "
            "Look in the vendor's app for a video created now.",
            hook.hook_name,
        )
    return job


def _pauses() -> Iterator[float]:
    """Return how long to wait between looks for a job, in seconds, without end."""
    pause = 1.0
    while True:
        yield pause
        pause = min(pause * 2, 10.0)
