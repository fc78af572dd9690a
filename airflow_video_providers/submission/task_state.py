# SPDX-License-Identifier: Apache-2.0
"""What Airflow says of a task instance: whether a user has ended it, and whether its process is about to be stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

STOP_SECONDS = 90.0
"""How long a cleared task waits to be stopped: a heartbeat tells its supervisor to, by default within 5 seconds."""

_RESTARTING = "restarting"  # cleared while it ran

# Where a user (or the fate of the run) puts a task that is not to go on. In any other state a try is still to come or
# runs elsewhere: a worker that Airflow took for dead finds its task up_for_retry, scheduled or queued.
_ENDED = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", _RESTARTING})
_PAUSE = 1.0


def read_state(ti: Any) -> str | None:
    """
    Ask Airflow for the state of the running task instance; None: it was cleared, ``removed``: it is gone with its run.

    :raises Exception: whatever the supervisor or the API server says instead.
    """
    map_index = -1 if ti.map_index is None else int(ti.map_index)
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=map_index)
    return state_among(states, ti.run_id)


def state_among(states: Mapping[str, Mapping[str, Any]], run_id: str) -> str | None:
    """Read one task instance's state off the response of ``get_task_states``; None: cleared, ``removed``: not there."""
    found = list(states.get(run_id, {}).values())
    if not found:
        return "removed"  # with its run
    return None if found[0] is None else str(getattr(found[0], "value", found[0]))


def is_ended(state: str | None) -> bool:
    """Tell whether a task instance in this state was ended by a user, or by the fate of its run."""
    return state is None or state in _ENDED


@contextmanager
def stopped_by_a_clear(ti: Any) -> Iterator[None]:
    """
    Let a task that was cleared while it ran fail only after its supervisor was told to stop it.

    Airflow counts the clear (it moves ``max_tries``) when its supervisor has stopped the process. Where the process
    fails before, the next try looks like a retry, which adopts the render that the clear should replace.
    """
    try:
        yield
    except Exception:
        _wait_to_be_stopped(ti)
        raise


def _wait_to_be_stopped(ti: Any) -> None:
    give_up_at = time.monotonic() + STOP_SECONDS
    is_told = False
    try:
        while read_state(ti) == _RESTARTING and time.monotonic() < give_up_at:
            if not is_told:
                log.info("The task was cleared; this try waits until Airflow stops it.")
                is_told = True
            time.sleep(_PAUSE)
    except Exception as error:  # it must not take the place of what ended the task
        log.debug("Airflow does not say whether the task was cleared: %s", error)
