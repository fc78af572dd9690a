# SPDX-License-Identifier: Apache-2.0
"""
Submit exactly once: write the intent, send it with a key, write the job id; on the next try adopt or resolve.

One record in the task state store says what is known. It survives retries and crashes of the worker:

| the next try finds | and does |
|---|---|
| no record | submits; a vendor that finds jobs by key surely is asked first if earlier tries may have been here |
| an intent without a job id | resolves it (``resolve.py``): adopts, submits, or raises ``AmbiguousSubmissionError`` |
| a job id, the job active or succeeded | adopts it |
| a job id, the job failed, cancelled or gone; a refusal | submits anew, as another purchase |
| a record from before a clear, or of another request | cancels what still runs, and submits anew |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from airflow_video_providers.callbacks.doubts import read_doubt
from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    SubmissionNotRecordedError,
    SubmissionSupersededError,
    VideoApiError,
    VideoProviderError,
    VideoSearchInconclusiveError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook, get_video_hook
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.metrics import count_adopted, count_ambiguous, count_submitted
from airflow_video_providers.submission.callback import CallbackPlan
from airflow_video_providers.submission.cancel import CancelPolicy, Cause, cancel_video_job
from airflow_video_providers.submission.decisions import (
    NO_JOB,
    ambiguous_submission,
    describe_prospect,
    read_decision,
)
from airflow_video_providers.submission.purchase import Purchase
from airflow_video_providers.submission.record import (
    RECORD_RETENTION,
    SubmissionRecord,
    SubmissionStore,
    bounded_terms,
    fingerprint_of,
    submission_key,
)
from airflow_video_providers.submission.resolve import Resolver, describe_render, find_submitted, may_replay
from airflow_video_providers.submission.task_try import TaskTry

log = logging.getLogger(__name__)

OnAmbiguous = Literal["fail", "resubmit"]

STORE_PATIENCE = 300.0
"""Seconds for which the id of a paid job is tried to be recorded while Airflow's API server is away."""


@dataclass(frozen=True)
class Submission:
    """
    The job of a task.

    :param submitted_at: when it was submitted (aware, UTC): what a timeout counts from.
    :param key: the submission key that the job carries.
    """

    job: VideoJob
    submitted_at: datetime
    key: str


