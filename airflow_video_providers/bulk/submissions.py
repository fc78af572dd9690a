# SPDX-License-Identifier: Apache-2.0
"""
Submitting the items of a window: intents in one write, sends side by side, job ids in one write.

Where the vendor always resolves a lost response (an exact search, or keys that it replays), a batch is up to 25 items.
Where the user may have to, it is one item: a crash leaves no more in doubt than it must.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_video_providers.bulk.items import Item
from airflow_video_providers.bulk.ledger import Entry, EntryStore, ItemState, Ledger
from airflow_video_providers.exceptions import (
    SubmissionSupersededError,
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiPermissionError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoProviderError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.metrics import count_adopted, count_ambiguous, count_submitted
from airflow_video_providers.retry_policy import is_hopeless
from airflow_video_providers.submission.callback import CallbackPlan
from airflow_video_providers.submission.decisions import ambiguous_submission
from airflow_video_providers.submission.preflight import check_request
from airflow_video_providers.submission.purchase import Purchase
from airflow_video_providers.submission.record import SubmissionRecord, bounded_terms, submission_key
from airflow_video_providers.submission.resolve import Outcome, Resolver
from airflow_video_providers.submission.task_try import TaskTry

log = logging.getLogger(__name__)

BATCH = 25
_THREADS = 8
_HOLD_SECONDS = 30.0
_LONGEST_HOLD = 600.0
_MOST_HOLDS = 10  # in a row, of whole batches
STORE_PATIENCE = 300.0
"""Seconds for which a ledger write that holds job ids is tried again while Airflow's API server is away."""


@dataclass(frozen=True)
class Held:
    """The vendor takes no more renders now, as ``error`` says; ``seconds`` until it may."""

    seconds: float
    error: VideoApiError


def hold_seconds(asked: float | None, holds: int) -> float:
    """
    Return how long nothing is submitted after a refusal: the longer of an own pause and the vendor's Retry-After.

    :param asked: what the vendor asks for; one of 0, or a date that has passed, does not switch the pause off.
    :param holds: how many batches in a row were held before.
    """
    own = _HOLD_SECONDS if asked is None else min(_HOLD_SECONDS, 2.0**holds)
    return min(_LONGEST_HOLD, max(own, asked or 0.0))


