# SPDX-License-Identifier: Apache-2.0
"""One try of a bulk task: what an earlier try left, the window, the manifest, the summary, the end."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_video_providers.bulk.items import Render, read_items
from airflow_video_providers.bulk.ledger import Entry, EntryJournal, ItemState, Ledger
from airflow_video_providers.bulk.manifest import Manifest, default_manifest
from airflow_video_providers.bulk.submissions import Submitter
from airflow_video_providers.bulk.window import Window, WindowRules
from airflow_video_providers.delivery.names import safe_id
from airflow_video_providers.exceptions import SubmissionSupersededError, VideoProviderError
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.jobs import JobCost
from airflow_video_providers.submission.cancel import CancelPolicy, Cause, cancel_video_job, is_ended, state_among
from airflow_video_providers.submission.resolve import find_submitted
from airflow_video_providers.submission.task_try import TaskTry

if TYPE_CHECKING:
    from airflow.sdk import Context

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
    deployment: str = ""


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
        self.items = read_items(settings.requests, conn_id=settings.conn_id, render=render)
        self.ledger = Ledger(context["task_state_store"], self.items)
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
        self._killed = threading.Event()
        self._logged_at = time.monotonic()
        self._began = (time.monotonic(), 0)

    # ------------------------------------------------------------------ running

    def run(self, event: Mapping[str, Any] | None, *, may_leave: bool) -> bool:
        """
        Work until all items are final (True), or until there is only waiting left (False).

        :raises VideoProviderError: what concerns all items.
        """
        generation = self._take_over(event is not None)
        submitter = Submitter(
            self.hook,
            self.ledger,
            self.items,
            task_try=self.task_try,
            generation=generation,
            resubmit_ambiguous=self.settings.resubmit_ambiguous,
            deployment=self.settings.deployment,
        )
        self._settle(submitter, is_new_try=event is None)
        window = self._window = Window(
            self.hook,
            self.ledger,
            self.items,
            WindowRules(
                max_active=self.settings.max_active,
                most_failures=self._most_failures(),
                timeout=self.settings.timeout,
                poll_interval=self.settings.poll_interval,
                policy=self.settings.policy,
                seed=self.seed,
            ),
            submitter,
            deliver=None if self.settings.destination is None else self._deliver,
            on_checkpoint=self._checkpoint,
        )
        self._began = (time.monotonic(), self._count(ItemState.SUCCEEDED))
        if event is not None:
            window.take_events(event.get("ended") or ())
        self.manifest.write(self.ledger.entries)
        try:
            done = window.run(may_leave=may_leave)
        except BaseException as error:
            self._give_up(window, error)
            raise
        if done and window.stopped:
            self._end_active(window, Cause.GIVEN_UP)
        self.ledger.flush()
        self.manifest.write(self.ledger.entries)
        return done

    def close(self) -> None:
        """Stop what still runs in threads."""
        if self._window is not None:
            self._window.close()

    def _take_over(self, resumed: bool) -> int:
        """Take the ledger over from an earlier try, and return the generation of this one's renders."""
        ledger, task_try = self.ledger, self.task_try
        cleared = (
            ledger.last_try is not None
            and ledger.max_tries is not None
            and task_try.cleared_since(last_try=ledger.last_try, max_tries=ledger.max_tries)
        )
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
        """End what an outdated render still costs; whatever goes wrong here must not stop the new ones."""
        if not self.settings.policy.applies(Cause.SUPERSEDED):
            return
        for entry in outdated:
            record = entry.record
            if record is None or record.state == "refused" or entry.state.is_final:
                continue
            try:
                job_id = record.job_id
                if job_id is None and self.hook.key_support is KeySupport.EXACT:
                    job = find_submitted(self.hook, record, record.search or {})
                    job_id = None if job is None else job.job_id
                if job_id is None:
                    log.warning("The outdated render of item %s was not found; it may still run.", entry.item_id)
                else:
                    cancel_video_job(self.hook, job_id, reason=Cause.SUPERSEDED.value)
            except Exception as error:
                log.warning("The outdated render of item %s may still run: %s", entry.item_id, error)

    def _settle(self, submitter: Submitter, *, is_new_try: bool) -> None:
        """Find out what became of the items that an earlier try left; within one try there is nothing to find out."""
        if not is_new_try:
            return
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
            log.info("Looking for what became of %d items of an earlier try.", len(numbers))
            for _ in submitter.settle(numbers):
                pass
            self.ledger.flush()

    # ------------------------------------------------------------------ delivering

    def _deliver(self, number: int, job_id: str) -> list[dict[str, Any]]:
        from airflow_video_providers.delivery.delivery import DeliveryRules
        from airflow_video_providers.delivery.job_files import JobFiles
        from airflow_video_providers.delivery.selection import select_outputs
        from airflow_video_providers.delivery.source.links import wait_for_outputs
        from airflow_video_providers.delivery.source.patience import DownloadSettings

        assert self.settings.destination is not None
        rules = DeliveryRules(
            if_exists=self.settings.if_exists,
            download=DownloadSettings(
                client=self.hook.settings,
                streams=self.settings.streams,
                plain_http=self.hook.base_url.lower().startswith("http:"),
            ),
        )
        destination = self.settings.destination.replace("{id}", _literal(safe_id(self.items[number].item_id)))
        offered = wait_for_outputs(lambda: self.hook.get_outputs(job_id), rules.download)
        outputs = select_outputs(offered, self.settings.outputs, whose=f"{self.hook.vendor} job {job_id}")
        files = JobFiles(self.hook, job_id, destination, rules, EntryJournal(self.ledger, number))
        return [delivered.to_xcom() for delivered in files.deliver(outputs)]

    # ------------------------------------------------------------------ the end

    def kill(self) -> None:
        """Cancel what runs if a user ended the task; called from a signal handler, in a thread of its own."""
        self._killed.set()
        window = self._window
        if window is None or not self.settings.policy.applies(Cause.KILLED):
            return
        thread = threading.Thread(target=self._cancel_if_ended, args=(window,), name="cancel-video-jobs", daemon=True)
        thread.start()
        thread.join(KILL_SECONDS)

    def check_wanted(self) -> None:
        """
        Ask Airflow whether the task is still wanted before a deferral, which it would refuse otherwise.

        :raises SubmissionSupersededError: a user ended it; what ran was cancelled as far as the policy says.
        """
        if self._killed.is_set() and self._window is not None and self._is_ended_by_user():
            self._end_active(self._window, Cause.KILLED)
            raise SubmissionSupersededError("A user ended the task; nothing more is submitted.")

    def _cancel_if_ended(self, window: Window) -> None:
        if self._is_ended_by_user():
            for left in window.cancel_active(Cause.KILLED, seconds=KILL_SECONDS):
                log.error("Not cancelled, it may go on and be charged: %s", left)
        else:
            log.warning("The worker is being stopped, and Airflow has not ended the task: the next try goes on.")

    def _is_ended_by_user(self) -> bool:
        ti = self.ti
        map_index = -1 if ti.map_index is None else int(ti.map_index)
        try:
            states = ti.get_task_states(
                dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=map_index
            )
        except Exception as error:  # whatever the supervisor or the API server says, the answer is unknown
            log.warning("Airflow does not say whether the task is still wanted; its renders are left alone: %s", error)
            return False
        return is_ended(state_among(states, ti.run_id))

    def _give_up(self, window: Window, error: BaseException) -> None:
        """Decide about what runs when the try ends by an error."""
        if isinstance(error, SubmissionSupersededError):
            return
        if self._ends_the_task(error, self._context):
            self._end_active(window, Cause.GIVEN_UP)
        elif window.active:
            log.warning("%d renders go on; the next try adopts them.", len(window.active))
        try:
            self.ledger.flush()
            self.manifest.write(self.ledger.entries)
        except Exception as failure:  # it must not take the place of what ended the task
            log.warning("The ledger or the manifest could not be written: %s", failure)

    def _end_active(self, window: Window, cause: Cause) -> None:
        if not window.active:
            return
        if not self.settings.policy.applies(cause):
            log.warning("%d renders were not cancelled; they go on.", len(window.active))
            return
        for left in window.cancel_active(cause, seconds=_CANCEL_SECONDS):
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
                "deadline": wait.limits.deadline,
            }
            for number, wait in self._window.polls.waiting().items()
        ]

    def wake_at(self) -> int:
        """Return how many ended renders are worth a worker: a quarter of the window, at the end all of them."""
        active = self._count(ItemState.RUNNING)
        pending = self._count(ItemState.PENDING)
        return max(1, active // 4) if pending else active

    def failed_too_many(self) -> bool:
        """Tell whether more items failed than are allowed."""
        return self._failures() > self._most_failures()

    def could_retry(self) -> bool:
        """Tell whether a retry may change anything: an item failed for a reason that may pass, or was never tried."""
        return any(
            entry.delivery_failed
            or entry.state in (ItemState.CANCELLED, ItemState.PENDING)
            or (entry.state is ItemState.FAILED and not entry.is_hopeless)
            for entry in self.ledger.entries
            if entry.state is not ItemState.SUCCEEDED
        )

    def summary(self) -> dict[str, Any]:
        """Return the counts: plain JSON."""
        entries = self.ledger.entries
        return {
            "requested": len(entries),
            "succeeded": self._count(ItemState.SUCCEEDED),
            "failed": self._count(ItemState.FAILED),
            "ambiguous": self._count(ItemState.AMBIGUOUS),
            "cancelled": self._count(ItemState.CANCELLED),
            "bytes": sum(int(file.get("size") or 0) for entry in entries for file in entry.files),
            "cost": _total(entry.cost for entry in entries),
            "manifest": self.manifest.uri,
        }

    def describe(self) -> str:
        """Return one line: what is done, active and failed, how fast, and how long it still takes."""
        total, done = len(self.ledger.entries), self._count(ItemState.SUCCEEDED)
        text = f"{done} of {total} done"
        parts = {
            "active": self._count(ItemState.RUNNING),
            "to deliver": self._count(ItemState.RENDERED),
            "failed": self._count(ItemState.FAILED),
            "ambiguous": self._count(ItemState.AMBIGUOUS),
            "cancelled": self._count(ItemState.CANCELLED),
        }
        text += "".join(f", {count} {name}" for name, count in parts.items() if count)
        since, before = self._began
        minutes = (time.monotonic() - since) / 60
        left = total - done - self._failures()
        if done > before and minutes > 0.1 and left:
            rate = (done - before) / minutes
            text += f"; {rate:.1f} a minute, about {left / rate:.0f} min left"
        return text

    def _checkpoint(self) -> None:
        if time.monotonic() - self._logged_at >= _LOG_EVERY:
            self._logged_at = time.monotonic()
            log.info("%s", self.describe())
        if self.manifest.is_due():
            try:
                self.manifest.write(self.ledger.entries)
            except VideoProviderError as error:  # it is written again at the end
                log.warning("The manifest could not be written: %s", error)

    def _count(self, state: ItemState) -> int:
        return sum(1 for _ in self.ledger.in_state(state))

    def _failures(self) -> int:
        return sum(1 for _ in self.ledger.in_state(ItemState.FAILED, ItemState.AMBIGUOUS, ItemState.CANCELLED))

    def _most_failures(self) -> int:
        share = self.settings.max_failures
        return int(share * len(self.items)) if isinstance(share, float) and share < 1 else int(share)


def _literal(text: str) -> str:
    """Return a text that a template gives back as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def _total(costs: Iterable[JobCost | None]) -> dict[str, Any] | None:
    """Return the sum of costs of one unit; None where there are none, or of several units."""
    known = [(cost.amount, cost.unit) for cost in costs if cost is not None and cost.amount is not None]
    if len({unit for _, unit in known}) != 1:
        return None
    return {"amount": round(math.fsum(amount for amount, _ in known), 6), "unit": known[0][1]}
