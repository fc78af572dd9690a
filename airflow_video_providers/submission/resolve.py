# SPDX-License-Identifier: Apache-2.0
"""
What became of an intent, and of a job: the unknown outcome of a paid request is resolved by what the vendor offers.

| in this order | the outcome |
|---|---|
| the user has decided | as decided |
| the vendor replays keys, the window is open | send the request with the same key again, poll the job that comes back |
| it can be searched for the key surely | search; not found means not submitted, unless the search is inconclusive |
| it can be searched for a likely match | search; not found is no proof |
| a callback has named the job | poll it |
| a callback has come, and an id in its links leads to a job with the key | adopt that job |
| a callback has come, and nothing in it leads to the job | nothing is submitted: the user names the job |
| none of these | the user decides |
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from airflow_video_providers.callbacks.doubts import Doubt, read_doubt
from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiPermissionError,
    VideoSearchInconclusiveError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.retry_policy import is_hopeless
from airflow_video_providers.submission.decisions import (
    NO_JOB,
    bought_submission,
    read_decision,
    unknown_decision,
)
from airflow_video_providers.submission.purchase import Purchase
from airflow_video_providers.submission.record import RecordStore, SubmissionRecord

log = logging.getLogger(__name__)

REPLAY_SHARE = 0.9
"""The share of a vendor's ``replay_seconds`` in which a key is sent again: clocks differ, and a send takes time."""

_LOST = (JobState.FAILED, JobState.CANCELLED)


class Outcome(NamedTuple):
    """What became of an intent: the record as it is now, the job if one is worth adopting, whether that is certain."""

    record: SubmissionRecord
    job: VideoJob | None
    is_known: bool = True


class Resolver:
    """
    Finds out what became of an intent or a job at one vendor.

    :param hook: of the vendor's connection.
    :param store: where the record is kept.
    :param find_wait: seconds after a send in which the vendor may not show its job.
    :param search_wait: seconds to search for a job before it is surely absent; default: ``find_wait``.
    :param keep: records the job of a record, and returns the record with it.
    """

    def __init__(
        self,
        hook: VideoHook,
        store: RecordStore,
        *,
        find_wait: float,
        keep: Callable[[SubmissionRecord, VideoJob], SubmissionRecord],
        search_wait: float | None = None,
    ) -> None:
        self._hook = hook
        self._store = store
        self._find_wait = find_wait
        self._search_wait = find_wait if search_wait is None else search_wait
        self._keep = keep

    def resolve(self, record: SubmissionRecord, request: Mapping[str, Any]) -> Outcome:
        """
        Find out whether an intent became a job.

        :raises VideoApiError: the vendor did not tell; the next try asks again.
        """
        if (decided := self.read_decision(record)) is not None:
            return decided
        if may_replay(record):
            return self._replay(record, request)
        job = None
        try:
            if self._hook.key_support is not KeySupport.NONE:
                job = find_submitted(self._hook, record, request, wait=self._search_wait)
        except VideoSearchInconclusiveError as error:
            log.warning("%s", error)
            return self._ask_callbacks(record)
        if job is None and self._hook.key_support is KeySupport.EXACT:
            log.info("The vendor has no job with key %s: none was submitted.", record.key)
        if job is None and self._hook.key_support is not KeySupport.EXACT:
            return self._ask_callbacks(record)
        return Outcome(record, job)

    def _ask_callbacks(self, record: SubmissionRecord) -> Outcome:
        """
        Return the job that a callback of the vendor has named, as the vendor's API shows it; else the doubt.

        :raises AmbiguousSubmissionError: a callback told that there is a job, and nothing tells which.
        """
        doubt = read_doubt(record.key)
        if doubt is not None and doubt.is_answered and not record.bought:
            record = record.updated(bought=True)
            self._store.write(record)
        job = None if doubt is None else self._called_back(record, doubt)
        if job is None:
            if record.bought:
                raise bought_submission(self._hook, record)
            return Outcome(record, None, is_known=False)
        log.info("The vendor's callback named the job: %s", job.describe())
        lost = job.state in _LOST and not is_hopeless(job, self._hook.hopeless_codes)
        return Outcome(record.submitted(job.job_id), None if lost else job)

    def _called_back(self, record: SubmissionRecord, doubt: Doubt) -> VideoJob | None:
        if doubt.job_id is not None:
            return self._poll_named(record, doubt.job_id)
        for candidate in doubt.candidates:
            try:
                job = self._hook.get_job(self._hook.job_id_of(candidate))
            except (VideoApiNotFoundError, VideoApiInvalidRequestError, VideoApiPermissionError):
                continue  # it is no job, or none of this account
            if job.key == record.key:
                return job
        return None

    def _poll_named(self, record: SubmissionRecord, job_id: str) -> VideoJob | None:
        try:
            job = self._hook.get_job(job_id)
        except VideoApiNotFoundError:
            log.warning("A callback named job %s for key %s, which the vendor does not know.", job_id, record.key)
            return None
        if job.key not in (None, record.key):
            log.warning("A callback named job %s for key %s, which has another key.", job_id, record.key)
            return None
        return job

    def read_decision(self, record: SubmissionRecord) -> Outcome | None:
        """Return the outcome that the user has decided; None: there is no decision."""
        decided = read_decision(record.key)
        if decided is None:
            return None
        log.info("The user decided about the submission with key %s: %s.", record.key, decided)
        if decided == NO_JOB:
            return Outcome(record.updated(state="refused"), None)
        record = record.submitted(decided)
        try:
            job = self._hook.get_job(decided)
        except VideoApiNotFoundError as error:
            raise unknown_decision(self._hook, record) from error
        return Outcome(record, None if job.state in _LOST else job)

    def _replay(self, record: SubmissionRecord, request: Mapping[str, Any]) -> Outcome:
        """
        Send the same request with the same key again, and poll the job that comes back: it may be an old one.

        :raises VideoApiError: the vendor refused, or the outcome is still unknown; the record says which.
        """
        left = self._search_wait
        for pause in _pauses():
            purchase = Purchase(self._hook, self._store, record, in_doubt=True)
            try:
                job = purchase.send(request)
                break
            except VideoApiError as error:
                if error.outcome_unknown and (left <= 0 or not may_replay(record)):
                    log.error(
                        "A render with key %s may exist. The next try sends the same key again until %s, which pays "
                        "nothing twice. A cleared task renders again: check for this render first.",
                        record.key,
                        replayed_until(record).isoformat(timespec="seconds"),
                    )
                    raise
                if not error.outcome_unknown:
                    raise
                log.warning("%s; sending the same key again in %.0f s", error, min(pause, left))
            time.sleep(min(pause, left))
            left -= pause
        record = self._keep(purchase.record, job)
        # What comes back is the job as it was created; a job that was created just now may not be shown yet.
        return Outcome(record, self.poll(record))

    def poll(self, record: SubmissionRecord) -> VideoJob | None:
        """
        Return the job that the record names, if it is worth adopting; a new one is waited for until it must be shown.

        A job that failed for a reason which the same request would meet again is adopted, with its failure.
        """
        assert record.job_id is not None
        left = (record.shown_by(self._find_wait) - datetime.now(timezone.utc)).total_seconds()
        for pause in _pauses():
            try:
                job = self._hook.get_job(record.job_id)
            except VideoApiNotFoundError:
                if left > 0:
                    time.sleep(min(pause, left))
                    left -= pause
                    continue
                log.warning("%s is gone at the vendor: a new render.", describe_render(record))
                return None
            if job.state in _LOST and not is_hopeless(job, self._hook.hopeless_codes):
                log.warning("An earlier try's render did not succeed: %s. A new render.", job.describe())
                return None
            return job
        return None


