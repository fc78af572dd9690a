# SPDX-License-Identifier: Apache-2.0
"""
What is known about a request before it is paid: its fields, its price, the vendor's own check, the body that is sent.

Everything here costs nothing and submits nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_video_providers.exceptions import (
    SubmissionError,
    VideoApiError,
    VideoConfigurationError,
    VideoCostError,
)
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.requests import check_request_fields
from airflow_video_providers.jobs import JobCost

if TYPE_CHECKING:
    from requests import PreparedRequest

log = logging.getLogger(__name__)

DRY_KEY = "avp-dry-run"
"""Stands for the submission key in the body that a dry run shows."""
_LONGEST_LINE = 400
_MOST_LINES = 200


def check_request(hook: VideoHook, request: Mapping[str, Any], *, max_cost: float | None) -> None:
    """
    Check a request right before it is submitted.

    :param max_cost: the most that it may cost, in the vendor's own unit; None: no limit.
    :raises VideoConfigurationError: a field is of a wrong type; or the vendor tells no price before, so that
        ``max_cost`` cannot be kept.
    :raises VideoCostError: the render would cost more. :raises VideoApiError: the price could not be asked for.
    """
    model = hook.request_model(request)
    if model is not None:
        check_request_fields(model, request, vendor=hook.hook_name)
    if max_cost is not None:
        check_cost(hook, request, max_cost)


def check_cost(hook: VideoHook, request: Mapping[str, Any], max_cost: float) -> JobCost | None:
    """
    Return what a request will cost; raise as :func:`check_request` does.

    None: the response to the submission will tell; :meth:`Custody.keep_within` checks it.
    """
    if hook.estimates_at_submission(request):
        log.info("%s names the cost when it accepts the request; above max_cost it is cancelled", hook.hook_name)
        return None
    if not hook.can_estimate:
        raise VideoConfigurationError(
            f"{hook.hook_name} tells no price before a submission, so max_cost cannot be kept",
            advice=["Leave max_cost out; see 'What a render costs' in docs/submission.md. Nothing was submitted."],
        )
    cost = hook.estimate_cost(request)
    if cost is None or cost.amount is None:
        raise VideoConfigurationError(
            f"{hook.hook_name} tells no price for this request, so max_cost cannot be kept",
            advice=["Leave max_cost out, or see the vendor's page for what it needs. Nothing was submitted."],
        )
    if cost.amount > max_cost:
        raise VideoCostError(
            f"The render would cost {cost} at {hook.hook_name}, more than max_cost={max_cost:g}",
            advice=["Nothing was submitted. Raise max_cost, or ask for a shorter or simpler video."],
        )
    log.info("The render will cost at most %s, within max_cost=%g", cost, max_cost)
    return cost


def preview(hook: VideoHook, request: Mapping[str, Any], *, max_cost: float | None) -> None:
    """
    Log the body that would be sent, and check it as far as that is free; submit nothing.

    :raises VideoProviderError: the request would be refused, by this package or by the vendor.
    """
    check_request(hook, request, max_cost=max_cost)
    if hook.submits_by_client:
        sent = _capture(hook, request)
        _log_body(hook, f"This would be sent: {sent.method} {sent.url}", sent.body, sent.headers.get("Content-Type"))
    else:
        _log_body(hook, "This would be submitted:", json.dumps(request), "application/json")
    if hook.can_check:
        log.info("%s checked the request: %s", hook.hook_name, hook.check_request(request))
    else:
        log.info("%s documents no free check; the request was checked as far as its documents go", hook.hook_name)
    if max_cost is None and hook.can_estimate and (cost := hook.estimate_cost(request)) is not None:
        log.info("The render would cost at most %s", cost)


def _capture(hook: VideoHook, request: Mapping[str, Any]) -> PreparedRequest:
    """Have the hook submit the request, and return what it was about to send."""
    guard = _Capture()
    try:
        with hook.client.guarded(guard):
            hook.submit_job(request, key=DRY_KEY)
    except _CapturedError:
        assert guard.request is not None
        return guard.request
    raise VideoConfigurationError(
        f"A dry run cannot show what {hook.hook_name}'s hook sends: it has submitted nothing through its client",
        advice=["The hook must send by self.client, or say submits_by_client = False: see docs/hooks.md."],
    )


class _CapturedError(SubmissionError):
    """Stops a request that was about to be sent."""


class _Capture:
    """The guard of a dry run: no request that may have an effect is sent."""

    def __init__(self) -> None:
        self.request: PreparedRequest | None = None

    def before_send(self, request: PreparedRequest) -> None:
        self.request = request
        raise _CapturedError("This is a dry run: nothing is sent")

    def after_response(self, status: int) -> None:
        raise AssertionError("a dry run has sent a request")

    def after_failure(self, error: VideoApiError) -> None:
        """Do nothing: nothing was sent."""


def _log_body(hook: VideoHook, heading: str, body: Any, media_type: str | None) -> None:
    def tell(text: str, indent: int = 0) -> None:
        log.info("%s%s", " " * indent, hook.client.redact(text, longest=_LONGEST_LINE))

    tell(heading)
    try:
        lines = json.dumps(json.loads(body or b""), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, TypeError):
        size = f"{len(body)} bytes" if isinstance(body, (bytes, str)) else "a stream"
        tell(f"{size} of {media_type or 'no content type'}")
        return
    for line in lines[:_MOST_LINES]:
        tell(line, len(line) - len(line.lstrip()))
    if len(lines) > _MOST_LINES:
        tell(f"... and {len(lines) - _MOST_LINES} more lines")
