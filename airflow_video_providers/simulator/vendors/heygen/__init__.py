# SPDX-License-Identifier: Apache-2.0
"""HeyGen as the simulator shows it."""

from airflow_video_providers.simulator.vendors.heygen.api import VENDOR

__all__ = ["VENDOR"]
