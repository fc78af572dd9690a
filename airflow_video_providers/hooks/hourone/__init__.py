# SPDX-License-Identifier: Apache-2.0
"""Hour One: the hook of its connection type."""

from airflow_video_providers.hooks.hourone.hook import HourOneHook

__all__ = ["HourOneHook"]
