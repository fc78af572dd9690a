# SPDX-License-Identifier: Apache-2.0
"""How the DAG files of ``make chaos`` strike a worker: functions that are wrapped, and the blow itself."""

from __future__ import annotations

import functools
import os
import signal


def kill_worker():
    """Kill the supervisor and the task, so that neither can tell Airflow."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner, name, *, before=lambda *_: None, after=lambda *_: None):
    """
    Wrap a function of a module or class: ``before`` gets its arguments, ``after`` its result and arguments.

    The function itself is left out where ``before`` returns True.
    """
    original = getattr(owner, name)
    if hasattr(original, "chaos"):
        return

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        if before(*args):
            return None
        result = original(*args, **kwargs)
        after(result, *args)
        return result

    wrapper.chaos = True
    setattr(owner, name, wrapper)
