# SPDX-License-Identifier: Apache-2.0
"""
Metrics of all operators, through Airflow's own ``stats``: StatsD, Datadog or OpenTelemetry, as ``[metrics]`` says.

| name | kind | counted when |
|---|---|---|
| ``video_providers.submitted`` | counter | the vendor named the job of a request that was sent |
| ``video_providers.adopted`` | counter | a task took over a render that an earlier try had submitted |
| ``video_providers.ambiguous`` | counter | it could not be known whether a render was submitted |
| ``video_providers.succeeded`` | counter | a task saw that its render had succeeded |
| ``video_providers.failed`` | counter | a task saw that its render had failed, or was cancelled at the vendor |
| ``video_providers.render_duration`` | timer, ms | with ``succeeded``: from submission to end, as the vendor tells |
| ``video_providers.delivered_bytes`` | counter | a file was stored; files that were there already do not count |

Each has the tag ``vendor``, the connection type.
"""

from __future__ import annotations

from airflow.sdk.observability import stats

from airflow_video_providers.jobs import JobState, VideoJob

PREFIX = "video_providers"


def count_submitted(vendor: str) -> None:
    """Count a render that was submitted."""
    _count("submitted", vendor)


def count_adopted(vendor: str) -> None:
    """Count a render that an earlier try had submitted."""
    _count("adopted", vendor)


def count_ambiguous(vendor: str) -> None:
    """Count a submission whose outcome cannot be known."""
    _count("ambiguous", vendor)


def count_ended(job: VideoJob, *, seconds: float | None = None) -> None:
    """
    Count a render that has ended.

    :param seconds: how long it took, for a vendor that does not tell; None: not known.
    """
    if job.state is not JobState.SUCCEEDED:
        _count("failed", job.vendor)
        return
    _count("succeeded", job.vendor)
    if job.created_at is not None and job.finished_at is not None:
        seconds = (job.finished_at - job.created_at).total_seconds()
    if seconds is not None and seconds >= 0:
        stats.timing(f"{PREFIX}.render_duration", 1000 * seconds, tags={"vendor": job.vendor})


def count_delivered(vendor: str, size: int) -> None:
    """Count the bytes of a file that was stored."""
    _count("delivered_bytes", vendor, size)


def _count(name: str, vendor: str, count: int = 1) -> None:
    stats.incr(f"{PREFIX}.{name}", count, tags={"vendor": vendor})