class Submitter:
    """
    Submits items, and finds out what became of those that an earlier try left in doubt.

    :param generation: the first try that the renders of this list belong to; a clear begins a new one.
    :param deployment: see :func:`submission_key`.
    :param callback: makes each request ask for a callback; None: it is sent as it is.
    """

    def __init__(
        self,
        hook: VideoHook,
        ledger: Ledger,
        items: Sequence[Item],
        *,
        task_try: TaskTry,
        generation: int,
        resubmit_ambiguous: bool,
        deployment: str = "",
        callback: CallbackPlan | None = None,
    ) -> None:
        self.hook, self.ledger, self.items = hook, ledger, items
        self.task_try, self.generation, self.deployment = task_try, generation, deployment
        self.resubmit_ambiguous = resubmit_ambiguous
        self.callback = callback
        if callback is not None:
            for item in items:  # before anything is submitted
                callback.fill(item.request, item.item_id)
        sure = hook.key_support is KeySupport.EXACT or all(hook.replay_window(item.request) for item in items)
        self.batch = BATCH if sure else 1
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="submit")
        self._holds = 0

    def close(self) -> None:
        """Stop the threads, without waiting for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------ submitting

    def submit(self, numbers: Sequence[int]) -> Iterator[tuple[int, VideoJob | Held | None]]:
        """
        Submit a batch, and yield what became of each item: its job, ``Held``, or None where it has failed.

        :raises VideoProviderError: something that concerns all items, such as a wrong key; the others were tried.
        """
        for number in numbers:
            entry = self.ledger.entries[number]
            entry.record = self._intent(number, entry)
            entry.error, entry.finished_at = None, None
            self.ledger.touch(number)
        self.ledger.flush(numbers)
        outcomes: list[VideoJob | Held | None] = []
        for number, outcome in self._each(self._submit, numbers):
            outcomes.append(outcome)
            yield number, outcome
        held = [outcome for outcome in outcomes if isinstance(outcome, Held)]
        if len(held) < len(outcomes):
            self._holds = 0
        elif held:
            self._holds += 1
            if self._holds > _MOST_HOLDS:
                self.ledger.flush(patience=STORE_PATIENCE)
                raise held[-1].error

    def settle(self, numbers: Sequence[int]) -> Iterator[tuple[int, VideoJob | Held | None]]:
        """Find out what became of items whose outcome is unknown, or whose job may have ended; yield as above."""
        yield from self._each(self._settle, numbers)

    def _each(
        self, work: Callable[[int], VideoJob | Held | None], numbers: Sequence[int]
    ) -> Iterator[tuple[int, VideoJob | Held | None]]:
        fatal: BaseException | None = None
        for number, future in [(number, self._threads.submit(work, number)) for number in numbers]:
            try:
                yield number, future.result()
            except Exception as error:
                fatal = fatal or error
        if fatal is not None:
            self.ledger.flush(patience=STORE_PATIENCE)
            raise fatal

    def _submit(self, number: int) -> VideoJob | Held | None:
        entry = self.ledger.entries[number]
        assert entry.record is not None
        purchase = Purchase(self.hook, EntryStore(self.ledger, number), entry.record)
        if self.callback is not None:
            with self.ledger.lock:
                self.callback.open(entry.record)
        try:
            request = self._outgoing(number, entry.record)
            check_request(self.hook, request, max_cost=None)
            job = purchase.send(request)
        except (SubmissionSupersededError, VideoApiAuthenticationError, VideoApiPermissionError):
            raise
        except VideoApiError as error:
            if purchase.in_doubt:
                return self._resolve(number, purchase.record, error)
            self._close_doubt(purchase.record)
            return self._refused(number, error)
        except VideoProviderError as error:
            purchase.record_refusal()
            self._close_doubt(purchase.record)
            self._fail(number, error)
            return None
        count_submitted(self.hook.vendor)
        return self._keep(number, purchase.record, job)

    def _refused(self, number: int, error: VideoApiError) -> Held | None:
        if isinstance(error, (VideoApiQuotaError, VideoApiUnavailableError)):
            seconds = hold_seconds(error.retry_after, self._holds)
            log.warning("%s; submitting no more for %.0f s", error, seconds)
            return Held(seconds, error)
        self._fail(number, error)
        return None

    def _fail(self, number: int, error: VideoProviderError) -> None:
        entry = self.ledger.entries[number]
        entry.state, entry.error, entry.is_hopeless = ItemState.FAILED, str(error), True
        entry.finished_at = time.time()
        self.ledger.touch(number)
        log.warning("Item %s was not submitted: %s", entry.item_id, error)

    def _keep(self, number: int, record: SubmissionRecord, job: VideoJob) -> VideoJob:
        entry = self.ledger.entries[number]
        entry.state, entry.error, entry.finished_at, entry.is_hopeless = ItemState.RUNNING, None, None, False
        entry.submitted_at, entry.cost = record.intended_at.timestamp(), job.cost
        EntryStore(self.ledger, number).write(
            record.submitted(
                job.job_id,
                last_try=self.task_try.try_number,
                max_tries=self.task_try.max_tries,
            )
        )
        if self.callback is not None:
            self.ledger.flush([number], patience=STORE_PATIENCE)
            self._close_doubt(record)
        return job

    # ------------------------------------------------------------------ callbacks

    def _outgoing(self, number: int, record: SubmissionRecord) -> Mapping[str, Any]:
        request = self.items[number].request
        return request if self.callback is None else self.callback.fill(request, record.key)

    def _close_doubt(self, record: SubmissionRecord) -> None:
        if self.callback is not None:
            with self.ledger.lock:
                self.callback.close(record)

    # ------------------------------------------------------------------ doubts

    def _settle(self, number: int) -> VideoJob | None:
        entry = self.ledger.entries[number]
        record = entry.record
        if record is None or record.state == "refused":
            entry.state = ItemState.PENDING
        elif record.state == "intended":
            self._resolve(number, record, None)
        else:
            job = self._resolver(number, record).poll(record)
            if job is None:
                entry.state = ItemState.PENDING
            elif job.state is JobState.SUCCEEDED:
                entry.state = ItemState.RENDERED
            elif job.state.is_terminal:  # a failure that the same request would meet again
                entry.state, entry.is_hopeless = ItemState.FAILED, is_hopeless(job, self.hook.hopeless_codes)
            else:
                entry.state, entry.error = ItemState.RUNNING, None
        self.ledger.touch(number)
        return None

    def _resolve(self, number: int, record: SubmissionRecord, error: VideoApiError | None) -> VideoJob | None:
        """Find out whether an intent became a job: adopt it, submit it again later, or name the doubt."""
        entry = self.ledger.entries[number]
        try:
            outcome: Outcome = self._resolver(number, record).resolve(record, self._outgoing(number, record))
        except SubmissionSupersededError:
            raise
        except VideoProviderError as failure:
            # The vendor does not tell now; the next try asks again.
            entry.state, entry.error = ItemState.AMBIGUOUS, str(error or failure)
            self.ledger.touch(number)
            return None
        if outcome.job is not None:
            count_adopted(self.hook.vendor)
            return self._keep(number, outcome.record, outcome.job)
        if not outcome.is_known:
            count_ambiguous(self.hook.vendor)
        if outcome.is_known or self.resubmit_ambiguous:
            entry.record = outcome.record.updated(state="refused")
            entry.state = ItemState.PENDING
        else:
            entry.state, entry.error = ItemState.AMBIGUOUS, str(ambiguous_submission(self.hook, record))
            entry.finished_at = time.time()
            log.error("Item %s: %s", entry.item_id, entry.error)
        self.ledger.touch(number)
        return None

    def _resolver(self, number: int, record: SubmissionRecord) -> Resolver:
        def keep(record: SubmissionRecord, job: VideoJob) -> SubmissionRecord:
            self._keep(number, record, job)
            kept = self.ledger.entries[number].record
            assert kept is not None
            return kept

        find_wait = self.hook.find_wait
        search_wait = max(0.0, (record.shown_by(find_wait) - datetime.now(timezone.utc)).total_seconds())
        store = EntryStore(self.ledger, number)
        return Resolver(self.hook, store, find_wait=find_wait, search_wait=search_wait, keep=keep)

    # ------------------------------------------------------------------ records

    def _intent(self, number: int, entry: Entry) -> SubmissionRecord:
        before, item = entry.record, self.items[number]
        # A key that a vendor replays would bring back a job that is dead: each purchase has a key of its own.
        purchase = 1 if before is None or before.generation != self.generation else before.purchase + 1
        key = submission_key(
            self.task_try, self.generation, item.fingerprint, purchase=purchase, deployment=self.deployment
        )
        return SubmissionRecord(
            state="intended",
            conn_id=self.hook.conn_id,
            key=key,
            fingerprint=item.fingerprint,
            generation=self.generation,
            purchase=purchase,
            replay_seconds=self.hook.replay_window(item.request),
            search=bounded_terms(self.hook.search_terms(item.request)),
            intended_at=datetime.now(timezone.utc),
            last_try=self.task_try.try_number,
            max_tries=self.task_try.max_tries,
        )
