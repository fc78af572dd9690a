# SPDX-License-Identifier: Apache-2.0
"""Synthesia: the hook of its connection type."""

from airflow_video_providers.hooks.synthesia.hook import SynthesiaHook

__all__ = ["SynthesiaHook"]
