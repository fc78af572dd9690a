# SPDX-License-Identifier: Apache-2.0
"""Colossyan: the hook of its connection type."""

from airflow_video_providers.hooks.colossyan.hook import ColossyanHook

__all__ = ["ColossyanHook"]
