# SPDX-License-Identifier: Apache-2.0
"""What ``make chaos`` does to a task that renders a whole list: shared by its DAG file and its harness."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

ITEMS = 7
WINDOW = 3
MARK = re.compile(r"(bulk_\w+-[a-z0-9]+)\.item-(\d+)\.")
"""What tells an item of a task in its request and its job."""


@dataclass(frozen=True)
class BulkCase:
    """
    One way to disturb a bulk task.

    :param deferrable: whether the task waits in the triggerer.
    :param strike: the point at which the worker of the first try dies, and which time the point is reached.
    :param action: what the harness does to the task once it runs, or is deferred.
    :param fault: what the simulator does to the request that creates a job, once a task.
    :param arguments: of the operator.
    :param again: how many renders an item may have had at the end, cancelled ones included.
    :param ends: the state of the task at the end.
    """

    name: str
    deferrable: bool = False
    strike: tuple[str, int] | None = None
    action: str | None = None
    fault: dict[str, Any] | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    again: int = 1
    ends: str = "success"

    @property
    def dag_id(self) -> str:
        """The DAG that holds the tasks of this case, one a vendor."""
        return re.sub(r"\W+", "_", self.name)

    @property
    def doubtful(self) -> bool:
        """Whether a crash or a fault may leave an item in doubt, where the vendor cannot resolve it."""
        # While one item is delivered, another is submitted.
        return self.fault is not None or (
            self.strike is not None and self.strike[0] in ("intended", "accepted", "answered", "downloading")
        )


STRIKES = [
    BulkCase("bulk killed before the first POST", strike=("intended", 1)),
    BulkCase("bulk killed between two POSTs", strike=("accepted", 2)),
    BulkCase("bulk killed after a POST", strike=("answered", 1)),
    BulkCase("bulk killed after the ids are kept", strike=("kept", 1)),
    BulkCase("bulk killed in the second window", strike=("accepted", WINDOW + 2)),
    BulkCase("bulk killed while waiting", strike=("waiting", 1)),
    BulkCase("bulk killed in mid-delivery", strike=("downloading", 2)),
    BulkCase("bulk killed while deferring", deferrable=True, strike=("deferring", 1)),
]
FAULTS = [BulkCase("bulk response lost", fault={"lose_answer": True})]
ACTIONS = [
    BulkCase("bulk worker evicted", action="evict"),
    BulkCase("bulk cleared while running", action="clear", again=2),
    BulkCase("bulk cleared while deferred", deferrable=True, action="clear", again=2),
    BulkCase("bulk failed by hand while running", action="mark failed", ends="failed"),
    BulkCase("bulk failed by hand while deferred", deferrable=True, action="mark failed", ends="failed"),
    BulkCase("bulk timeout in the worker", arguments={"timeout": 8, "retries": 0}, ends="failed"),
    BulkCase("bulk timeout in the triggerer", deferrable=True, arguments={"timeout": 8, "retries": 0}, ends="failed"),
]
TRIGGERERS = [BulkCase("bulk triggerers killed", deferrable=True, action="kill triggerers")]
BULK_PHASES = [STRIKES, FAULTS, ACTIONS, TRIGGERERS]
"""The cases that run at the same time."""
