# SPDX-License-Identifier: Apache-2.0
"""The button in the UI that leads to a job at its vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_video_providers.jobs import VideoJob


class VideoJobLink(BaseOperatorLink):
    """
    The page of the job at its vendor, where it has one.

    An operator with this link keeps the page's URL in ``job_page_url``; Airflow reads it at the end of each run of the
    task. Since a task that its trigger ends never runs again, and a failed one should keep its button, operators also
    push the URL as soon as they know it, under :attr:`xcom_key`.
    """

    name = "Video job"
    xcom_key = "video_job_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL; empty where the vendor has no page, or no job is known yet."""
        return getattr(operator, "job_page_url", None) or ""


def link_xcoms(job: VideoJob) -> dict[str, Any]:
    """Return what the link needs in XCom, so that a trigger can give it to a task that it ends."""
    return {VideoJobLink.xcom_key: job.page_url} if job.page_url else {}
