# SPDX-License-Identifier: Apache-2.0
"""The old name of :mod:`airflow_video_providers.retry_policy`, kept for DAGs that import it."""

from airflow_video_providers.retry_policy import VideoRetryPolicy

__all__ = ["VideoRetryPolicy"]
