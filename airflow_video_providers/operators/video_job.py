# SPDX-License-Identifier: Apache-2.0
"""The operator that submits a render exactly once, for every vendor whose hook is a ``VideoHook``."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferralError, TaskDeferralTimeout

from airflow_video_providers.exceptions import (
    SubmissionSupersededError,
    VideoConfigurationError,
    VideoJobTimeoutError,
    VideoPollingError,
)
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.links import VideoJobLink, link_xcoms
from airflow_video_providers.operators.arguments import (
    TextFields,
    as_seconds,
    check_conn_id,
    check_count,
    check_find_wait,
    check_flag,
    check_max_cost,
    is_final,
)
from airflow_video_providers.operators.cancel_video_job import CancelVideoJobOperator
from airflow_video_providers.operators.errors import fail_briefly
from airflow_video_providers.operators.labels import LONGEST_LABEL, LabelledTask, name_in
from airflow_video_providers.operators.requests import RequestTask, as_request, given_request
from airflow_video_providers.retry_policy import is_hopeless
from airflow_video_providers.submission.callback import CallbackPlan
from airflow_video_providers.submission.cancel import CancelPolicy
from airflow_video_providers.submission.custody import Custody
from airflow_video_providers.submission.preflight import DRY_KEY, check_request, preview
from airflow_video_providers.submission.record import SubmissionRecord, SubmissionStore
from airflow_video_providers.submission.submit import JobSubmission, OnAmbiguous, Submission
from airflow_video_providers.submission.task_state import stopped_by_a_clear
from airflow_video_providers.submission.task_try import TaskTry
from airflow_video_providers.text.redaction import clean_label
from airflow_video_providers.waiting.in_worker import wait_for_job
from airflow_video_providers.waiting.outcome import raise_unless_succeeded
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL
from airflow_video_providers.waiting.wait import DEFAULT_MAX_POLL_FAILURES, Limits

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context

    from airflow_video_providers.hooks.base import VideoHook
    from airflow_video_providers.hooks.requests import VendorRequest

__all__ = ["CancelVideoJobOperator", "SubmitVideoJobOperator"]

DEFAULT_TIMEOUT = timedelta(hours=6)
DEFERRAL_GRACE = 600.0
"""Seconds after the own deadline at which Airflow itself ends a deferral that no triggerer takes care of."""


class SubmitVideoJobOperator(LabelledTask, TextFields, RequestTask, BaseOperator):
    """
    Submit one render to the vendor of a connection, and wait for it if asked to.

    One task pays for one render, whatever happens to its workers: a retry adopts the job that an earlier try submitted
    while it is active or has succeeded, and submits anew only when it failed, was cancelled or is gone. A clear means a
    new render, and so does a changed request: a request that contains the time or the try number is a new one on each
    retry. Where it cannot be known whether a lost try submitted a render, ``AmbiguousSubmissionError`` says what to
    check, and how to go on.

    Returns the job id; the XCom ``video_job`` holds the job as last polled, and the button "Video job" leads to its
    page.

    :param conn_id: the Airflow connection; its type decides the vendor. (templated)
    :param request: the vendor's own JSON body: a mapping, a request model of the vendor's, JSON or YAML text, or the
        path of a ``.json`` or ``.yaml`` file, which is rendered and then parsed. (templated)
    :param dry_run: log the body that would be sent, check it as far as that is free, and submit nothing. The task then
        ends as skipped, and so do those that need its job (default False).
    :param max_cost: the most that the render may cost, in the vendor's own unit. Where the vendor tells a price before,
        nothing is sent above it; where the response to the submission names the cost, the render is cancelled at once,
        which the vendor may charge. Elsewhere it is an error, before anything is sent. Default: no limit.
    :param wait_for_completion: whether the task succeeds only when the render has (default: when it is submitted).
    :param deferrable: wait in the triggerer, not in a worker. Default: ``[operators] default_deferrable``.
    :param poll_interval: longest time between two polls of the job, in seconds (default 120).
    :param timeout: how long the render may take, counted from its submission; seconds or a timedelta, default 6 hours.
        When it is over, the job is cancelled (``cancel_on_timeout``) and the task fails without a retry, which would
        pay for another render. A job that could not be cancelled, or was not to be, is adopted by the retry; its time
        is over at once unless it has ended.
    :param cancel_on_kill: cancel the job when a user fails, succeeds or clears the waiting task, and an outdated one
        before a new render replaces it. A worker that is stopped while the task should go on does not cancel.
    :param cancel_on_timeout: cancel the job at ``timeout``, and when the last try gives the wait up:
        ``execution_timeout``, a vendor that cannot be asked for too long, a crashed trigger.
    :param on_ambiguous: ``fail`` (default) or ``resubmit``, which may pay twice.
    :param find_wait: seconds for which the vendor's list may lag behind a submission; a job that is not shown for so
        long was surely not submitted. Default: the vendor's own value (60 where it documents none); a day at most.
        Raise it for an account whose list is seen to lag longer.
    :param max_poll_failures: how many polls in a row may fail before the wait is given up (default 10).
    :param callback: ask the vendor to call Airflow when the render has ended (default False): the address is filled
        into the vendor's field. A deferred wait ends within seconds of the callback and polls seldom beneath it, after
        5 to 15 times ``poll_interval``; a lost response of a vendor that cannot be searched is resolved by it. The
        connection needs a ``callback_secret``.

    :raises VideoConfigurationError: an argument cannot work, or ``callback`` is asked of a vendor or connection that
        cannot; nothing was sent.
    :raises VideoCostError: the render would cost more than ``max_cost``; nothing was sent, or it is cancelled.
    :raises SubmissionKeyConflictError: the request fills the field that must carry our key; nothing was sent.
    :raises AmbiguousSubmissionError: see above.
    :raises SubmissionNotRecordedError: a job was submitted, and Airflow's task state store does not take its id.
    :raises SubmissionSupersededError: Airflow has replaced this try by another one; it sends nothing more.
    :raises VideoApiError: the vendor refused the request, or could not be reached.
    :raises VideoJobFailedError: the render failed, with the vendor's reason; ``VideoJobCancelledError`` if cancelled.
        Airflow does not retry where the same request would fail again.
    :raises VideoJobTimeoutError: the render took longer than ``timeout``.
    :raises VideoPollingError: the vendor could not be asked about the job; a retry adopts it.
    """

    template_fields: Sequence[str] = ("conn_id", "request")
    text_fields: ClassVar[Sequence[str]] = ("conn_id",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"request": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (VideoJobLink(),)
    ui_color = "#e4e0f7"

    def __init__(
        self,
        *,
        conn_id: str,
        request: Mapping[str, Any] | VendorRequest | str,
        dry_run: bool = False,
        max_cost: float | None = None,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        on_ambiguous: OnAmbiguous = "fail",
        find_wait: float | None = None,
        max_poll_failures: int = DEFAULT_MAX_POLL_FAILURES,
        callback: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.request = given_request(request)
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name
        self.max_cost = max_cost
        self.take_texts()
        if is_final(self.conn_id):
            check_conn_id(self.conn_id)
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = as_seconds("poll_interval", poll_interval)
        self.timeout = as_seconds("timeout", timeout)
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.on_ambiguous = on_ambiguous
        self.find_wait = find_wait
        self.max_poll_failures = max_poll_failures
        self.callback = callback
        check_flag("dry_run", dry_run)
        check_max_cost(max_cost)
        for name in ("wait_for_completion", "deferrable", "cancel_on_kill", "cancel_on_timeout", "callback"):
            check_flag(name, getattr(self, name))
        check_count("max_poll_failures", max_poll_failures, least=0)
        if on_ambiguous not in ("fail", "resubmit"):
            raise VideoConfigurationError(f'on_ambiguous must be "fail" or "resubmit", not {on_ambiguous!r}')
        check_find_wait(find_wait)
        self.job_page_url: str | None = None
        self._custody: Custody | None = None
        self._ti: Any = None
        self._shown: VideoJob | None = None

    @cached_property
    def hook(self) -> VideoHook:
        """The vendor's hook."""
        from airflow_video_providers.hooks.base import get_video_hook

        return get_video_hook(self.conn_id)

    @property
    def policy(self) -> CancelPolicy:
        """When the job is cancelled."""
        return CancelPolicy(on_kill=self.cancel_on_kill, on_timeout=self.cancel_on_timeout)

    def _first_label(self) -> tuple[str | None, str | None]:
        name = None
        with suppress(Exception):  # execute tells of it
            name = name_in(as_request(self.request))
            return (name, self.hook.vendor)
        return (name, None)

    # ------------------------------------------------------------------ what Airflow calls

    @fail_briefly
    def execute(self, context: Context) -> str:
        """Submit or adopt, then wait where asked to."""
        check_conn_id(self.conn_id)
        request = as_request(self.request)
        if self.is_dry_run:
            plan = CallbackPlan(self.hook) if self.callback else None
            preview(self.hook, plan.fill(request, DRY_KEY) if plan else request, max_cost=self.max_cost)
            raise AirflowSkipException("dry_run: the request was checked, nothing was submitted")
        store = SubmissionStore(context["task_state_store"])
        with self._take_custody(context, store, request) as custody:
            submission = JobSubmission(
                hook=self.hook,
                store=store,
                task_try=TaskTry.of(context),
                on_ambiguous=self.on_ambiguous,
                find_wait=self.find_wait,
                policy=self.policy,
                on_job=self._hold,
                deployment=conf.get("api", "base_url", fallback="") or "",
                callback=CallbackPlan(self.hook) if self.callback else None,
                before_submit=partial(check_request, self.hook, max_cost=self.max_cost),
            ).submit_or_adopt(request)
            job = submission.job
            custody.end_if_killed(job)
            job = self._publish(job)
            if self.max_cost is not None and self.hook.estimates_at_submission(request):
                custody.keep_within(job, self.max_cost)
            if self.wait_for_completion or job.state is JobState.FAILED:
                return self._wait(submission, job, custody)
            return job.job_id

    @fail_briefly
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> str:
        """
        Finish a deferred wait with the event of its trigger; a task that needs nothing more is ended by the trigger.

        The event of an earlier try's trigger can arrive after a clear. It is not believed, and neither is one that
        cannot be read: the task then begins anew, and adopts the job that it has submitted.
        """
        from airflow_video_providers.waiting.outcome import job_from_event, job_in_event

        job = job_in_event(event)
        if event is None or job is None:
            self.log.warning("The event of the trigger cannot be read; the job is polled again.")
            return self.execute(context)
        store = SubmissionStore(context["task_state_store"])
        record = store.read()
        if record is None or record.job_id != job.job_id or _is_from_before_a_clear(record, context):
            self.log.warning("An earlier try's trigger reported %s; it is not this try's.", job.describe())
            return self.execute(context)
        with self._take_custody(context, store) as custody:
            self._hold(job)
            if job.state.is_terminal:
                return self._finish(job)
            self._publish(job)
            try:
                return self._finish(job_from_event(event))
            except (VideoJobTimeoutError, VideoPollingError) as error:
                # It may have taken a while until a worker was free.
                return self._finish(custody.poll_once_more(job.job_id, error))

    @fail_briefly
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume after a deferral. When Airflow ended it (no triggerer in time, a crashed trigger), neither the trigger
        nor ``execute_complete`` had a say in what becomes of the job: that is decided here.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            store = SubmissionStore(context["task_state_store"])
            record = store.read()
            if record is None or record.job_id is None:
                raise
            if _is_from_before_a_clear(record, context):
                self.log.warning("An earlier try's deferral ended (%s); it is not this try's.", error)
                return self.execute(context)
            with self._take_custody(context, store) as custody:
                custody.job_id = record.job_id
                return self._finish(custody.poll_once_more(record.job_id, error))

    def on_kill(self) -> None:
        """Cancel the job if a user ended the task; called while :meth:`execute` is interrupted."""
        if self._custody is not None:
            self._custody.kill()

    # ------------------------------------------------------------------ waiting

    def _wait(self, submission: Submission, job: VideoJob, custody: Custody) -> str:
        from airflow_video_providers.triggers.video_job import VideoJobTrigger, may_end_from_trigger

        deadline = submission.submitted_at.timestamp() + self.timeout
        seed = f"{self._ti.dag_id} {self._ti.run_id} {self._ti.task_id} {self._ti.map_index}"
        if self.deferrable and not job.state.is_terminal and time.time() < deadline:
            # A kill comes with a heartbeat only; Airflow would refuse the deferral, and nobody would watch the job.
            custody.end_if_killed(job, ask=True)
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
                    callback=self.callback,
                    key=submission.key,
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
                on_poll=custody.end_if_killed,
                on_move=self._show_move,
            )
        except VideoJobTimeoutError as error:
            job = custody.poll_once_more(job.job_id, error)  # the poll at the deadline may have failed
        except VideoPollingError as error:
            job = custody.give_up(error)
        custody.check_current(job)
        return self._finish(job)

    def _show_move(self, job: VideoJob) -> None:
        """Show in XCom what the log has told; Airflow fences no XComs, so this try must be the current one."""
        assert self._custody is not None
        self._custody.check_current(job)
        self._publish(job)

    def _finish(self, job: VideoJob) -> str:
        """Return the id of a job that succeeded, or raise; without a retry where the same request would fail again."""
        job = self._publish(job)
        final = job.state is JobState.FAILED and is_hopeless(job, self.hook.hopeless_codes)
        return raise_unless_succeeded(job, final=final).job_id

    # ------------------------------------------------------------------ the job

    @contextmanager
    def _take_custody(
        self, context: Context, store: SubmissionStore, request: Mapping[str, Any] | None = None
    ) -> Iterator[Custody]:
        """Decide, however the ``with`` block ends, what becomes of a job that still runs."""
        self._ti = context["ti"]
        self._custody = Custody(
            lambda: self.hook,
            store,
            self.policy,
            context,
            publish=self._publish,
            request=request,
            find_wait=self.find_wait,
        )
        try:
            with stopped_by_a_clear(self._ti), self._custody.deciding():
                yield self._custody
        except SubmissionSupersededError:
            # Airflow would push it now, and overwrite the link of the try that has taken over.
            self.operator_extra_links = ()
            raise

    def _hold(self, job: VideoJob) -> None:
        assert self._custody is not None
        self._custody.hold(job)
        self.job_page_url = job.page_url

    def _publish(self, job: VideoJob) -> VideoJob:
        """Show the job and its page at once: a task that fails or is killed keeps both."""
        if self._shown is not None and self._shown.job_id == job.job_id:
            job = job.with_facts_of(self._shown)
        elif job.name is None and (name := self._first_label()[0]):
            job = job.model_copy(update={"name": clean_label(name, longest=LONGEST_LABEL)})
        self._shown = job
        self.job_page_url = job.page_url
        self.label_with(job)
        if self.do_xcom_push:
            self._ti.xcom_push(key="video_job", value=job.to_xcom())
        for key, value in link_xcoms(job).items():
            self._ti.xcom_push(key=key, value=value)
        return job


def _is_from_before_a_clear(record: SubmissionRecord, context: Context) -> bool:
    """Tell whether the task was cleared after the record was written; this try has not run ``execute`` then."""
    return TaskTry.of(context).cleared_since(max_tries=record.max_tries)
