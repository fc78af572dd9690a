# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub: the hook of its connection type."""

from airflow_video_providers.hooks.xvid.hook import XvidHook

__all__ = ["XvidHook"]