class JobSubmission:
    """
    Submits the render of one task, or finds the one that an earlier try submitted.

    :param hook: of the connection to submit to.
    :param store: the task state store of the running task.
    :param task_try: where the task stands.
    :param on_ambiguous: what to do where it cannot be known whether an earlier try submitted a render: ``fail`` or
        ``resubmit``, which may pay for a second one.
    :param find_wait: seconds to search for a job before it is surely absent; default: the hook's ``find_wait``.
    :param policy: whether a render that a new one replaces is cancelled.
    :param on_job: told of the job before anything else is done, so that its owner can end it whatever fails next.
    :param deployment: see :func:`submission_key`.
    :param callback: makes each request ask for a callback; None: it is sent as it is.
    :param before_submit: checks a request that is about to be submitted; where it raises, nothing is sent or recorded.
    """

    def __init__(
        self,
        *,
        hook: VideoHook,
        store: SubmissionStore,
        task_try: TaskTry,
        on_ambiguous: OnAmbiguous = "fail",
        find_wait: float | None = None,
        policy: CancelPolicy | None = None,
        on_job: Callable[[VideoJob], None] = lambda job: None,
        deployment: str = "",
        callback: CallbackPlan | None = None,
        before_submit: Callable[[Mapping[str, Any]], None] = lambda request: None,
    ) -> None:
        self.hook = hook
        self.store = store
        self.task_try = task_try
        self.on_ambiguous = on_ambiguous
        self.find_wait = hook.find_wait if find_wait is None else find_wait
        self.policy = policy or CancelPolicy()
        self.on_job = on_job
        self.deployment = deployment
        self.callback = callback
        self.before_submit = before_submit
        self._resolver = Resolver(hook, store, find_wait=self.find_wait, keep=self._keep)

    def submit_or_adopt(self, request: Mapping[str, Any]) -> Submission:
        """
        Return the job of this task, submitted now or before.

        :raises AmbiguousSubmissionError: an earlier try may have submitted a render, and the vendor offers no way to
            find out. Nothing was sent.
        :raises SubmissionKeyConflictError: the request fills the field that must carry the key. Nothing was sent.
        :raises SubmissionSupersededError: Airflow has replaced this try by another one; nothing more was sent.
        :raises SubmissionNotRecordedError: a job was submitted, and its id cannot be recorded.
        :raises VideoConfigurationError: the request cannot ask for a callback, as it should. Nothing was sent.
        :raises VideoApiError: the vendor refused, or did not respond. The next try resolves it before it submits.
        """
        fingerprint = fingerprint_of(self.hook.conn_id, request)
        record = self.store.read()
        if record is None:
            return self._without_record(request, fingerprint)
        if self.task_try.cleared_since(max_tries=record.max_tries):
            log.info("The task was cleared: a new render. The one before was %s.", describe_render(record))
            if record.state == "intended" and record.fingerprint == fingerprint:
                decided = self._resolver.read_decision(record)
                if decided is not None and decided.job is not None:
                    return self._adopt(record, decided.job)
        elif record.fingerprint != fingerprint:
            log.warning(
                "The request is not the one of try %s (a template that contains the time or the try number?): a new "
                "render. The one before was %s.",
                record.last_try,
                describe_render(record),
            )
        else:
            return self._resume(record, request)
        generation = max(self.task_try.first_try, record.last_try + 1)
        intent = self._intent(request, fingerprint, generation)
        self._outgoing(request, intent)  # what cannot be sent supersedes nothing
        self.before_submit(request)
        self._supersede(record)
        return self._submit(request, intent)

    # ------------------------------------------------------------------ what an earlier try left

    def _without_record(self, request: Mapping[str, Any], fingerprint: str) -> Submission:
        """Submit; the record of an earlier try may have been deleted or outlived, but its key can be derived again."""
        generation = self.task_try.first_try
        earlier_tries = self.task_try.try_number - generation
        intent = self._intent(request, fingerprint, generation, purchase=max(1, earlier_tries + 1))
        if earlier_tries > 0 and self.hook.key_support is KeySupport.EXACT:
            since = datetime.now(timezone.utc) - RECORD_RETENTION
            keys = [self._key(fingerprint, generation, purchase) for purchase in range(1, earlier_tries + 1)]
            for key in keys:
                try:
                    job = find_submitted(self.hook, intent.updated(key=key, intended_at=since), request)
                except VideoSearchInconclusiveError as error:
                    # Nothing says that an earlier try came as far as an intent: most likely it failed before.
                    log.warning("No record of an earlier try, and %s", error)
                    continue
                if job is not None:
                    at = job.created_at or datetime.now(timezone.utc)
                    return self._adopt(intent.updated(key=key, intended_at=at), job)
        self.before_submit(request)
        return self._submit(request, intent)

    def _resume(self, record: SubmissionRecord, request: Mapping[str, Any]) -> Submission:
        earlier_try = record.last_try
        record = record.updated(last_try=self.task_try.try_number)
        if record.state == "submitted":
            job = self._resolver.poll(record)
        elif record.state == "intended":
            log.warning(
                "Try %s was about to submit at %s and its outcome is unknown: finding out.",
                earlier_try,
                record.intended_at.isoformat(timespec="seconds"),
            )
            outcome = self._resolver.resolve(record, self._outgoing(request, record) if may_replay(record) else request)
            record, job = outcome.record, outcome.job
            if not outcome.is_known:
                count_ambiguous(self.hook.vendor)
            if not outcome.is_known and self.on_ambiguous != "resubmit":
                raise ambiguous_submission(self.hook, record)
            if not outcome.is_known:
                log.warning("No proof that no render was submitted; submitting all the same: on_ambiguous=resubmit.")
        else:
            job = None
        if job is not None:
            return self._adopt(record, job)
        if record.state != "intended":
            self._settle(record)  # its key is not sent again
        # A server that replays keys would bring a failed or refused job back for ever; a decision is about one send.
        purchase = record.purchase if record.state == "intended" else record.purchase + 1
        self.before_submit(request)
        return self._submit(request, self._intent(request, record.fingerprint, record.generation, purchase=purchase))

    def _adopt(self, record: SubmissionRecord, job: VideoJob) -> Submission:
        log.info("Adopting an earlier try's render: %s", job.describe())
        count_adopted(self.hook.vendor)
        recorded = self.store.record
        if recorded is not None and recorded.job_id == job.job_id:
            self.on_job(job)
            self.store.write(record)
            self._settle(record)
        else:
            record = self._keep(record, job)
        return Submission(job=job, submitted_at=record.intended_at, key=record.key)

    def _supersede(self, record: SubmissionRecord) -> None:
        """End what an outdated render still costs; whatever goes wrong here must not stop the new one."""
        if not self.policy.applies(Cause.SUPERSEDED) or record.state == "refused":
            self._settle(record)
            return
        try:
            own = record.conn_id == self.hook.conn_id
            hook = self.hook if own else get_video_hook(record.conn_id)
            job_id = record.job_id or read_decision(record.key) or self._called_back(record)
            shown_by = record.shown_by(self.find_wait if own else hook.find_wait)
            if job_id is None and hook.key_support is KeySupport.EXACT:
                wait = (shown_by - datetime.now(timezone.utc)).total_seconds()
                job = find_submitted(hook, record, record.search or {}, wait=wait)
                job_id = None if job is None else job.job_id
            if job_id is None:
                log.warning(
                    "%s was not found. If it was submitted, it may still run and be charged.",
                    describe_render(record),
                )
            elif job_id != NO_JOB:
                cancel_video_job(hook, job_id, reason=Cause.SUPERSEDED.value, shown_by=shown_by)
            self._settle(record)
        except Exception as error:
            log.warning("%s may still run and be charged: %s", describe_render(record), error)

    # ------------------------------------------------------------------ submitting

    def _submit(self, request: Mapping[str, Any], intent: SubmissionRecord) -> Submission:
        request = self._outgoing(request, intent)
        purchase = Purchase(self.hook, self.store, intent)
        if self.callback is not None:
            self.callback.open(intent)
        try:
            job = purchase.send(request)
        except VideoProviderError as error:
            if isinstance(error, VideoApiError) and purchase.in_doubt:
                return self._after_lost_response(purchase.record, request, error)
            if not purchase.in_doubt:
                self._settle(intent)
            raise
        log.info("Submitted: %s", job.describe())
        count_submitted(self.hook.vendor)
        record = self._keep(purchase.record, job)
        return Submission(job=job, submitted_at=record.intended_at, key=record.key)

    def _after_lost_response(
        self, record: SubmissionRecord, request: Mapping[str, Any], error: VideoApiError
    ) -> Submission:
        """Resolve an outcome that has just become unknown, or raise; the next try resolves it before it submits."""
        log.warning("The response was lost, a render may have been submitted: %s", error)
        try:
            outcome = self._resolver.resolve(record, request)
        except (SubmissionSupersededError, AmbiguousSubmissionError):
            raise
        except VideoProviderError as failure:
            if self.store.record is not None and self.store.record.state == "refused":
                raise
            raise error from failure  # what happened first is what counts
        if outcome.job is not None:
            return self._adopt(outcome.record, outcome.job)
        if not outcome.is_known:
            count_ambiguous(self.hook.vendor)
        if outcome.is_known or self.on_ambiguous == "resubmit":
            raise error
        raise ambiguous_submission(self.hook, record) from error

    def _keep(self, record: SubmissionRecord, job: VideoJob) -> SubmissionRecord:
        """Tell the job's owner, and record its id, which is paid for: patiently."""
        self.on_job(job)
        record = record.submitted(
            job.job_id,
            last_try=self.task_try.try_number,
            max_tries=self.task_try.max_tries,
        )
        try:
            self.store.write(record, patience=STORE_PATIENCE)
        except SubmissionSupersededError as error:
            raise SubmissionSupersededError(
                f"{error} It had submitted {describe_render(record)}, which it cannot record any more. "
                f"{describe_prospect(self.hook, record)}"
            ) from error
        except Exception as error:
            raise SubmissionNotRecordedError(
                f"{describe_render(record)} was submitted, but Airflow's task state store does not take its "
                f"id: {error}. {describe_prospect(self.hook, record)}"
            ) from error
        self._settle(record)
        return record

    # ------------------------------------------------------------------ callbacks

    def _outgoing(self, request: Mapping[str, Any], record: SubmissionRecord) -> Mapping[str, Any]:
        """Return the request as it is sent: with the address of its callback, where it asks for one."""
        return request if self.callback is None else self.callback.fill(request, record.key)

    def _settle(self, record: SubmissionRecord) -> None:
        """Say that nobody waits any more for a callback to tell the outcome of a submission."""
        if self.callback is not None:
            self.callback.close(record)

    def _called_back(self, record: SubmissionRecord) -> str | None:
        doubt = None if self.callback is None else read_doubt(record.key)
        return None if doubt is None else doubt.job_id

    # ------------------------------------------------------------------ records

    def _intent(
        self, request: Mapping[str, Any], fingerprint: str, generation: int, *, purchase: int = 1
    ) -> SubmissionRecord:
        return SubmissionRecord(
            state="intended",
            conn_id=self.hook.conn_id,
            key=self._key(fingerprint, generation, purchase),
            fingerprint=fingerprint,
            generation=generation,
            purchase=purchase,
            replay_seconds=self.hook.replay_window(request),
            search=bounded_terms(self.hook.search_terms(request)),
            intended_at=datetime.now(timezone.utc),
            last_try=self.task_try.try_number,
            max_tries=self.task_try.max_tries,
        )

    def _key(self, fingerprint: str, generation: int, purchase: int) -> str:
        return submission_key(self.task_try, generation, fingerprint, purchase=purchase, deployment=self.deployment)
