# SPDX-License-Identifier: Apache-2.0
"""Mux: the hook of its connection type."""

from airflow_video_providers.hooks.mux.hook import MuxHook

__all__ = ["MuxHook"]
