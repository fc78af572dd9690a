# SPDX-License-Identifier: Apache-2.0
"""Shotstack: the hook of its connection type."""

from airflow_video_providers.hooks.shotstack.hook import ShotstackHook

__all__ = ["ShotstackHook"]
