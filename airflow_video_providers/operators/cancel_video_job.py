# SPDX-License-Identifier: Apache-2.0
"""The operator that cancels a render."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_video_providers.links import VideoJobLink
from airflow_video_providers.operators.arguments import TextFields, check_conn_id, is_final, job_id_of
from airflow_video_providers.operators.errors import fail_briefly
from airflow_video_providers.operators.labels import LabelledTask, label_of_job
from airflow_video_providers.submission.cancel import cancel_video_job, must_be_shown_by

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context


class CancelVideoJobOperator(LabelledTask, TextFields, BaseOperator):
    """
    Cancel a render that still runs; a finished one is left alone, with its files.

    Returns what became of it: ``cancelled``, ``finished`` (it had ended before) or ``gone`` (the vendor does not know
    it any more). A new job may be shown late: one that is not found is polled again until the vendor's ``find_wait``
    (60 s) after it was created is over, or after the first poll where the XCom does not tell. Running it again does no
    harm.

    :param conn_id: the Airflow connection of the vendor. (templated)
    :param job_id: the id of the job, or the XCom ``video_job`` of the task that submitted it. (templated)

    :raises VideoConfigurationError: the vendor documents no way to cancel; the text names the job's page.
    :raises VideoApiError: the vendor could not be reached, or refused; a retry polls again.
    """

    template_fields: Sequence[str] = ("conn_id", "job_id")
    text_fields: ClassVar[Sequence[str]] = ("conn_id",)
    operator_extra_links: Collection[BaseOperatorLink] = (VideoJobLink(),)
    ui_color = "#f3dfe2"

    def __init__(self, *, conn_id: str, job_id: str | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.job_id = job_id
        self.job_page_url: str | None = None
        self.take_texts()
        if is_final(self.conn_id):
            check_conn_id(self.conn_id)
        if is_final(job_id):
            job_id_of(job_id)

    def _first_label(self) -> tuple[str | None, str | None]:
        return label_of_job(self.job_id)

    @fail_briefly
    def execute(self, context: Context) -> str:
        """Poll the job, and end it if it still runs."""
        from airflow_video_providers.hooks.base import get_video_hook
        from airflow_video_providers.jobs import JobState, VideoJob

        check_conn_id(self.conn_id)
        job_id = job_id_of(self.job_id)
        hook = get_video_hook(self.conn_id)
        reason = f"asked for by task {context['ti'].task_id}"
        told = VideoJob(
            vendor=hook.vendor,
            job_id=job_id,
            state=JobState.QUEUED,
            vendor_status="not polled yet",
            created_at=self.job_id.get("created_at") if isinstance(self.job_id, Mapping) else None,
        )
        shown_by = must_be_shown_by(told.created_at, hook.find_wait)
        cancellation = cancel_video_job(hook, job_id, reason=reason, shown_by=shown_by)
        if cancellation.job is not None:
            self.job_page_url = cancellation.job.page_url
            self.label_with(cancellation.job)
        if cancellation.error is not None:
            raise cancellation.error
        return cancellation.outcome.value
