# SPDX-License-Identifier: Apache-2.0
"""When a failed call is sent again, and after which pause."""

from __future__ import annotations

import logging
import socket
import ssl
from typing import Any

from tenacity import RetryCallState, wait_random_exponential
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    MaxRetryError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from airflow_video_providers.exceptions import VideoApiError, VideoApiQuotaError, VideoApiUnavailableError

log = logging.getLogger(__name__)

# ClosedPoolError: another thread closed the session before this one had a connection.
_NEVER_SENT = (
    ClosedPoolError,
    NewConnectionError,
    ConnectTimeoutError,
    socket.gaierror,
    ssl.SSLCertVerificationError,
)
_backoff = wait_random_exponential(multiplier=1, max=30)


def pause_before_retry(state: RetryCallState) -> float:
    """Return the larger of our own backoff and the vendor's Retry-After, in seconds, with jitter."""
    own = _backoff(state)
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, VideoApiError) else None
    # Jitter on top of what the vendor asked, so that many tasks do not come back in the same instant. A Retry-After of
    # 0, or a date that has passed, must not switch the backoff off.
    return own if asked is None else max(own, asked + min(1.0, own))


def log_retry(state: RetryCallState) -> None:
    """Log the failure and the pause before the next try."""
    log.warning("%s; trying again in %.1f s", state.outcome and state.outcome.exception(), state.upcoming_sleep)


def is_worth_repeating(error: BaseException, *, repeatable: bool) -> bool:
    """
    Tell whether a failed call is sent again.

    :param repeatable: a second call does no harm; else only a call that provably had no effect is repeated.
    """
    if not isinstance(error, (VideoApiQuotaError, VideoApiUnavailableError)):
        return False
    return repeatable or not error.outcome_unknown


def was_never_sent(error: BaseException) -> bool:
    """Tell whether the connection was never made, so that the vendor cannot have seen the request."""
    reason: Any = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(reason, (ProxyError, SSLError)) and reason.args:
        # Both can also strike an open connection: what lies beneath is the proof.
        reason = reason.args[-1]
    if isinstance(reason, ssl.SSLError) and reason.library in ("PEM", "X509"):
        return True  # a CA bundle that holds no certificate; it is read before anything is sent
    return isinstance(reason, _NEVER_SENT)


def root_cause(error: BaseException) -> str:
    """Return the text of the error at the bottom of what requests and urllib3 wrapped around it."""
    reason: Any = error.args[0] if error.args else error
    if isinstance(reason, MaxRetryError) and reason.reason is not None:
        reason = reason.reason
    return f"{type(error).__name__}: {str(reason).split(': ', 1)[-1]}"
