# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub as the simulator shows it."""

from airflow_video_providers.simulator.vendors.xvid.api import VENDOR

__all__ = ["VENDOR"]
