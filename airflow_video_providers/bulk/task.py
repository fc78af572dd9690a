# SPDX-License-Identifier: Apache-2.0
"""One try of a bulk task: what an earlier try left, the window, the manifest, the summary, the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_video_providers.bulk.cancels import cancel_in_rounds
from airflow_video_providers.bulk.files import ItemFiles
from airflow_video_providers.bulk.items import Render, read_items
from airflow_video_providers.bulk.ledger import Entry, ItemState, Ledger
from airflow_video_providers.bulk.manifest import Manifest, default_manifest
from airflow_video_providers.bulk.report import Report
from airflow_video_providers.bulk.submissions import Submitter
from airflow_video_providers.bulk.window import Window, WindowRules
from airflow_video_providers.exceptions import (
    SubmissionSupersededError,
    VideoApiError,
    VideoPollingError,
    VideoProviderError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.submission.callback import CallbackPlan
from airflow_video_providers.submission.cancel import Cancellation, CancelOutcome, CancelPolicy, Cause, cancel_video_job
from airflow_video_providers.submission.record import SubmissionRecord
from airflow_video_providers.submission.resolve import find_submitted
from airflow_video_providers.submission.task_state import is_ended, read_state
from airflow_video_providers.submission.task_try import TaskTry

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_video_providers.delivery.media_check import Checks

log = logging.getLogger(__name__)

KILL_SECONDS = 4.0
"""Seconds that a killed worker gives to cancelling: Airflow kills its process 5 seconds after the signal."""
_CANCEL_SECONDS = 60.0
_LOG_EVERY = 60.0


@dataclass(frozen=True)
class Settings:
    """The arguments of the operator."""

    conn_id: str
    requests: Any
    destination: str | None
    manifest: str | None
    max_active: int
    max_failures: float
    on_clear: str
    outputs: str | Sequence[str]
    if_exists: str
    streams: int
    poll_interval: float
    timeout: float
    policy: CancelPolicy
    resubmit_ambiguous: bool
    max_bytes: int | None = None
    checks: Checks = "strict"
    deployment: str = ""
    callback: bool = False


class BulkTask:
    """
    One try of the task, or one part of it between two deferrals.

    :param render: makes a request of a row, where there is a template.
    """

    def __init__(self, hook: VideoHook, context: Context, settings: Settings, *, render: Render | None) -> None:
        self.hook, self.settings = hook, settings
        self.ti = context["ti"]
        self.task_try = TaskTry.of(context)
        self._context = context
        self._ends_the_task = self.task_try.ends_the_task
        self._render = render
        place = (self.task_try.dag_id, self.task_try.run_id, self.task_try.task_id)
        self.seed = f"{' '.join(place)} {self.task_try.map_index}"
        self.manifest = Manifest(
            settings.manifest
            or default_manifest(
                settings.destination or "",
                dag_id=place[0],
                run_id=place[1],
                task_id=place[2],
                map_index=self.task_try.map_index,
            )
        )
        self._window: Window | None = None
        self._logged_at = time.monotonic()

    def open(self) -> None:
        """
        Read and check all items, and what earlier tries have written of them.

        :raises VideoConfigurationError: an item cannot be rendered; nothing was submitted.
        """
        settings = self.settings
        self.items = read_items(settings.requests, conn_id=settings.conn_id, render=self._render)
        self.ledger = Ledger(self._context["task_state_store"], self.items)
        self.report = Report(self.ledger, manifest=self.manifest.uri, max_failures=settings.max_failures)
        self._files = None
        if settings.destination is not None:
            self._files = ItemFiles(
                self.hook,
                self.ledger,
                settings.destination,
                outputs=settings.outputs,
                if_exists=settings.if_exists,
                max_bytes=settings.max_bytes,
                checks=settings.checks,
                streams=settings.streams,
            )

    # ------------------------------------------------------------------ running

    def run(self, event: Mapping[str, Any] | None, *, may_leave: bool) -> bool:
        """
        Work until all items are final (True), or until there is only waiting left (False).

        :param event: what the trigger has seen, after a deferral.
        :raises VideoProviderError: what concerns all items.
        """
        self.open()
        # The event of an earlier try's trigger can arrive after a clear.
        is_new_try = event is None or self.ledger.last_try != self.task_try.try_number
        generation = self._take_over()
        submitter = Submitter(
            self.hook,
            self.ledger,
            self.items,
            task_try=self.task_try,
            generation=generation,
            resubmit_ambiguous=self.settings.resubmit_ambiguous,
            deployment=self.settings.deployment,
            callback=CallbackPlan(self.hook) if self.settings.callback else None,
        )
        window = self._window = Window(
            self.hook,
            self.ledger,
            self.items,
            WindowRules(
                max_active=self.settings.max_active,
                most_failures=self.report.most_failures,
                timeout=self.settings.timeout,
                poll_interval=self.settings.poll_interval,
                policy=self.settings.policy,
                seed=self.seed,
            ),
            submitter,
            deliver=None if self._files is None else self._files.deliver,
            on_checkpoint=self._checkpoint,
        )
        try:
            if is_new_try:
                self.manifest.write(self.ledger.entries)
                self._settle(submitter)
            if event is not None:
                self._take_event(window, event)
            window.resume(is_new_try=is_new_try)
            done = window.run(may_leave=may_leave)
        except BaseException as error:
            self._give_up(window, error)
            raise
        if done and window.stopped:
            self._end_active(window, Cause.GIVEN_UP)
        self.ledger.flush()
        self.manifest.write(self.ledger.entries)
        return done

    def _take_event(self, window: Window, event: Mapping[str, Any]) -> None:
        """
        Take in what the trigger saw.

        :raises VideoPollingError: it gave polling up, and one more poll fails, too.
        """
        window.take_events(event.get("ended") or ())
        if event.get("error") and (active := window.active):
            try:
                self.hook.get_job(str(self.ledger.entries[active[0]].job_id))
            except VideoApiError as error:
                raise VideoPollingError(str(event["error"]), retry_after=error.retry_after) from error

    def close(self) -> None:
        """Stop what still runs in threads."""
        if self._window is not None:
            self._window.close()

    def _take_over(self) -> int:
        """Take the ledger over from an earlier try, and return the generation of this one's renders."""
        ledger, task_try = self.ledger, self.task_try
        cleared = ledger.max_tries is not None and task_try.cleared_since(max_tries=ledger.max_tries)
        outdated = ledger.take_superseded()
        generation = max((entry.record.generation for entry in ledger.entries if entry.record), default=0)
        if cleared:
            log.info("The task was cleared: rendering %s again.", self.settings.on_clear)
            outdated += self._reset()
            generation = max(task_try.first_try, (ledger.last_try or 0) + 1)
        ledger.begin(try_number=task_try.try_number, max_tries=task_try.max_tries)
        self._cancel_outdated(outdated)
        return generation or task_try.first_try

    def _reset(self) -> list[Entry]:
        """Make the entries that a clear asks for new ones; return those that were."""
        every, outdated = self.settings.on_clear == "all", []
        for number, entry in enumerate(self.ledger.entries):
            if every or entry.state in (ItemState.FAILED, ItemState.CANCELLED):
                if entry.record is not None:
                    outdated.append(entry)
                self.ledger.entries[number] = Entry(item_id=entry.item_id, fingerprint=entry.fingerprint)
                self.ledger.touch(number)
        return outdated

    def _cancel_outdated(self, outdated: Sequence[Entry]) -> None:
        """End what outdated renders still cost, all at the same time; the new ones wait for a minute at the most."""
        if not self.settings.policy.applies(Cause.SUPERSEDED):
            return
        calls = {
            (number, entry.item_id): partial(self._cancel_one_outdated, entry.record)
            for number, entry in enumerate(outdated)  # an item can have two
            if entry.record is not None and entry.record.state != "refused" and not entry.state.is_final
        }
        for (_, item_id), ended in cancel_in_rounds(calls, seconds=_CANCEL_SECONDS):
            if ended is None or ended.outcome in (CancelOutcome.LEFT, CancelOutcome.NOT_SHOWN):
                text = "no time was left to cancel it" if ended is None else ended.text
                log.error("The outdated render of item %s may still run: %s", item_id, text)

    def _cancel_one_outdated(self, record: SubmissionRecord) -> Cancellation:
        try:
            job_id = record.job_id
            if job_id is None and self.hook.key_support is KeySupport.EXACT:
                job = find_submitted(self.hook, record, record.search or {})
                job_id = None if job is None else job.job_id
            if job_id is None:
                return Cancellation(CancelOutcome.LEFT, "it was not found")
            shown_by = record.shown_by(self.hook.find_wait)
            return cancel_video_job(self.hook, job_id, reason=Cause.SUPERSEDED.value, shown_by=shown_by, seconds=0)
        except Exception as error:  # whatever goes wrong here must not stop the new renders
            return Cancellation(CancelOutcome.LEFT, str(error) or type(error).__name__)

    def _settle(self, submitter: Submitter) -> None:
        """Find out what became of the items that an earlier try left."""
        numbers: list[int] = []
        for number, entry in enumerate(self.ledger.entries):
            if entry.delivery_failed and entry.state is ItemState.FAILED:
                entry.state, entry.error, entry.finished_at = ItemState.RENDERED, None, None
                self.ledger.touch(number)
            elif (
                entry.state in (ItemState.AMBIGUOUS, ItemState.CANCELLED)
                or (entry.state is ItemState.FAILED and not entry.is_hopeless)
                or (entry.state is ItemState.PENDING and entry.record is not None)
            ):
                numbers.append(number)
        if numbers:
            log.info("Finding out what became of %d items of an earlier try.", len(numbers))
            for _ in submitter.settle(numbers):
                pass
            self.ledger.flush()

    # ------------------------------------------------------------------ the end

    def kill(self) -> None:
        """Submit no more, and cancel what runs if a user ended the task; called from a signal handler."""
        window = self._window
        if window is None:
            return
        window.hold()
        # In a thread of its own: the main thread may have been interrupted inside its conversation with the supervisor.
        thread = threading.Thread(target=self._end_if_killed, args=(window,), name="cancel-video-jobs", daemon=True)
        thread.start()
        thread.join(KILL_SECONDS)

    def check_wanted(self) -> None:
        """
        Ask Airflow whether the task is still wanted, before a deferral: it would refuse that otherwise.

        :raises SubmissionSupersededError: a user ended it; what ran was cancelled as far as the policy says.
        """
        if self._window is not None and self._is_ended_by_user():
            self._end_active(self._window, Cause.KILLED)
            self.manifest.write(self.ledger.entries)
            raise SubmissionSupersededError("A user ended the task; nothing more is submitted.")

    def _end_if_killed(self, window: Window) -> None:
        if not self._is_ended_by_user():
            log.warning("The worker is being stopped, and Airflow has not ended the task: the next try goes on.")
            return
        self._end_active(window, Cause.KILLED, seconds=KILL_SECONDS)
        if self._files is not None:
            self._files.abort(window.delivering)
        self.manifest.write(self.ledger.entries)

    def _is_ended_by_user(self) -> bool:
        try:
            return is_ended(read_state(self.ti))
        except Exception as error:  # whatever the supervisor or the API server says, its state is unknown
            log.warning("Airflow does not say whether the task is still wanted; its renders are left alone: %s", error)
            return False

    def _give_up(self, window: Window, error: BaseException) -> None:
        """Decide about what runs when the try ends by an error."""
        if isinstance(error, SubmissionSupersededError):
            # The signal that tells of a user's act comes with a heartbeat, which may be later than this.
            if self._is_ended_by_user():
                self._end_active(window, Cause.KILLED)
            return
        if self._ends_the_task(error, self._context):
            self._end_active(window, Cause.GIVEN_UP)
            if self._files is not None:
                self._files.abort(window.delivering)
        elif window.active:
            log.warning("%d renders go on; the next try adopts them.", len(window.active))
        try:
            self.ledger.flush()
            self.manifest.write(self.ledger.entries)
        except Exception as failure:  # it must not take the place of what ended the task
            log.warning("The ledger or the manifest could not be written: %s", failure)

    def _end_active(self, window: Window, cause: Cause, *, seconds: float = _CANCEL_SECONDS) -> None:
        if not window.active:
            return
        if not self.settings.policy.applies(cause):
            log.warning("%d renders were not cancelled; they go on.", len(window.active))
            return
        for left in window.cancel_active(cause, seconds=seconds):
            log.error("Not cancelled, it may go on and be charged: %s", left)

    # ------------------------------------------------------------------ what others see

    def waiting_jobs(self) -> list[dict[str, Any]]:
        """Return what a trigger needs to know of the renders that run."""
        assert self._window is not None
        return [
            {
                "number": number,
                "vendor": self.hook.vendor,
                "job_id": wait.job.job_id,
                "key": self._key_of(number),
                "deadline": wait.limits.deadline,
                "submitted_at": self.ledger.entries[number].submitted_at,
            }
            for number, wait in self._window.polls.waiting().items()
        ]

    @property
    def usual(self) -> float | None:
        """How long the renders of this list take, in seconds; None before one has ended."""
        return None if self._window is None else self._window.polls.usual

    def _key_of(self, number: int) -> str | None:
        record = self.ledger.entries[number].record
        return None if record is None else record.key

    def wake_at(self) -> int:
        """Return how many ended renders are worth a worker: a quarter of the window, at the end all of them."""
        active, pending = self.report.count(ItemState.RUNNING), self.report.count(ItemState.PENDING)
        return max(1, active // 4) if pending else active

    def _checkpoint(self) -> None:
        if time.monotonic() - self._logged_at >= _LOG_EVERY:
            self._logged_at = time.monotonic()
            log.info("%s", self.report.describe())
        if self.manifest.is_due():
            try:
                self.manifest.write(self.ledger.entries)
            except VideoProviderError as error:  # it is written again at the end
                log.warning("The manifest could not be written: %s", error)
