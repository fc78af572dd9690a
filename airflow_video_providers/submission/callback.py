# SPDX-License-Identifier: Apache-2.0
"""
A request that asks the vendor to call back: where to, and how it resolves a lost response.

The address is made for the send alone. The fingerprint is that of the user's request, so that another address, or a
new secret, is no other request: a retry adopts all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_video_providers.callbacks.addresses import callback_base_url
from airflow_video_providers.callbacks.doubts import close_doubt, open_doubt
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.submission.record import SubmissionRecord


class CallbackPlan:
    """
    Makes the requests of one connection ask for a callback.

    :param hook: of the connection.
    """

    def __init__(self, hook: VideoHook) -> None:
        self._hook = hook

    def fill(self, request: Mapping[str, Any], key: str) -> dict[str, Any]:
        """
        Return the request with the address of the callback in the vendor's field.

        :raises VideoConfigurationError: the vendor has no such field, or the request fills it; the connection has no
            ``callback_secret``; no public address of the API server is known. Nothing was sent.
        """
        if not self._hook.takes_callback:
            # The hook's own words: they say what to do instead.
            return self._hook.callback_request(request, url="", key=key)
        url = self._hook.callback_url(callback_base_url(self._hook), key)
        return self._hook.callback_request(request, url=url, key=key)

    def open(self, record: SubmissionRecord) -> None:
        """Say that the outcome of a request is open, where nothing but a callback could tell it after a crash."""
        if self._hook.key_support is not KeySupport.EXACT and record.replay_seconds is None:
            open_doubt(record.conn_id, record.key)

    def close(self, record: SubmissionRecord) -> None:
        """Say that the outcome is known."""
        if self._hook.key_support is not KeySupport.EXACT and record.replay_seconds is None:
            close_doubt(record.key)
