# SPDX-License-Identifier: Apache-2.0
"""The conformance suite on the simulator, for every vendor that is found."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.module_loading import import_string

from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.testing import VideoHookConformance
from tests.support.simulator import VENDORS, Simulator


class SimulatorControl:
    """One vendor of the simulator, as the suite controls it."""

    def __init__(self, vendor: str, simulator: Simulator) -> None:
        self.vendor, self.simulator = vendor, simulator
        simulator.settings(render_seconds=600)

    def connection(self) -> dict[str, Any]:
        return self.simulator.connection(self.vendor)

    def request(self, text: str) -> dict[str, Any]:
        return VENDORS[self.vendor].request(text)

    def job_ids(self) -> list[str]:
        return [job["job_id"] for job in self.simulator.jobs(self.vendor)]

    def finish(self, job_id: str) -> None:
        self.simulator.move(job_id, finish=True)

    def fail(self, job_id: str) -> None:
        self.simulator.move(job_id, fail="no voice")

    def forget(self, job_id: str) -> None:
        self.simulator.move(job_id, delete=True)


class WebhookSimulatorControl(SimulatorControl):
    """One whose account has webhooks."""

    def register_webhook(self, url: str) -> str | None:
        return self.simulator.register_webhook(self.vendor, url)


def _suite(vendor: str, hook_class: str) -> type[VideoHookConformance]:
    def control(self: Any, simulator: Simulator) -> SimulatorControl:
        return kind(vendor, simulator)

    name = f"Test{hook_class.rpartition('.')[2]}"
    kind = SimulatorControl if VENDORS[vendor].register_webhook is None else WebhookSimulatorControl
    members = {"hook_class": import_string(hook_class), "control": pytest.fixture(control), "__module__": __name__}
    return type(name, (VideoHookConformance,), members)


for _entry in get_provider_info()["connection-types"]:
    _made = _suite(_entry["connection-type"], _entry["hook-class-name"])
    globals()[_made.__name__] = _made
del _made


def test_the_simulator_knows_every_vendor_and_no_other() -> None:
    assert set(VENDORS) == {entry["connection-type"] for entry in get_provider_info()["connection-types"]}
