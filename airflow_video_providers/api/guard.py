# SPDX-License-Identifier: Apache-2.0
"""
A guard over the sends that may have an effect, such as a paid POST.

Whoever must know what has been sent lends the client a guard while it calls a hook. A hook needs to do nothing for it:
its calls go through the client, and the client tells the guard right before each send, repetitions included.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import requests

from airflow_video_providers.api.errors import has_effect
from airflow_video_providers.api.transport import BoundedAdapter
from airflow_video_providers.exceptions import VideoApiError


class SendGuard(Protocol):
    """What is told of each send that may have an effect; it may raise, and then nothing more is sent."""

    def before_send(self, request: requests.PreparedRequest) -> None:
        """Take note of a request that is about to be sent; raise to stop it."""

    def after_response(self, status: int) -> None:
        """Take note of the status of the vendor's response."""

    def after_failure(self, error: VideoApiError) -> None:
        """Take note that a call failed, before the pause after which it may be repeated."""


class GuardedAdapter(BoundedAdapter):
    """Sends requests, and asks the guard of the current thread before each one that may have an effect."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._here = threading.local()

    @property
    def guard(self) -> SendGuard | None:
        """The guard of the current thread; None: there is none."""
        guard: SendGuard | None = getattr(self._here, "guard", None)
        return guard

    @contextmanager
    def guarded_by(self, guard: SendGuard) -> Iterator[None]:
        """Have ``guard`` told of what this thread sends until the block ends."""
        before, self._here.guard = self.guard, guard
        try:
            yield
        finally:
            self._here.guard = before

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send one request; the guard comes first."""
        guard = self.guard if has_effect(request.method or "") else None
        if guard is None:
            return super().send(request, *args, **kwargs)
        guard.before_send(request)
        response = super().send(request, *args, **kwargs)
        guard.after_response(response.status_code)
        return response
