# SPDX-License-Identifier: Apache-2.0
"""Creatomate: the hook of its connection type."""

from airflow_video_providers.hooks.creatomate.hook import CreatomateHook

__all__ = ["CreatomateHook"]
