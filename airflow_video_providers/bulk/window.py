# SPDX-License-Identifier: Apache-2.0
"""
The rolling window of a bulk task: as renders end, their files are delivered and the next ones are submitted.

Each item keeps the promises of a single task: an intent before the send, a key, adoption, a replay or a named doubt.

| what happens to an item | its state | what a retry of the task does |
|---|---|---|
| submitted | ``running`` | adopts it |
| rendered, its delivery has not ended | ``rendered`` | delivers it |
| delivered (or rendered, where nothing is delivered) | ``succeeded`` | nothing |
| its delivery failed | ``failed``, with its job | delivers it |
| failed at the vendor, refused, timed out | ``failed`` | submits it again, unless the reason is hopeless |
| cancelled at the vendor, or by this task | ``cancelled`` | submits it again |
| its outcome cannot be known | ``ambiguous`` | looks again; submits again only with ``on_ambiguous="resubmit"`` |
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_video_providers.bulk.cancels import cancel_in_rounds
from airflow_video_providers.bulk.items import Item
from airflow_video_providers.bulk.ledger import ItemState, Ledger
from airflow_video_providers.bulk.polls import Polls
from airflow_video_providers.bulk.submissions import Held, Submitter
from airflow_video_providers.exceptions import (
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.metrics import count_adopted, count_ended
from airflow_video_providers.retry_policy import is_hopeless
from airflow_video_providers.submission.cancel import Cancellation, CancelOutcome, CancelPolicy, Cause, cancel_video_job
from airflow_video_providers.waiting.outcome import describe_failure

log = logging.getLogger(__name__)

Deliver = Callable[[int, str], list[dict[str, Any]]]
"""Delivers the files of an item, by its number and its job; returns what the manifest says of them."""

DELIVERIES = 3
"""Most items whose files are delivered at a time; they share one budget of memory."""
SHORT_RENDER = 60.0
"""Seconds below which a render is short: the worker waits for it where another one would hardly be there sooner."""
HAND_OVER_SECONDS = 30.0
"""How long it takes until another worker goes on: the deferral, of at least 10 seconds, and the start of a process."""
CHECKPOINT_SECONDS = 10.0
"""
How often the ledger is written where no submission asks for it. What a crash loses of it costs a poll and a look at the
store for each item, no render and no transfer.
"""
_LONGEST_SLEEP = 5.0


@dataclass(frozen=True)
class WindowRules:
    """
    How a window works.

    :param max_active: renders at a time at the vendor. :param most_failures: how many items may fail.
    :param timeout: seconds that a render may take, from its submission.
    :param poll_interval: longest time between two polls of a job, in seconds.
    :param policy: which renders are cancelled when the task ends.
    """

    max_active: int
    most_failures: int
    timeout: float
    poll_interval: float
    policy: CancelPolicy
    seed: str = ""


class Window:
    """
    Works on the items of a ledger until all are done, or nothing is left to do but to wait.

    :param deliver: None: renders only.
    :param on_checkpoint: called every 10 seconds, to write the manifest and the log.
    """

    def __init__(
        self,
        hook: VideoHook,
        ledger: Ledger,
        items: Sequence[Item],
        rules: WindowRules,
        submitter: Submitter,
        *,
        deliver: Deliver | None,
        on_checkpoint: Callable[[], None],
    ) -> None:
        self.hook, self.ledger, self.items, self.rules = hook, ledger, items, rules
        self.submitter, self.deliver, self.on_checkpoint = submitter, deliver, on_checkpoint
        self.polls = Polls(hook, poll_interval=rules.poll_interval, seed=rules.seed)
        self._threads = ThreadPoolExecutor(DELIVERIES, thread_name_prefix="deliver")
        self._deliveries: dict[Future[list[dict[str, Any]]], int] = {}
        self._checked_at = 0.0
        self._submit_from = 0.0
        self.stopped = False
        """More items failed than may: nothing new is submitted."""

    def resume(self, *, is_new_try: bool) -> None:
        """Wait for the renders that run already; a new try adopts them, and polls them at once."""
        for number in self.active:
            self._watch(number, None, polled=not is_new_try)
            if is_new_try:
                count_adopted(self.hook.vendor)

    def hold(self) -> None:
        """Submit nothing more in this process; safe in a signal handler."""
        self._submit_from = math.inf

    # ------------------------------------------------------------------ the loop

    def run(self, *, may_leave: bool) -> bool:
        """
        Work until all items are final (True), or, where ``may_leave``, until there is only waiting left (False).

        :raises VideoProviderError: something that concerns all items; what is known is in the ledger.
        """
        try:
            while True:
                self.stopped = self.stopped or self._failed_too_many()
                self._fill()
                self._collect()
                self._start_deliveries()
                self._take(self.polls.poll_due(time.time()))
                self._start_deliveries()
                self._checkpoint()
                if not self._work_is_left():
                    return True
                if self._failed_too_many():
                    self.stopped = True
                    if not self._deliveries and not any(self.ledger.in_state(ItemState.RENDERED)):
                        return True
                if may_leave and self._only_waits():
                    return False
                self._rest()
        finally:
            self.ledger.flush()

    def close(self) -> None:
        """Stop what still runs in threads, without waiting for it."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.submitter.close()

    @property
    def active(self) -> list[int]:
        """The numbers of the items whose renders run at the vendor."""
        return list(self.ledger.in_state(ItemState.RUNNING))

    @property
    def delivering(self) -> list[int]:
        """The numbers of the items whose files are being delivered."""
        return list(self._deliveries.values())

    def failures(self) -> int:
        """Return how many items count as failed."""
        return sum(1 for _ in self.ledger.in_state(ItemState.FAILED, ItemState.AMBIGUOUS, ItemState.CANCELLED))

    def _failed_too_many(self) -> bool:
        return self.failures() > self.rules.most_failures

    def _work_is_left(self) -> bool:
        states = (ItemState.RUNNING, ItemState.RENDERED, *(() if self.stopped else (ItemState.PENDING,)))
        return bool(self._deliveries) or any(True for _ in self.ledger.in_state(*states))

    def _only_waits(self) -> bool:
        """
        Tell whether nothing moves here: all that can be submitted runs, and nothing is to be delivered.

        Where renders are short, the next ones end sooner than another worker would be there to take them.
        """
        if self._deliveries or any(True for _ in self.ledger.in_state(ItemState.RENDERED)) or self._one_ends_soon():
            return False
        return self._room() == 0 or not any(True for _ in self.ledger.in_state(ItemState.PENDING))

    def _one_ends_soon(self) -> bool:
        usual, now = self.polls.usual, time.time()
        if usual is None or usual > SHORT_RENDER:
            return False
        since = (self.ledger.entries[number].submitted_at for number in self.ledger.in_state(ItemState.RUNNING))
        return any(abs(began + usual - now) < HAND_OVER_SECONDS for began in since if began is not None)

    def _rest(self) -> None:
        now = time.time()
        until = min(self.polls.next_due(), now + _LONGEST_SLEEP)
        if self._room() and any(True for _ in self.ledger.in_state(ItemState.PENDING)):
            until = min(until, max(self._submit_from, now))
        pause = max(0.05, until - now)
        if self._deliveries:
            wait(self._deliveries, pause, FIRST_COMPLETED)
        else:
            time.sleep(pause)

    def _checkpoint(self) -> None:
        if time.monotonic() - self._checked_at >= CHECKPOINT_SECONDS:
            self._checked_at = time.monotonic()
            self.ledger.flush()
            self.on_checkpoint()

    # ------------------------------------------------------------------ submitting

    def _room(self) -> int:
        if self.stopped:
            return 0
        return max(0, self.rules.max_active - sum(1 for _ in self.ledger.in_state(ItemState.RUNNING)))

    def _fill(self) -> None:
        while time.time() >= self._submit_from and (room := self._room()):
            batch = [number for number, _ in zip(self.ledger.in_state(ItemState.PENDING), range(room), strict=False)]
            batch = batch[: self.submitter.batch]
            if not batch:
                return
            held = False
            for number, outcome in self.submitter.submit(batch):
                if isinstance(outcome, Held):
                    held, self._submit_from = True, max(self._submit_from, time.time() + outcome.seconds)
                elif isinstance(outcome, VideoJob):
                    self._watch(number, outcome)
            self.ledger.flush()
            if held or self._failed_too_many():
                return

    # ------------------------------------------------------------------ waiting

    def _watch(self, number: int, job: VideoJob | None, *, polled: bool = False) -> None:
        entry = self.ledger.entries[number]
        assert entry.job_id is not None
        began = entry.submitted_at or time.time()
        deadline = began + self.rules.timeout
        self.polls.add(number, entry.job_id, job, deadline=deadline, began=began if polled else None)

    def take_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take in what a trigger saw: jobs that have ended, each with the number of its item."""
        for event in events:
            number, job = int(event["number"]), VideoJob.from_xcom(event["job"])
            entry = self.ledger.entries[number] if number < len(self.ledger.entries) else None
            if entry is not None and entry.state is ItemState.RUNNING and entry.job_id == job.job_id:
                self.polls.drop(number)
                if job.state.is_terminal:
                    self._ended(number, job, at=event.get("at"))
                else:
                    self._timed_out(number, job)

    def _take(self, ended: Iterable[tuple[int, VideoJob | Exception]]) -> None:
        for number, end in ended:
            if isinstance(end, VideoJob):
                self._ended(number, end)
            elif isinstance(end, VideoJobTimeoutError):
                self._timed_out(number, end.job)
            elif isinstance(end, VideoPollingError):
                raise end  # the vendor cannot be asked: that concerns all
            else:
                self._fail(number, str(end))

    def _ended(self, number: int, job: VideoJob, *, at: float | None = None) -> None:
        entry = self.ledger.entries[number]
        seconds = None if entry.submitted_at is None else (at or time.time()) - entry.submitted_at
        if seconds is not None:
            self.polls.learn(job, seconds)
        entry.cost = job.cost or entry.cost
        count_ended(job, seconds=seconds)
        if job.state is JobState.SUCCEEDED:
            entry.state = ItemState.RENDERED
            if self.deliver is None:
                self._finish(number, ItemState.SUCCEEDED)
            self.ledger.touch(number)
        elif job.state is JobState.CANCELLED:
            self._finish(number, ItemState.CANCELLED, "the render was cancelled or deleted at the vendor")
        else:
            entry.is_hopeless = is_hopeless(job, self.hook.hopeless_codes)
            self._fail(number, f"the render failed at the vendor: {job.error or 'no reason given'}")

    def _timed_out(self, number: int, job: VideoJob) -> None:
        text = f"the render took longer than {self.rules.timeout:.0f} s"
        if not self.rules.policy.applies(Cause.TIMED_OUT):
            self._fail(number, f"{text}; the job was left alone")
            return
        cancellation = self._cancel(number, Cause.TIMED_OUT)
        if cancellation.outcome is CancelOutcome.FINISHED and cancellation.job is not None:
            self._ended(number, cancellation.job)
        else:
            self._fail(number, f"{text}. {cancellation.text}")

    def _fail(self, number: int, error: str) -> None:
        self._finish(number, ItemState.FAILED, error)
        log.warning("Item %s failed: %s", self.ledger.entries[number].item_id, error)

    def _job_id(self, number: int) -> str | None:
        return self.ledger.entries[number].job_id

    def _finish(self, number: int, state: ItemState, error: str | None = None) -> None:
        entry = self.ledger.entries[number]
        entry.state, entry.error, entry.finished_at = state, error, time.time()
        self.ledger.touch(number)

    # ------------------------------------------------------------------ delivering

    def _start_deliveries(self) -> None:
        if self.deliver is None:
            return
        under_way = set(self._deliveries.values())
        for number in self.ledger.in_state(ItemState.RENDERED):
            if len(under_way) >= DELIVERIES:
                return
            if number not in under_way:
                job_id = self.ledger.entries[number].job_id
                assert job_id is not None
                self._deliveries[self._threads.submit(self.deliver, number, job_id)] = number
                under_way.add(number)

    def _collect(self) -> None:
        for future in [future for future in self._deliveries if future.done()]:
            number = self._deliveries.pop(future)
            entry = self.ledger.entries[number]
            try:
                entry.files = future.result()
            except Exception as error:  # whatever one item's response or store makes of it, the others go on
                entry.delivery_failed = True
                self._fail(number, f"the delivery failed: {describe_failure(error)}")
            else:
                entry.delivery_failed, entry.journal = False, {}
                self._finish(number, ItemState.SUCCEEDED)

    # ------------------------------------------------------------------ the end

    def cancel_active(self, cause: Cause, *, seconds: float) -> list[str]:
        """
        Cancel all renders that run, at the same time; return what could not be done, a sentence a render.

        :param seconds: after which no more is waited for.
        """
        left: list[str] = []
        calls = {number: partial(self._cancel, number, cause) for number in self.active}
        for number, ended in cancel_in_rounds(calls, seconds=seconds):
            if ended is None:
                left.append(f"{self.hook.vendor} job {self._job_id(number)}: no time was left")
            elif ended.outcome in (CancelOutcome.CANCELLED, CancelOutcome.GONE):
                self._finish(number, ItemState.CANCELLED, ended.text)
            elif ended.outcome is CancelOutcome.FINISHED and ended.job is not None:
                self._ended(number, ended.job)
            else:
                left.append(ended.text)
        return left

    def _cancel(self, number: int, cause: Cause) -> Cancellation:
        """Cancel a render with one poll: others wait meanwhile."""
        record = self.ledger.entries[number].record
        assert record is not None
        shown_by = record.shown_by(self.hook.find_wait)
        return cancel_video_job(self.hook, str(record.job_id), reason=cause.value, shown_by=shown_by, seconds=0)