def may_replay(record: SubmissionRecord) -> bool:
    """Tell whether the vendor still replays the response to the first send of an intent."""
    if record.replay_seconds is None:
        return False
    return datetime.now(timezone.utc) < replayed_until(record)


def replayed_until(record: SubmissionRecord) -> datetime:
    """Return until when the key of an intent is sent again; the time of the intent where the vendor replays none."""
    return record.intended_at + timedelta(seconds=REPLAY_SHARE * (record.replay_seconds or 0))


def describe_render(record: SubmissionRecord) -> str:
    """Return how a message names the render of a record: its job, or its key where the outcome is unknown."""
    if record.job_id is None:
        return f"a render with key {record.key} whose outcome is unknown"
    return f"job {record.job_id} of connection {record.conn_id!r}"


def find_submitted(
    hook: VideoHook, record: SubmissionRecord, request: Mapping[str, Any], *, wait: float = 0.0
) -> VideoJob | None:
    """
    Search for the job of a record's key; one that failed is not meant, since the one that is may not be listed yet.

    :param request: what was submitted, or the search terms that the record kept of it.
    :param wait: seconds for which the search is repeated; default: it is done once.
    :raises VideoSearchInconclusiveError: it is not found, and the last search is no proof that there is none.
    """
    for pause in _pauses():
        job = doubt = None
        try:
            job = hook.find_job(record.key, request=request, since=record.intended_at)
        except VideoSearchInconclusiveError as error:
            doubt = error
        if job is not None and job.state not in _LOST:
            return job
        if wait <= 0:
            if doubt is not None:
                raise doubt
            return None
        time.sleep(min(pause, wait))
        wait -= pause
    return None


def _pauses() -> Iterator[float]:
    """Return how long to wait between two polls for a job, in seconds, without end."""
    pause = 1.0
    while True:
        yield pause
        pause = min(pause * 2, 10.0)
