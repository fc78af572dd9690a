# SPDX-License-Identifier: Apache-2.0
"""Oxolo: the hook of its connection type."""

from airflow_video_providers.hooks.oxolo.hook import OxoloHook

__all__ = ["OxoloHook"]
