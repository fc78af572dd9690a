# SPDX-License-Identifier: Apache-2.0
"""HeyGen: the hook of its connection type."""

from airflow_video_providers.hooks.heygen.hook import HeyGenHook

__all__ = ["HeyGenHook"]
