# SPDX-License-Identifier: Apache-2.0
"""The public address of the API server, which vendors call."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.sdk.configuration import conf

from airflow_video_providers.api.links import is_local
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.base import VideoHook


def callback_base_url(hook: VideoHook) -> str:
    """
    Return the public address of the API server: of the connection, else of ``[video_providers]``, else of ``[api]``.

    :raises VideoConfigurationError: none is set, or the vendor cannot reach it.
    """
    url = (
        hook.settings.callback_base_url
        or conf.get("video_providers", "callback_base_url", fallback="")
        or conf.get("api", "base_url", fallback="")
        or ""
    ).strip()
    if not url:
        raise VideoConfigurationError(
            "No address for callbacks is known: set the connection's extra 'callback_base_url', or [video_providers] "
            "callback_base_url, to the public address of Airflow's API server. Nothing was sent."
        )
    if is_local(url) and not is_local(hook.base_url):
        raise VideoConfigurationError(
            f"The address for callbacks is on {urlsplit(url).hostname}, which {hook.hook_name} cannot reach: set the "
            "connection's extra 'callback_base_url', or [video_providers] callback_base_url, to the public address of "
            "Airflow's API server. Nothing was sent."
        )
    return url
