# SPDX-License-Identifier: Apache-2.0
"""fal: the hook of its connection type."""

from airflow_video_providers.hooks.fal.hook import FalHook

__all__ = ["FalHook"]
