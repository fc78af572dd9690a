# SPDX-License-Identifier: Apache-2.0
"""
The buttons in the UI that lead from a task to its video: at the vendor, and where it is stored.

Airflow shows the heading of a task's links even where all of them are empty, so each leads to the Videos page where it
knows of nothing better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_video_providers.jobs import VideoJob

VIDEOS_PAGE = "plugin/videos"
"""Where Airflow's UI shows the Videos page, below its base URL."""


def videos_page() -> str:
    """Return the address of the Videos page in this Airflow."""
    return f"{(conf.get('api', 'base_url', fallback='') or '').rstrip('/')}/{VIDEOS_PAGE}"


class _VideoLink(BaseOperatorLink):
    """
    A button whose address the operator keeps in one of its attributes.

    Airflow reads it at the end of each run of the task on a worker. Since a task that its trigger ends never runs
    again, and a task that is killed should keep its button, operators also push the address as soon as they know it,
    under :attr:`xcom_key`.
    """

    attribute: ClassVar[str]
    """The attribute of the operator that holds the address, or None."""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address; that of the Videos page where there is none, or where it is not known yet."""
        return getattr(operator, self.attribute, None) or videos_page()


class VideoJobLink(_VideoLink):
    """The page of the job at its vendor, where it has one; the operator keeps it in ``job_page_url``."""

    name = "Video job"
    xcom_key = "video_job_link"
    attribute = "job_page_url"


class StoredVideoLink(_VideoLink):
    """The object in the web console of its cloud; the operator keeps it in ``stored_video_url``."""

    name = "Stored video"
    xcom_key = "stored_video_link"
    attribute = "stored_video_url"


class VideoManifestLink(_VideoLink):
    """The manifest of a bulk task in the web console of its cloud; the operator keeps it in ``manifest_url``."""

    name = "Manifest"
    xcom_key = "video_manifest_link"
    attribute = "manifest_url"


def link_xcoms(job: VideoJob) -> dict[str, Any]:
    """Return what the link to a job needs in XCom: pushed right after it was submitted, and by a trigger."""
    return {VideoJobLink.xcom_key: job.page_url or videos_page()}
