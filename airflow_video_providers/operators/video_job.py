# SPDX-License-Identifier: Apache-2.0
"""The operator that submits a render exactly once, for every vendor whose hook is a ``VideoHook``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
)

from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobError,
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.links import VideoJobLink, link_xcoms
from airflow_video_providers.operators.arguments import (
    as_request,
    as_seconds,
    check_conn_id,
    check_count,
    check_flag,
    is_final,
)
from airflow_video_providers.operators.cancel_video_job import CancelVideoJobOperator
from airflow_video_providers.submission.cancel import (
    Cancellation,
    CancelOutcome,
    CancelPolicy,
    Cause,
    cancel_if_unwanted,
    cancel_if_unwanted_within,
    cancel_video_job,
    is_wanted,
)
from airflow_video_providers.submission.record import TaskTry, read_record
from airflow_video_providers.submission.submit import (
    DEFAULT_FIND_WAIT,
    JobSubmission,
    OnAmbiguous,
    Submission,
    doubtful_job,
)
from airflow_video_providers.waiting.in_worker import wait_for_job
from airflow_video_providers.waiting.outcome import raise_unless_succeeded
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL
from airflow_video_providers.waiting.wait import DEFAULT_MAX_POLL_FAILURES, Limits

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_video_providers.hooks.base import VideoHook
    from airflow_video_providers.jobs import VideoJob
    from airflow_video_providers.submission.record import SubmissionRecord

__all__ = ["CancelVideoJobOperator", "SubmitVideoJobOperator", "VideoJobTimedOutError"]

DEFAULT_TIMEOUT = timedelta(hours=6)
DEFERRAL_GRACE = 600.0
"""Seconds after the own deadline at which Airflow itself ends a deferral that no triggerer takes care of."""


class VideoJobTimedOutError(VideoJobTimeoutError, AirflowFailException):
    """The time is over and the render is cancelled. Airflow does not retry: a retry would buy another one."""


class SubmitVideoJobOperator(BaseOperator):
    """
    Submit one render to the vendor of a connection, and wait for it if asked to.

    One task buys one render, whatever happens to its workers: a retry adopts the job that an earlier try bought while
    it is active or has succeeded, and submits anew only when it failed, was cancelled or is gone. A clear means a new
    render, and so does a changed request: a request that contains the time or the try number is a new one on each
    retry. Where it cannot be known whether a lost try bought a render, ``AmbiguousSubmissionError`` says what to check.

    Returns the job id; the XCom ``video_job`` holds the job as last seen, and the button "Video job" leads to its page.

    :param conn_id: the Airflow connection; its type decides the vendor. (templated)
    :param request: the vendor's own JSON body, as a mapping or as JSON text. (templated)
    :param wait_for_completion: whether the task succeeds only when the render has (default: when it is submitted).
    :param deferrable: wait in the triggerer, not in a worker. Default: ``[operators] default_deferrable``.
    :param poll_interval: longest time between two looks at the job, in seconds.
    :param timeout: how long the render may take, counted from its submission; seconds or a timedelta, default 6 hours.
        When it is over, the job is cancelled (``cancel_on_timeout``) and the task fails without a retry, which would
        buy another render. A job that could not be cancelled, or was not to be, is adopted by the retry; its time is
        over at once unless it has ended.
    :param cancel_on_kill: cancel the job when a person fails, succeeds or clears the waiting task, and an outdated one
        before a new render replaces it. A worker that is stopped while the task should go on does not cancel.
    :param cancel_on_timeout: cancel the job at ``timeout``, and when the last try gives the wait up:
        ``execution_timeout``, a vendor that cannot be asked for too long, a crashed trigger.
    :param on_ambiguous: ``fail`` (default) or ``resubmit``, which may pay twice.
    :param find_wait: seconds for which a vendor's list may lag behind a submission; a job that is not shown for so long
        was surely not bought (default 60).
    :param max_poll_failures: how many looks in a row may fail before the wait is given up.

    :raises VideoConfigurationError: an argument cannot work; nothing was sent.
    :raises SubmissionKeyConflictError: the request fills the field that must carry our key; nothing was sent.
    :raises AmbiguousSubmissionError: see above.
    :raises VideoApiError: the vendor refused the request, or could not be reached.
    :raises VideoJobFailedError: the render failed, with the vendor's reason; ``VideoJobCancelledError`` if cancelled.
    :raises VideoJobTimeoutError: the render took longer than ``timeout``.
    :raises VideoPollingError: the vendor could not be asked about the job; a retry adopts it.
    """

    template_fields: Sequence[str] = ("conn_id", "request")
    template_fields_renderers: ClassVar[dict[str, str]] = {"request": "json"}
    operator_extra_links = (VideoJobLink(),)
    ui_color = "#e4e0f7"
    _ends_the_task: Callable[[BaseException], bool]

    def __init__(
        self,
        *,
        conn_id: str,
        request: Mapping[str, Any] | str,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        on_ambiguous: OnAmbiguous = "fail",
        find_wait: float = DEFAULT_FIND_WAIT,
        max_poll_failures: int = DEFAULT_MAX_POLL_FAILURES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.request = request
        if is_final(conn_id):
            check_conn_id(conn_id)
        if is_final(request):
            as_request(request)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = as_seconds("poll_interval", poll_interval)
        self.timeout = as_seconds("timeout", timeout)
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.on_ambiguous = on_ambiguous
        self.find_wait = find_wait
        self.max_poll_failures = max_poll_failures
        for name in ("wait_for_completion", "deferrable", "cancel_on_kill", "cancel_on_timeout"):
            check_flag(name, getattr(self, name))
        check_count("max_poll_failures", max_poll_failures, least=0)
        if on_ambiguous not in ("fail", "resubmit"):
            raise VideoConfigurationError(f'on_ambiguous must be "fail" or "resubmit", not {on_ambiguous!r}')
        if not isinstance(find_wait, (int, float)) or find_wait < 0:
            raise VideoConfigurationError(f"find_wait must be a number of seconds, 0 or more, not {find_wait!r}")
        self.job_page_url: str | None = None
        self._ti: Any = None
        self._job_id: str | None = None
        self._killed = False

    @cached_property
    def hook(self) -> VideoHook:
        """The vendor's hook."""
        from airflow_video_providers.hooks.base import get_video_hook

        return get_video_hook(self.conn_id)

    @property
    def policy(self) -> CancelPolicy:
        """When the job is cancelled."""
        return CancelPolicy(on_kill=self.cancel_on_kill, on_timeout=self.cancel_on_timeout)

    # ------------------------------------------------------------------ what Airflow calls

    def execute(self, context: Context) -> str:
        """Submit or adopt, then wait where asked to."""
        check_conn_id(self.conn_id)
        request = as_request(self.request)
        with self._deciding(context):
            submission = JobSubmission(
                hook=self.hook,
                store=context["task_state_store"],
                task_try=TaskTry.of(context),
                on_ambiguous=self.on_ambiguous,
                find_wait=self.find_wait,
                policy=self.policy,
                on_job=self._remember,
                deployment=conf.get("api", "base_url", fallback="") or "",
            ).submit_or_adopt(request)
            self._end_if_killed(submission.job)
            self._publish(submission.job)
            if not self.wait_for_completion:
                return submission.job.job_id
            return self._wait(submission)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """
        Finish a deferred wait with the event of its trigger; a task that needs nothing more is ended by the trigger.

        The event of an earlier try's trigger can arrive after a clear. It is not believed: the task then begins anew.
        """
        from airflow_video_providers.jobs import VideoJob
        from airflow_video_providers.triggers.video_job import job_from_event

        job = VideoJob.from_xcom(event["job"])
        record = read_record(context["task_state_store"])
        if record is None or record.job_id != job.job_id or _is_from_before_a_clear(record, context):
            self.log.warning("An earlier try's trigger reported %s; it is not this try's.", job.describe())
            return self.execute(context)
        with self._deciding(context):
            self._remember(job)
            self._publish(job)
            try:
                return job_from_event(event).job_id
            except (VideoJobTimeoutError, VideoPollingError) as error:
                # It may have taken a while until a worker was free.
                return self._last_look(job.job_id, error)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume after a deferral. When Airflow ended it (no triggerer in time, a crashed trigger), neither the trigger
        nor ``execute_complete`` had a say in what becomes of the job: that is decided here.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            record = read_record(context["task_state_store"])
            if record is None or record.job_id is None:
                raise
            if _is_from_before_a_clear(record, context):
                self.log.warning("An earlier try's deferral ended (%s); it is not this try's.", error)
                return self.execute(context)
            with self._deciding(context):
                self._job_id = record.job_id
                return self._last_look(record.job_id, error)

    def on_kill(self) -> None:
        """
        Cancel the job if a person ended the task; called while :meth:`execute` is interrupted.

        Before the vendor has named the job there is nothing to cancel: that is made up for as soon as it has.
        """
        self._killed = True
        if self._job_id is None or not self.policy.applies(Cause.KILLED):
            return
        if cancel_if_unwanted_within(self.hook, self._job_id, self._ti):
            self._killed = False
        else:
            self.log.error("No time was left to see job %s cancelled; it may go on and be charged", self._job_id)

    # ------------------------------------------------------------------ waiting

    def _wait(self, submission: Submission) -> str:
        from airflow_video_providers.triggers.video_job import VideoJobTrigger, may_end_from_trigger

        job = submission.job
        deadline = submission.submitted_at.timestamp() + self.timeout
        seed = f"{self._ti.dag_id} {self._ti.run_id} {self._ti.task_id} {self._ti.map_index}"
        if self.deferrable and not job.state.is_terminal and time.time() < deadline:
            # A kill comes with a heartbeat only; Airflow would refuse the deferral, and nobody would watch the job.
            self._killed = self._killed or is_wanted(self._ti) is False
            self._end_if_killed(job)
            self.defer(
                trigger=VideoJobTrigger(
                    conn_id=self.conn_id,
                    job=job.to_xcom(),
                    poll_interval=self.poll_interval,
                    deadline=deadline,
                    seed=seed,
                    cancel_on_kill=self.cancel_on_kill,
                    max_poll_failures=self.max_poll_failures,
                    do_xcom_push=self.do_xcom_push,
                    end_from_trigger=may_end_from_trigger(self),
                ),
                method_name="execute_complete",
                timeout=timedelta(seconds=deadline - time.time() + DEFERRAL_GRACE),
            )
        try:
            job = wait_for_job(
                self.hook,
                job,
                Limits(
                    poll_interval=self.poll_interval,
                    deadline=deadline,
                    max_poll_failures=self.max_poll_failures,
                    seed=seed,
                ),
                log=self.log,
                on_poll=self._end_if_killed,
            )
        except VideoJobTimeoutError as error:
            return self._last_look(job.job_id, error)  # the one at the deadline may have failed
        except VideoPollingError as error:
            return self._give_up(error)
        return self._deliver(job)

    def _last_look(self, job_id: str, error: Exception) -> str:
        """Nobody has watched the job since ``error``: take what became of it, or raise."""
        try:
            job = self.hook.get_job(job_id)
        except VideoApiError as failure:
            self.log.warning("No last look at the job: %s", failure)
        else:
            if job.state.is_terminal:
                return self._deliver(job)
            self._publish(job)
            if isinstance(error, TaskDeferralTimeout):
                text = f"No triggerer took care of the wait in time. Last seen: {job.describe()}"
                error = VideoJobTimeoutError(text, job=job)
        if isinstance(error, (VideoJobTimeoutError, VideoPollingError)):
            return self._give_up(error)
        raise error

    def _give_up(self, error: VideoJobTimeoutError | VideoPollingError) -> str:
        """End the job as far as the policy says, or deliver it if it turns out to have ended; else raise."""
        ended = self._end(Cause.GIVEN_UP if isinstance(error, VideoPollingError) else Cause.TIMED_OUT, error)
        if ended.outcome is CancelOutcome.FINISHED and ended.job is not None:
            return self._deliver(ended.job)
        text = f"{error} {ended.text}"
        if isinstance(error, VideoPollingError):
            raise VideoPollingError(text, retry_after=error.retry_after) from error
        kind = VideoJobTimedOutError if ended.outcome is CancelOutcome.CANCELLED else VideoJobTimeoutError
        raise kind(text, job=error.job) from error

    def _deliver(self, job: VideoJob) -> str:
        self._publish(job)
        return raise_unless_succeeded(job).job_id

    # ------------------------------------------------------------------ the fate of the job

    @contextmanager
    def _deciding(self, context: Context) -> Iterator[None]:
        """Decide for each way in which the task may end what becomes of a job that still runs."""
        self._ti = context["ti"]
        self._ends_the_task = partial(TaskTry.of(context).ends_the_task, context=context)
        kept: str | None = None
        try:
            yield
        except TaskDeferred:
            kept = self._job_id  # until Airflow has taken note of the deferral, a kill still comes to this process
            raise
        except (VideoJobError, VideoPollingError):
            raise  # the job has ended, or was given up above
        except AirflowTaskTimeout as error:
            # It limits the try, not the render.
            if self._job_id is None and self._ends_the_task(error):
                job = doubtful_job(self.hook, context["task_state_store"], as_request(self.request))
                self._job_id = None if job is None else job.job_id
            self._end(Cause.GIVEN_UP, error)
            raise
        except BaseException as error:
            if self._job_id is not None:
                self._end(Cause.KILLED if is_wanted(self._ti) is False else Cause.GIVEN_UP, error)
            raise
        finally:
            # From here on the job belongs to the trigger, the next try, or the tasks downstream.
            self._job_id = kept

    def _end(self, cause: Cause, error: BaseException) -> Cancellation:
        """Cancel the job as far as the policy says, of a try that fails with ``error``."""
        if self._job_id is None:
            return Cancellation(CancelOutcome.LEFT, "No job was bought by this try, as far as is known.")
        last_try = self._ends_the_task(error)
        if self.policy.applies(cause, last_try=last_try):
            return cancel_video_job(self.hook, self._job_id, reason=cause.value)
        later = "" if last_try else "; the next try adopts it"
        text = f"{self.hook.vendor} job {self._job_id} was not cancelled{later}."
        self.log.warning("%s", text)
        return Cancellation(CancelOutcome.LEFT, text)

    def _end_if_killed(self, job: VideoJob) -> None:
        """Make up for an ``on_kill`` that came before there was a job, or that had no time."""
        if not self._killed or not self.policy.applies(Cause.KILLED):
            return
        self._killed = False
        cancellation = cancel_if_unwanted(self.hook, job.job_id, self._ti)
        if cancellation is not None:
            raise VideoJobCancelledError(cancellation.text, job=job)

    def _remember(self, job: VideoJob) -> None:
        self._job_id = job.job_id
        self.job_page_url = job.page_url

    def _publish(self, job: VideoJob) -> None:
        """Show the job and its page at once: a task that fails or is killed keeps both."""
        self.job_page_url = job.page_url
        if self.do_xcom_push:
            self._ti.xcom_push(key="video_job", value=job.to_xcom())
        for key, value in link_xcoms(job).items():
            self._ti.xcom_push(key=key, value=value)


def _is_from_before_a_clear(record: SubmissionRecord, context: Context) -> bool:
    """Tell whether the task was cleared after the record was written; this try has not run ``execute`` then."""
    return TaskTry.of(context).cleared_since(last_try=record.last_try, max_tries=record.max_tries)
