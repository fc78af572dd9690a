# SPDX-License-Identifier: Apache-2.0
"""What the tests of the conformance suite are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import pytest
from airflow.sdk import Connection

from airflow_video_providers.exceptions import (
    VideoApiError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.testing.control import VendorControl
from airflow_video_providers.testing.parts import (
    new_key,
)
from airflow_video_providers.testing.tap import (
    Tap,
    TapRequest,
)

Test = TypeVar("Test", bound=Callable[..., None])

_RETRY_DEADLINE = 3.0


def where(applies: Callable[[type[VideoHook]], bool]) -> Callable[[Test], Test]:
    """Collect a test only for hooks whose class fits."""

    def mark(test: Test) -> Test:
        test.applies_to = applies  # type: ignore[attr-defined]  # read by __init_subclass__
        return test

    return mark


def is_searchable(hook: type[VideoHook]) -> bool:
    """Tell whether a lost job can be searched for."""
    return hook.key_support is not KeySupport.NONE


def is_exact(hook: type[VideoHook]) -> bool:
    """Tell whether a search is a proof."""
    return hook.key_support is KeySupport.EXACT


def replays(hook: type[VideoHook]) -> bool:
    """Tell whether the vendor knows idempotency keys."""
    return hook.replay_seconds is not None


def can_cancel(hook: type[VideoHook]) -> bool:
    """Tell whether a running job can be cancelled."""
    return hook.can_cancel


def can_list(hook: type[VideoHook]) -> bool:
    """Tell whether many jobs are polled in one request."""
    return hook.can_list


def can_watch(hook: type[VideoHook]) -> bool:
    """Tell whether the jobs of the account are listed."""
    return hook.can_watch


def takes_callback(hook: type[VideoHook]) -> bool:
    """Tell whether a request can name the address of its callback."""
    return hook.takes_callback


class ConformanceBase:
    """A hook, a fake server, and a tap between them; tests that do not apply to the hook's class are left out."""

    hook_class: ClassVar[type[VideoHook]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            applies = getattr(getattr(cls, name), "applies_to", None)
            if applies is not None and hasattr(cls, "hook_class") and not applies(cls.hook_class):
                setattr(cls, name, None)

    # ------------------------------------------------------------------ what the tests are made of

    @pytest.fixture
    def control(self) -> VendorControl:
        """Give the control object of a fake server that has no jobs yet."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'control'")

    @pytest.fixture
    def tap(self, control: VendorControl) -> Iterator[Tap]:
        """Stand between the hook and the server."""
        tap = Tap(control.connection()["host"], lambda: len(control.job_ids()))
        yield tap
        tap.close()

    @pytest.fixture
    def hook(self, control: VendorControl, tap: Tap) -> Iterator[VideoHook]:
        """Give the hook with a connection to the server, through the tap."""
        hook = self.make_hook(tap.rewrite(control.connection()))
        yield hook
        hook.close()

    @pytest.fixture
    def creating(self, control: VendorControl, tap: Tap, hook: VideoHook) -> Callable[[TapRequest], bool]:
        """Tell the request that creates a job from all others, as learned from one submission."""
        hook.submit_job(control.request("learned"), key=new_key())
        learned = tap.creating
        assert learned is not None, "submit_job made the server create no job"
        return lambda request: (request.method, request.path) == (learned.method, learned.path)

    def make_hook(self, fields: dict[str, Any], *, conn_id: str = "conformance") -> VideoHook:
        """Build the hook as operators do, by the connection's id alone, with a connection of these fields."""
        fields = {"conn_type": self.hook_class.conn_type, **fields}
        fields["extra"] = json.dumps(fields.get("extra") or {})
        hook = self.hook_class(conn_id)
        hook.connection = Connection(conn_id=conn_id, **fields)
        hook.retry_deadline = _RETRY_DEADLINE
        return hook

    def make_finished_job(self, hook: VideoHook, control: VendorControl) -> VideoJob:
        """Submit a job and end it well."""
        job = hook.submit_job(control.request("finished"), key=new_key())
        control.finish(job.job_id)
        return job

    def submit_in_vain(self, hook: VideoHook, request: dict[str, Any], key: str) -> VideoApiError:
        """Submit a request that must fail; return its error."""
        with pytest.raises(VideoApiError) as caught:
            hook.submit_job(request, key=key)
        return caught.value
