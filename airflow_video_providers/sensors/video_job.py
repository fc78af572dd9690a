# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for a render, the same in each of its three ways to wait."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_video_providers.exceptions import VideoApiError, VideoJobTimeoutError
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.links import VideoJobLink, link_xcoms
from airflow_video_providers.operators.arguments import (
    TextFields,
    check_conn_id,
    check_count,
    check_flag,
    is_final,
    job_id_of,
)
from airflow_video_providers.operators.errors import fail_briefly
from airflow_video_providers.operators.labels import LabelledTask, label_of_job, name_upstream
from airflow_video_providers.submission.cancel import how_to_cancel
from airflow_video_providers.submission.task_try import TaskTry
from airflow_video_providers.waiting.in_worker import poll, sleep_until_due
from airflow_video_providers.waiting.outcome import raise_unless_succeeded
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL, Pace
from airflow_video_providers.waiting.wait import DEFAULT_MAX_POLL_FAILURES, Limits, Wait

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_video_providers.hooks.base import VideoHook

WAIT_KEY = "video_job_wait"
"""Where the task state store keeps the wait; a user reads it under Storage in the UI."""
_LATE_TRIGGERER = timedelta(minutes=5)
_RETRY_SECONDS = 10.0


class VideoJobSensor(LabelledTask, TextFields, BaseSensorOperator):
    """
    Wait until a render has ended, at any vendor.

    The three ways to wait (``mode="reschedule"``, ``mode="poke"``, ``deferrable=True``) mean the same: they return the
    job id, push the job as XCom ``video_job``, and raise the same errors. ``timeout`` counts from the first poll on,
    across retries and restarts; clearing the task begins anew. The sensor never cancels a render: not at its timeout,
    not when it is killed.

    :param conn_id: the Airflow connection of the vendor. (templated)
    :param job_id: the id of the job, or the XCom ``video_job`` of the task that submitted it. (templated)
    :param mode: ``reschedule`` (default) frees the worker between two polls, ``poke`` keeps it.
    :param deferrable: wait in the triggerer, where all waits of a connection share one poll; ``mode`` matters then only
        until a first poll has worked. Default: ``[operators] default_deferrable``.
    :param poll_interval: longest time between two polls, in seconds (default 120). The polls follow the job's progress:
        early ones first, and closer ones towards the expected end.
    :param poke_interval: another name for ``poll_interval``, which wins.
    :param timeout: seconds to wait in all, or a timedelta. Default: ``[sensors] default_timeout``.
    :param callback: the job was submitted with a callback to this Airflow, so that a deferred wait polls seldom: after
        5 to 15 times ``poll_interval``. A callback wakes a deferred wait in any case, where the connection takes them.
    :param soft_fail: a timeout skips the task instead of failing it. A failed render fails it all the same.
    :param max_poll_failures: how many polls in a row may fail before the wait gives up (default 10).
    :raises AirflowSensorTimeout: the time is over; Airflow does not retry that.
    :raises VideoJobFailedError: the render failed; :class:`VideoJobCancelledError` when it was cancelled or deleted.
        Airflow retries neither: another wait would find the same.
    :raises VideoPollingError: too many polls failed in a row. The job may go on; a retry of the task polls again.
    :raises VideoApiError: the first poll was refused: wrong key, no permission, or a job that the vendor still does not
        know when its ``find_wait`` (60 s) is over.
    :raises VideoConfigurationError: an argument or the connection cannot work as it is.
    """

    template_fields: Sequence[str] = ("conn_id", "job_id")
    text_fields: ClassVar[Sequence[str]] = ("conn_id",)
    operator_extra_links = (VideoJobLink(),)
    ui_color = "#e8e4f5"

    def __init__(
        self,
        *,
        conn_id: str,
        job_id: str | Mapping[str, Any],
        mode: str = "reschedule",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta | None = None,
        poke_interval: float | timedelta | None = None,  # named here, so that `default_args` may give it
        max_poll_failures: int = DEFAULT_MAX_POLL_FAILURES,
        callback: bool = False,
        **kwargs: Any,
    ) -> None:
        given = (interval for interval in (poll_interval, poke_interval) if interval is not None)
        super().__init__(mode=mode, poke_interval=next(given, DEFAULT_POLL_INTERVAL), **kwargs)
        unfit = [name for name in ("exponential_backoff", "silent_fail", "never_fail") if getattr(self, name)]
        if unfit:
            raise ValueError(
                f"VideoJobSensor has no {', '.join(unfit)}: see poll_interval, max_poll_failures, soft_fail"
            )
        if self.poke_interval <= 0:
            raise ValueError("poll_interval must be above 0 seconds")
        self.conn_id = conn_id
        self.job_id = job_id
        self.take_texts()
        if is_final(self.conn_id):
            check_conn_id(self.conn_id)
        if is_final(job_id):
            job_id_of(job_id)
        check_flag("deferrable", deferrable)
        check_flag("callback", callback)
        check_count("max_poll_failures", max_poll_failures, least=0)
        self.deferrable = deferrable
        self.max_poll_failures = max_poll_failures
        self.callback = callback
        self.job_page_url: str | None = None  # what the button in the UI leads to
        self._hook: VideoHook | None = None

    # ------------------------------------------------------------------ Airflow's entry points

    @fail_briefly
    def execute(self, context: Context) -> str:
        """Poll once; then finish, or wait in the way that was chosen."""
        wait = self._load(context)
        hook = self._open_hook()
        if wait is None:
            now, job_id = time.time(), job_id_of(self.job_id)
            name = self.job_id.get("name") if isinstance(self.job_id, Mapping) else None
            name = name or name_upstream(self, context, job_id)
            wait = Wait.begin_unseen(hook.vendor, job_id, now, self._limits(context, now), name=name)
        while True:
            wait = poll(hook, wait, log=self.log)
            self._save(context, wait)
            if wait.end is not None:
                return self._finish(context, wait)
            if wait.is_seen:
                self._publish(context, wait.job)
            if self.deferrable and wait.is_seen and not wait.failures:
                self._defer(context, wait)
            if self.reschedule:
                date = datetime.fromtimestamp(wait.due, timezone.utc)
                raise AirflowRescheduleException(date)
            sleep_until_due(wait)

    @fail_briefly
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> str:
        """
        Resume on the worker when the trigger could not end the task itself.

        The event of an earlier try's trigger can arrive after a clear. It is not believed, and neither is one that
        cannot be read: the wait then begins anew.
        """
        from airflow_video_providers.waiting.outcome import job_from_event, job_in_event

        job, wait = job_in_event(event), self._load(context)
        if event is None or job is None:
            self.log.warning("The event of the trigger cannot be read; this try polls anew.")
            return self.execute(context)
        if wait is None or wait.job.job_id != job.job_id:
            self.log.warning("The trigger of an earlier try reported %s; this try polls anew.", job.describe())
            return self.execute(context)
        self._publish(context, job)
        try:
            return job_from_event(event, final=True).job_id
        except VideoJobTimeoutError as error:
            return self._poll_last(context, str(error), error)

    @fail_briefly
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Keep Airflow from skipping on a failed render or a broken trigger: only a timeout is softened."""
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            if self._load(context) is None:
                self.log.warning("The deferral of an earlier try has ended (%s); this try polls anew.", error)
                return self.execute(context)
            if not isinstance(error, TaskDeferralTimeout):
                raise
            text = f"The time to wait for the render is over; no triggerer took note of it ({error})."
            return self._poll_last(context, text, error)

    def on_kill(self) -> None:
        """Say that the render goes on, and how to end it."""
        job_id = job_id_of(self.job_id)
        how = how_to_cancel(self.conn_id, job_id, self.job_page_url)
        self.log.warning("The task is being stopped. Job %s goes on: a sensor never cancels. %s", job_id, how)

    # ------------------------------------------------------------------ what is kept between two runs of the task

    def _load(self, context: Context) -> Wait | None:
        """Return the wait of an earlier run of this task; None: there was none, or the task was cleared since."""
        record = WaitRecord.load(context, job_id=job_id_of(self.job_id))
        if record is None:
            return None
        self.job_page_url = record.job.page_url
        return record.to_wait(self._limits(context, record.since))

    def _save(self, context: Context, wait: Wait) -> None:
        self.job_page_url = wait.job.page_url
        WaitRecord.save(context, wait)

    def _limits(self, context: Context, since: float) -> Limits:
        ti = context["ti"]
        return Limits(
            poll_interval=self.poke_interval,
            deadline=since + self.timeout,
            max_poll_failures=self.max_poll_failures,
            seed=f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}",
        )

    # ------------------------------------------------------------------ how a wait goes on, and ends

    def _defer(self, context: Context, wait: Wait) -> NoReturn:
        from airflow_video_providers.triggers.video_job import VideoJobTrigger, may_end_from_trigger

        assert wait.pace is not None
        assert wait.limits.deadline is not None
        WaitRecord.save(context, wait, deferred=True)
        self.defer(
            trigger=VideoJobTrigger(
                conn_id=self.conn_id,
                job=wait.job.to_xcom(),
                poll_interval=wait.limits.poll_interval,
                deadline=wait.limits.deadline,
                max_poll_failures=wait.limits.max_poll_failures,
                seed=wait.limits.seed,
                do_xcom_push=self.do_xcom_push,
                end_from_trigger=may_end_from_trigger(self),
                pace=wait.pace.to_json(),
                callback=self.callback,
                key=wait.job.key,
            ),
            method_name="execute_complete",
            # The trigger keeps the deadline; this is for the case that no triggerer runs then.
            timeout=timedelta(seconds=max(wait.limits.deadline - time.time(), 0)) + _LATE_TRIGGERER,
        )

    def _finish(self, context: Context, wait: Wait) -> str:
        """Leave the same XComs, and raise the same errors, whichever way the task has waited."""
        if wait.is_seen:
            self._publish(context, wait.job)
        try:
            return raise_unless_succeeded(wait.result(), final=True).job_id
        except VideoJobTimeoutError as error:
            self._time_out(str(error), error)

    def _poll_last(self, context: Context, text: str, error: Exception) -> str:
        """Poll once more where the triggerer did not at the end of the time: other ways to wait do."""
        try:
            job = self._open_hook().get_job(job_id_of(self.job_id))
        except VideoApiError as failure:
            self.log.warning("The last poll failed: %s", failure)
        else:
            self._publish(context, job)
            if job.state.is_terminal:
                return raise_unless_succeeded(job, final=True).job_id
        return self._time_out(text, error)

    def _publish(self, context: Context, job: VideoJob) -> None:
        """Show in XCom what the last poll has told, however the wait ends."""
        self.job_page_url = job.page_url
        self.label_with(job)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="video_job", value=job.to_xcom())
            for key, value in link_xcoms(job).items():
                context["ti"].xcom_push(key=key, value=value)

    def _time_out(self, text: str, error: Exception) -> NoReturn:
        text = f"{text} The job goes on: a sensor never cancels."
        if self.soft_fail:
            raise AirflowSkipException(f"Skipped, since soft_fail is set. {text}") from error
        raise AirflowSensorTimeout(text) from error

    def _first_label(self) -> tuple[str | None, str | None]:
        name, vendor = label_of_job(self.job_id)
        with suppress(Exception):  # execute tells of it
            vendor = vendor or self._open_hook().vendor
        return (name, vendor)

    def _open_hook(self) -> VideoHook:
        from airflow_video_providers.hooks.base import get_video_hook

        if self._hook is None:
            check_conn_id(self.conn_id)
            hook = get_video_hook(self.conn_id)
            # The wait polls again anyway; a worker should not be held by a vendor that is down.
            hook.retry_deadline = _RETRY_SECONDS
            self._hook = hook
        return self._hook


class WaitRecord(BaseModel):
    """
    The wait in the task state store: what a run of the task leaves to the next one, and what a user can read meanwhile.

    :param max_tries: as the last run saw it, which was part of try ``last_try``: tells a retry, which waits on, from a
        clear, which begins anew.
    :param last_poll: what the last poll has told and when, for a user. Where a trigger has taken over, whose polls
        cannot be written here, it says so, and the job holds nothing that could be outdated.
    """

    model_config = ConfigDict(frozen=True)

    max_tries: int
    last_try: int
    last_poll: str
    job: VideoJob
    since: float
    due: float
    pace: Pace | None
    failures: int
    gone: int

    @classmethod
    def load(cls, context: Context, *, job_id: str) -> WaitRecord | None:
        """Return the record, if it is of this job and the task was not cleared since."""
        this = TaskTry.of(context)
        try:
            record = cls.model_validate(context["task_state_store"].get(WAIT_KEY))
        except ValidationError:
            return None
        if record.job.job_id != job_id or this.cleared_since(max_tries=record.max_tries):
            return None
        if record.last_try < this.try_number:  # a new try begins with no failed polls
            return record.model_copy(update={"failures": 0, "gone": 0})
        return record

    def to_wait(self, limits: Limits) -> Wait:
        """Return the wait, to go on with."""
        return Wait(limits=limits, **{name: getattr(self, name) for name in _KEPT})

    @classmethod
    def save(cls, context: Context, wait: Wait, *, deferred: bool = False) -> None:
        """
        Keep the wait for the next run of the task.

        :param deferred: a trigger goes on: what it polls stands in the XCom ``video_job`` and in the log.
        """
        this, now = TaskTry.of(context), datetime.now(timezone.utc).isoformat(timespec="seconds")
        told = wait.describe()
        if deferred:
            told = "deferred; the XCom video_job and the log tell of the polls since"
            bare = {"progress": None, "stage": None, "vendor_status": "deferred"}
            wait = replace(wait, job=wait.job.model_copy(update=bare))
        record = cls(
            max_tries=this.max_tries,
            last_try=this.try_number,
            last_poll=f"{now} {told}",
            **{name: getattr(wait, name) for name in _KEPT},
        )
        context["task_state_store"].set(WAIT_KEY, record.model_dump(mode="json"))


_KEPT = ("job", "since", "due", "pace", "failures", "gone")
