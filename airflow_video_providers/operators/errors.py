# SPDX-License-Identifier: Apache-2.0
"""How a task fails: what the user can do stands in the log, line by line, and the error is one short sentence."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from airflow.sdk.exceptions import AirflowException

from airflow_video_providers.exceptions import VideoProviderError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

VIEW = 100
"""How many characters of a line Airflow's log view shows."""


def log_advice(error: VideoProviderError) -> None:
    """
    Log what an error advises, a line each; its text is then the fact alone.

    A fact that is longer than the log view is wide is logged before, in lines: the view cuts that of the exception off.
    """
    if error.advice_logged:
        return
    error.advice_logged = True
    fact = str(error)
    cut = len(f"{type(error).__name__}: {fact}") > VIEW
    for line in [*(textwrap.wrap(fact, VIEW) if cut else ()), *error.advice]:
        log.error("%s", line)


def fail_briefly(method: Callable[..., Result]) -> Callable[..., Result]:
    """
    Wrap a method that Airflow calls on a task: its errors show neither frames nor causes of this package.

    Airflow logs an exception with all of its frames and causes, which push the reason out of sight. They are logged at
    the level DEBUG instead. Errors of other kinds, such as a bug, keep theirs.
    """

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Result:
        try:
            return method(self, *args, **kwargs)
        except VideoProviderError as error:
            log.debug("Where the error comes from", exc_info=error)
            log_advice(error)
            raise error.with_traceback(None) from None
        except AirflowException as error:  # such as the timeout of a sensor, raised because of one of ours
            if isinstance(error.__cause__, VideoProviderError):
                log.debug("Where the error comes from", exc_info=error)
                raise error.with_traceback(None) from None
            raise

    return call
