# SPDX-License-Identifier: Apache-2.0
"""Runway: the hook of its connection type."""

from airflow_video_providers.hooks.runway.hook import RunwayHook

__all__ = ["RunwayHook"]
