# SPDX-License-Identifier: Apache-2.0
"""A callback tells which render failed. The page that shows it: docs/howto.md."""

import logging

from airflow.sdk import DAG

from airflow_video_providers.exceptions import VideoJobError
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator


def alert(context) -> None:
    """Say which render failed, why, and where to look: here to the log, in your DAG to a channel."""
    error = context["exception"]
    if isinstance(error, VideoJobError):
        job = error.job
        text = f"{job.vendor} job {job.job_id} ({job.name}) is {job.state.value}: {job.error}. {job.page_url or ''}"
    else:
        text = str(error)
    logging.getLogger(__name__).error("ALERT %s: %s", context["ti"].task_id, text)


with DAG("tells_what_failed", default_args={"on_failure_callback": alert}):
    SubmitVideoJobOperator(
        task_id="render",
        conn_id="acme_default",
        request={"title": "Welcome", "script": "Good to have you here."},
        wait_for_completion=True,
    )
