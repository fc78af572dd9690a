# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for a render, the same in each of its three ways to wait."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

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

from airflow_video_providers.exceptions import VideoApiError, VideoJobTimeoutError, VideoPollingError
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.links import VideoJobLink
from airflow_video_providers.operators.arguments import check_conn_id, check_count, check_flag, is_final, job_id_of
from airflow_video_providers.submission.cancel import how_to_cancel
from airflow_video_providers.submission.record import TaskTry
from airflow_video_providers.waiting.outcome import raise_unless_succeeded
from airflow_video_providers.waiting.schedule import (
    DEFAULT_MAX_POLL_FAILURES,
    DEFAULT_POLL_INTERVAL,
    Pace,
    deleted,
    describe_wait,
    gone_after,
    may_pass,
    moved,
    next_poll,
    next_try,
    polling_given_up,
    timed_out,
    unseen,
    wait_for_job,
    weight,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_video_providers.hooks.base import VideoHook

WAIT_KEY = "video_job_wait"
"""Where the task state store keeps what the wait has seen; a person reads it under Storage in the UI."""
_LATE_TRIGGERER = timedelta(minutes=5)
_RETRY_SECONDS = 10.0


class VideoJobSensor(BaseSensorOperator):
    """
    Wait until a render has ended, at any vendor.

    The three ways to wait (``mode="reschedule"``, ``mode="poke"``, ``deferrable=True``) mean the same: they return the
    job id, push the job as XCom ``video_job``, and raise the same errors. ``timeout`` counts from the first look on,
    across retries and restarts; clearing the task begins anew. The sensor never cancels a render: not at its timeout,
    not when it is killed.

    :param conn_id: the Airflow connection of the vendor. (templated)
    :param job_id: the id of the job, or the XCom ``video_job`` of the task that submitted it. (templated)
    :param mode: ``reschedule`` (default) frees the worker between two looks, ``poke`` keeps it.
    :param deferrable: wait in the triggerer, where all waits of a connection share one poll; ``mode`` matters then only
        until a first look has worked. Default: ``[operators] default_deferrable``.
    :param poll_interval: longest time between two looks, in seconds (default 120). The looks follow the job's progress:
        early ones first, and closer ones towards the expected end. ``poke_interval`` is another name for it.
    :param timeout: seconds to wait in all, or a timedelta. Default: ``[sensors] default_timeout``.
    :param soft_fail: a timeout skips the task instead of failing it. A failed render fails it all the same.
    :param max_poll_failures: how many looks in a row may fail before the wait gives up (default 10).
    :raises AirflowSensorTimeout: the time is over; Airflow does not retry that.
    :raises VideoJobFailedError: the render failed; :class:`VideoJobCancelledError` when it was cancelled or deleted.
        Airflow retries neither: another wait would find the same.
    :raises VideoPollingError: too many looks failed in a row. The job may go on; a retry of the task looks again.
    :raises VideoApiError: the first look was refused: unknown job, wrong key, no permission.
    """

    template_fields: Sequence[str] = ("conn_id", "job_id")
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
        if is_final(conn_id):
            check_conn_id(conn_id)
        if is_final(job_id):
            job_id_of(job_id)
        check_flag("deferrable", deferrable)
        check_count("max_poll_failures", max_poll_failures, least=0)
        self.conn_id = conn_id
        self.job_id = job_id
        self.deferrable = deferrable
        self._seen: VideoJob | None = None
        self.max_poll_failures = max_poll_failures

    @property
    def job_page_url(self) -> str | None:
        """The job's page at its vendor, for the button in the UI; None until the job was seen."""
        return self._seen.page_url if self._seen else None

    # ------------------------------------------------------------------ Airflow's entry points

    def execute(self, context: Context) -> str:
        """Look once; then finish, or wait in the way that was chosen."""
        wait = Wait.load(context, job_id=job_id_of(self.job_id))
        self._seen = wait.job
        try:
            return self._finish(context, self._look(context, wait))
        except VideoJobTimeoutError as error:
            self._publish(context)
            self._time_out(str(error), error)
        except VideoPollingError:
            self._publish(context)
            raise

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """
        Resume on the worker when the trigger could not end the task itself.

        The event of an earlier try's trigger can arrive after a clear. It is not believed: the wait then begins anew.
        """
        from airflow_video_providers.triggers.video_job import job_from_event

        job = VideoJob.from_xcom(event["job"])
        wait = Wait.load(context, job_id=job_id_of(self.job_id))
        if wait.job is None or wait.job_id != job.job_id:
            self.log.warning("The trigger of an earlier try reported %s; this try polls anew.", job.describe())
            return self.execute(context)
        self._seen = job
        self._publish(context)
        try:
            return job_from_event(event, final=True).job_id
        except VideoJobTimeoutError as error:
            return self._last_look(context, str(error), error)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Keep Airflow from skipping on a failed render or a broken trigger: only a timeout is softened."""
        self._seen = Wait.load(context, job_id=job_id_of(self.job_id)).job
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            if self._seen is None:
                self.log.warning("The deferral of an earlier try has ended (%s); this try polls anew.", error)
                return self.execute(context)
            if not isinstance(error, TaskDeferralTimeout):
                raise
            text = f"The time to wait for the render is over; no triggerer took note of it ({error})."
            return self._last_look(context, text, error)

    def on_kill(self) -> None:
        """Say that the render goes on, and how to end it."""
        job_id = job_id_of(self.job_id)
        how = how_to_cancel(self.conn_id, job_id, self.job_page_url)
        self.log.warning("The task is being stopped. Job %s goes on: a sensor never cancels. %s", job_id, how)

    # ------------------------------------------------------------------ one look, and what follows

    def _look(self, context: Context, wait: Wait) -> VideoJob:
        """Look once; return the ended job, or wait on in the way that was chosen."""
        hook = self._open_hook()
        deadline = wait.since + self.timeout
        while True:
            try:
                job = hook.get_job(wait.job_id)
                break
            except VideoApiError as error:
                if wait.job is None and not may_pass(error):
                    raise
                wait = wait.missed(error)
                if wait.failures > self.max_poll_failures:
                    wait.forgiven().save(context)
                    if wait.job is not None and wait.gone > self.max_poll_failures:
                        return deleted(wait.job)
                    raise polling_given_up(wait.job_id, error) from error
                wait.save(context)
                self.log.warning("%s", error)
                last = wait.job or unseen(hook.vendor, wait.job_id)
                self._pause(last, deadline, next_try(wait.failures, error, **self._beat(context)))
        pace = wait.pace.observe(job, time.time()) if wait.pace else Pace.begin(job, time.time())
        if wait.job is None or moved(job) != moved(wait.job):
            self.log.info("%s", describe_wait(job, pace, since=wait.since))
        wait = wait.saw(job, pace)
        wait.save(context)
        self._seen = job
        if job.state.is_terminal:
            return job
        if time.time() >= deadline:
            raise timed_out(job)
        if self.deferrable:
            self._defer(job, pace, deadline, context)
        if self.reschedule:
            self._pause(job, deadline, next_poll(job, pace, **self._beat(context)))

        def remember(job: VideoJob, pace: Pace) -> None:
            self._seen = job
            wait.saw(job, pace).save(context)

        return wait_for_job(
            hook,
            job,
            deadline=deadline,
            max_poll_failures=self.max_poll_failures,
            log=self.log,
            pace=pace,
            on_look=remember,
            **self._beat(context),
        )

    def _beat(self, context: Context) -> dict[str, Any]:
        """Return what the schedule depends on beside the looks themselves."""
        ti = context["ti"]
        seed = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"
        return {"poll_interval": self.poke_interval, "seed": seed}

    def _pause(self, last: VideoJob, deadline: float, delay: float) -> None:
        """Wait until the next look, in this worker or in none; a first look that failed does not end in a deferral."""
        left = deadline - time.time()
        if left <= 0:
            raise timed_out(last)
        delay = min(delay, left)
        self.log.info("Looking again in %.0f s", delay)
        if self.reschedule:
            date = datetime.now(timezone.utc) + timedelta(seconds=delay)
            raise AirflowRescheduleException(date)  # type: ignore[no-untyped-call]  # untyped in Airflow
        time.sleep(delay)

    def _defer(self, job: VideoJob, pace: Pace, deadline: float, context: Context) -> NoReturn:
        from airflow_video_providers.triggers.video_job import VideoJobTrigger, may_end_from_trigger

        self._publish(context)
        self.defer(
            trigger=VideoJobTrigger(
                conn_id=self.conn_id,
                job=job.to_xcom(),
                deadline=deadline,
                max_poll_failures=self.max_poll_failures,
                do_xcom_push=self.do_xcom_push,
                end_from_trigger=may_end_from_trigger(self),
                pace=pace.to_json(),
                **self._beat(context),
            ),
            method_name="execute_complete",
            # The trigger keeps the deadline; this is for the case that no triggerer runs then.
            timeout=timedelta(seconds=max(deadline - time.time(), 0)) + _LATE_TRIGGERER,
        )

    def _finish(self, context: Context, job: VideoJob) -> str:
        """Leave the same XComs whichever way the task waited."""
        self._seen = job
        self._publish(context)
        return raise_unless_succeeded(job, final=True).job_id

    def _publish(self, context: Context) -> None:
        """Say in XCom what was last seen of the job, however the wait ends."""
        if self.do_xcom_push and self._seen is not None:
            context["ti"].xcom_push(key="video_job", value=self._seen.to_xcom())

    def _last_look(self, context: Context, text: str, error: Exception) -> str:
        """Look once more where the triggerer did not at the end of the time: other ways to wait look then."""
        try:
            job = self._open_hook().get_job(job_id_of(self.job_id))
        except VideoApiError as failure:
            self.log.warning("No last look at the job: %s", failure)
        else:
            self._seen = job
            if job.state.is_terminal:
                return self._finish(context, job)
            self._publish(context)
        return self._time_out(text, error)

    def _time_out(self, text: str, error: Exception) -> NoReturn:
        text = f"{text} The job goes on: a sensor never cancels."
        if self.soft_fail:
            raise AirflowSkipException(f"Skipped, since soft_fail is set. {text}") from error
        raise AirflowSensorTimeout(text) from error

    def _open_hook(self) -> VideoHook:
        from airflow_video_providers.hooks.base import get_video_hook

        hook = get_video_hook(self.conn_id)
        # The wait looks again anyway; a worker should not be held by a vendor that is down.
        hook.retry_deadline = _RETRY_SECONDS
        return hook


class Wait(BaseModel):
    """
    What a wait remembers between two runs of its task, and what a person can read of it meanwhile.

    :param since: seconds of the epoch of the first look.
    :param max_tries: as the last run saw it, which was part of try ``last_try``; the two tell a retry, which waits on,
        from a clear, which begins anew.
    :param failures: how many looks in a row failed, and ``gone``: how many of the last ones found no such job.
    :param last_look: one line on the job, for a person.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    since: float
    max_tries: int
    last_try: int = 1
    failures: int = 0
    gone: int = 0
    last_look: str | None = None
    job: VideoJob | None = None
    pace: Pace | None = None

    @classmethod
    def load(cls, context: Context, *, job_id: str) -> Wait:
        """Go on with the wait of an earlier run, or begin one."""
        this = TaskTry.of(context)
        stored = context["task_state_store"].get(WAIT_KEY)
        try:
            wait = cls.model_validate(stored)
        except ValidationError:
            wait = None
        if (
            wait is None
            or wait.job_id != job_id
            or this.cleared_since(last_try=wait.last_try, max_tries=wait.max_tries)
        ):
            return cls(job_id=job_id, since=time.time(), max_tries=this.max_tries, last_try=this.try_number)
        return wait.model_copy(update={"last_try": this.try_number})

    def saw(self, job: VideoJob, pace: Pace) -> Wait:
        """Take in a look."""
        last_look = describe_wait(job, pace, since=self.since)
        return self.model_copy(update={"failures": 0, "gone": 0, "job": job, "pace": pace, "last_look": last_look})

    def missed(self, error: Exception) -> Wait:
        """Take in a look that failed."""
        failures = self.failures + weight(error)
        return self.model_copy(update={"failures": failures, "gone": gone_after(self.gone, error)})

    def forgiven(self) -> Wait:
        """Let the next try of the task begin with no failures."""
        return self.model_copy(update={"failures": 0, "gone": 0})

    def save(self, context: Context) -> None:
        """Keep this for the next run of the task."""
        context["task_state_store"].set(WAIT_KEY, self.model_dump(mode="json"))
