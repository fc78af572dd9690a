# SPDX-License-Identifier: Apache-2.0
"""
Who decides about a paid job: the try that holds it, as long as it runs, and by one policy however it ends.

| Airflow says of the task | what the try does with a job that still runs |
|---|---|
| a user failed, succeeded, skipped or deleted it, or cleared it while it ran | cancels it, where ``cancel_on_kill`` |
| it goes on, or waits for its next try | leaves it, or cancels it where no try follows and ``cancel_on_timeout`` |
| another try has taken the task over | leaves it: that try decides |
| nothing, since Airflow does not respond | leaves it, and says so |
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
    TaskDeferred,
)

from airflow_video_providers.exceptions import (
    SubmissionSupersededError,
    VideoApiError,
    VideoCostError,
    VideoJobCancelledError,
    VideoJobError,
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.submission.cancel import (
    Cancellation,
    CancelOutcome,
    CancelPolicy,
    Cause,
    cancel_video_job,
    how_to_cancel,
    must_be_shown_by,
)
from airflow_video_providers.submission.decisions import describe_prospect
from airflow_video_providers.submission.record import SubmissionStore
from airflow_video_providers.submission.resolve import find_submitted
from airflow_video_providers.submission.task_state import is_ended, read_state
from airflow_video_providers.submission.task_try import TaskTry

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

KILL_BUDGET = 4.0
"""Seconds that a killed worker gives to cancelling: Airflow kills its process 5 seconds after the signal."""
_KILL_POLLS = 3.0  # of them, the seconds in which a job that is not found is polled again

# What a try that was replaced may read as its own end. Any other state is that of the try which replaced it.
_ENDED_BY_A_CLEAR = frozenset({"restarting", "removed"})


class FinalVideoJobTimeoutError(VideoJobTimeoutError, AirflowFailException):
    """The time is over and the render is cancelled. Airflow does not retry: a retry would submit another one."""


class FinalVideoCostError(VideoCostError, AirflowFailException):
    """The render was too dear and is cancelled. Airflow does not retry: a retry would submit another one."""


class Standing(str, Enum):
    """What Airflow says of the task of a try."""

    CURRENT = "the try is the task's current one"
    ENDED = "a user ended the task"
    SUPERSEDED = "another try has taken the task over"
    UNKNOWN = "Airflow does not answer"


class Custody:
    """
    Holds the paid job of one try, and decides what becomes of it.

    :param get_hook: returns the hook of the job's connection.
    :param store: where the submission is recorded.
    :param policy: which ends cancel the job.
    :param context: of the running try.
    :param publish: shows a job that was polled.
    :param request: what the try submits; None in a process that only resumes a wait.
    :param find_wait: seconds after the submission in which the vendor may not show the job; default: the hook's.
    """

    def __init__(
        self,
        get_hook: Callable[[], VideoHook],
        store: SubmissionStore,
        policy: CancelPolicy,
        context: Context,
        *,
        publish: Callable[[VideoJob], object],
        request: Mapping[str, Any] | None = None,
        find_wait: float | None = None,
    ) -> None:
        self.job_id: str | None = None
        self._get_hook = get_hook
        self._store = store
        self._policy = policy
        self._ti: Any = context["ti"]
        self._ends_the_task = partial(TaskTry.of(context).ends_the_task, context=context)
        self._publish = publish
        self._request = request
        self._find_wait = find_wait
        self._killed = False
        self._page_url: str | None = None

    def hold(self, job: VideoJob) -> None:
        """Take note of the job: from now on it is decided about."""
        self.job_id = job.job_id
        self._page_url = job.page_url

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Apply the cancel policy to the job, however the ``with`` block ends."""
        kept: str | None = None
        try:
            yield
        except TaskDeferred:
            kept = self.job_id  # until Airflow has taken note of the deferral, a kill still comes to this process
            raise
        except (VideoJobError, VideoPollingError):
            raise  # the job has ended, or was given up in here
        except AirflowTaskTimeout as error:
            # It limits the try, not the render.
            if self.job_id is None and self._ends_the_task(error):
                self.job_id = self._find_interrupted()
            self._end(Cause.GIVEN_UP, error)
            raise
        except BaseException as error:
            self._end(Cause.GIVEN_UP, error)
            raise
        finally:
            # From here on the job belongs to the trigger, the next try, or the tasks downstream.
            self.job_id = kept

    # ------------------------------------------------------------------ kills

    def kill(self) -> None:
        """
        Cancel the job if a user ended the task; called in a signal handler while the try runs.

        Before the vendor has named the job there is nothing to cancel: :meth:`end_if_killed` makes up for it.
        """
        self._killed = True
        if self.job_id is None or not self._policy.applies(Cause.KILLED):
            return
        # In a thread of its own: the main thread may have been interrupted inside its conversation with the supervisor,
        # which must not be entered a second time.
        thread = threading.Thread(
            target=self._cancel_if_ended, args=(self.job_id,), name="cancel-video-job", daemon=True
        )
        thread.start()
        thread.join(KILL_BUDGET)
        if thread.is_alive():
            log.error("No time was left to see job %s cancelled; it may go on and be charged.", self.job_id)

    def end_if_killed(self, job: VideoJob, *, ask: bool = False) -> None:
        """
        Make up for a kill that came before there was a job, or that had no time.

        :param ask: ask Airflow even if no kill has come: it comes with a heartbeat only.
        :raises VideoJobCancelledError: the task was ended, and so was the job.
        :raises SubmissionSupersededError: another try has taken the task over.
        """
        if not (self._killed or ask):
            return
        standing = self.get_standing()
        if standing is Standing.SUPERSEDED:
            raise SubmissionSupersededError(self._left_alone(job.job_id, standing))
        if self._policy.applies(Cause.KILLED) and standing is Standing.ENDED:
            self._killed = False
            cancellation = self._cancel(job.job_id, Cause.KILLED)
            raise VideoJobCancelledError(cancellation.text, job=job)
        if self._killed:
            self._killed = False
            log.warning("%s", self._left_alone(job.job_id, standing))

    def keep_within(self, job: VideoJob, max_cost: float) -> None:
        """
        Cancel a job whose vendor names a cost above ``max_cost``, or none, in its response to the submission.

        A job that has ended, or runs without a cost, is left alone: nothing is saved any more.

        :raises VideoCostError: the job was cancelled, and Airflow does not retry; or it could not be cancelled, and the
            next try adopts it and cancels it.
        """
        if job.cost is not None and job.cost.amount is not None:
            is_within, cost = job.cost.amount <= max_cost, f"costs up to {job.cost}, more than max_cost={max_cost:g}"
        else:
            is_within, cost = job.state is JobState.RUNNING, f"names no cost, so max_cost={max_cost:g} cannot be kept"
        if is_within or job.state.is_terminal:
            return
        ended = self._cancel(job.job_id, Cause.TOO_DEAR)
        if ended.outcome is CancelOutcome.FINISHED:
            return
        is_over = ended.outcome is CancelOutcome.CANCELLED
        if is_over:
            self.job_id = None
        error = (FinalVideoCostError if is_over else VideoCostError)(
            f"{self._get_hook().hook_name}'s job {job.job_id} {cost}. {ended.text}"
        )
        error.job_goes_on = not is_over
        raise error

    def _cancel_if_ended(self, job_id: str) -> None:
        standing = self.get_standing()
        if standing is Standing.ENDED:
            self._cancel(job_id, Cause.KILLED)
        else:
            log.warning("The worker is being stopped. %s", self._left_alone(job_id, standing))
        self._killed = standing is Standing.SUPERSEDED  # such a try stops at its next poll

    def get_standing(self) -> Standing:
        """
        Ask Airflow what has become of the task.

        This is what tells a user's kill (the task is failed, cleared or succeeded by now) from a worker that is
        evicted, restarted or taken for dead (the task runs as far as Airflow knows, or another try runs already).
        """
        is_current = None
        try:
            is_current = self._store.is_current()
            state = read_state(self._ti)
        except Exception as error:  # whatever the supervisor or the API server says, its state is unknown
            log.warning("Airflow does not say whether the task is still wanted: %s", error)
            return Standing.SUPERSEDED if is_current is False else Standing.UNKNOWN
        if is_current:
            return Standing.ENDED if is_ended(state) else Standing.CURRENT
        return Standing.ENDED if state in _ENDED_BY_A_CLEAR else Standing.SUPERSEDED

    def check_current(self, job: VideoJob) -> None:
        """
        Refuse to go on with a try that Airflow has replaced; one that Airflow says nothing about may go on.

        :raises SubmissionSupersededError: another try has taken the task over.
        """
        try:
            is_current = self._store.is_current()
        except Exception as error:
            log.warning("Airflow does not say whether this try is still the task's current one: %s", error)
            return
        if not is_current:
            raise SubmissionSupersededError(self._left_alone(job.job_id, Standing.SUPERSEDED))

    # ------------------------------------------------------------------ the end of a wait

    def poll_once_more(self, job_id: str, error: Exception) -> VideoJob:
        """
        Return the job if it has ended: nobody has polled it since ``error`` ended the wait.

        :raises VideoJobTimeoutError: it has not; what became of it is in the text. ``VideoPollingError`` likewise.
        :raises Exception: ``error``, where it is of another kind; the caller's :meth:`deciding` sees to the job.
        """
        try:
            job = self._get_hook().get_job(job_id)
        except VideoApiError as failure:
            log.warning("The job could not be polled once more: %s", failure)
        else:
            if job.state.is_terminal:
                return job
            self._publish(job)
            if isinstance(error, TaskDeferralTimeout):
                text = f"No triggerer took care of the wait in time. Last seen: {job.describe()}"
                error = VideoJobTimeoutError(text, job=job)
        if isinstance(error, (VideoJobTimeoutError, VideoPollingError)):
            return self.give_up(error)
        raise error

    def give_up(self, error: VideoJobTimeoutError | VideoPollingError) -> VideoJob:
        """
        Cancel the job as far as the policy says; return it if it turns out to have ended.

        :raises VideoJobTimeoutError: the time is over; Airflow does not retry where the job was cancelled.
        :raises VideoPollingError: the vendor could not be asked for too long.
        """
        ended = self._end(Cause.GIVEN_UP if isinstance(error, VideoPollingError) else Cause.TIMED_OUT, error)
        if ended.outcome is CancelOutcome.FINISHED and ended.job is not None:
            return ended.job
        text = f"{error} {ended.text}"
        if isinstance(error, VideoPollingError):
            raise VideoPollingError(text, retry_after=error.retry_after) from error
        kind = FinalVideoJobTimeoutError if ended.outcome is CancelOutcome.CANCELLED else VideoJobTimeoutError
        raise kind(text, job=error.job) from error

    def _end(self, cause: Cause, error: BaseException) -> Cancellation:
        """Cancel the job as far as the policy says, of a try that fails with ``error``."""
        if self.job_id is None:
            return Cancellation(CancelOutcome.LEFT, "No job was submitted by this try, as far as is known.")
        standing = self.get_standing()
        if standing is Standing.ENDED and cause is Cause.GIVEN_UP:
            cause = Cause.KILLED
        last_try = self._ends_the_task(error)
        if standing is not Standing.SUPERSEDED and self._policy.applies(cause, last_try=last_try):
            return self._cancel(self.job_id, cause)
        text = self._left_alone(self.job_id, standing, last_try=last_try)
        log.warning("%s", text)
        return Cancellation(CancelOutcome.LEFT, text)

    def _cancel(self, job_id: str, cause: Cause) -> Cancellation:
        hook, record = self._get_hook(), self._store.record
        find_wait = hook.find_wait if self._find_wait is None else self._find_wait
        return cancel_video_job(
            hook,
            job_id,
            reason=cause.value,
            shown_by=must_be_shown_by(None, find_wait) if record is None else record.shown_by(find_wait),
            seconds=_KILL_POLLS if cause is Cause.KILLED else None,
        )

    def _left_alone(self, job_id: str, standing: Standing, *, last_try: bool = False) -> str:
        """Return the sentences for a job that is not cancelled: whose it is from now on, and what is sure of that."""
        hook, record = self._get_hook(), self._store.record
        name = f"{hook.vendor} job {job_id}"
        is_recorded = record is not None and record.job_id == job_id
        if standing is Standing.SUPERSEDED:
            how = how_to_cancel(hook.conn_id, job_id, self._page_url)
            unless = "" if is_recorded else f" If that try does not find it: {how}"
            return f"{name} is left alone: another try has taken this task over, and decides about it.{unless}"
        if standing is Standing.ENDED:
            how = how_to_cancel(hook.conn_id, job_id, self._page_url)
            return f"{name} was not cancelled although the task was ended, since the task does not want that. {how}"
        if last_try or record is None:
            return f"{name} was not cancelled."
        if is_recorded:
            return f"{name} was not cancelled; the next try adopts it."
        record = record.updated(job_id=job_id)
        return f"{name} was not cancelled, and its id is not recorded. {describe_prospect(hook, record)}"

    def _find_interrupted(self) -> str | None:
        """
        Return the id of the job of a request that was interrupted, for a task that no other try will look after.

        One search, since the task has no time left. Where it shows nothing, the log names the doubt: a list may lag.
        """
        job = None
        hook = self._get_hook()
        try:
            record = self._store.read()
            if record is None or record.state != "intended":
                return None
            if hook.key_support is not KeySupport.NONE:
                job = find_submitted(hook, record, self._request or record.search or {})
        except Exception as failure:  # it must not take the place of what ended the task
            log.warning("No search for the job of the interrupted request: %s", failure)
        if job is None:
            log.error(
                "The task ended while it sent its request: a render may have been submitted to %s and may be charged. "
                "Check the vendor's app for a video created now.",
                hook.hook_name,
            )
        return None if job is None else job.job_id
