# SPDX-License-Identifier: Apache-2.0
"""
How many renders the vendors' own SDKs and this package buy for one order, when something goes wrong.

``make bench-sdks`` prints the table as Markdown. The vendor is the simulator: it accepts each create, so each one is a
render paid for, and then does what the column says, to every create. The SDKs are the vendors' own for Python on PyPI,
pinned in the dependency group ``sdks``; nothing is changed but address, key and timeout.

A cell is the renders that one call has bought, and those of a task with three retries that makes the call anew in each
try; for this package the task is ``SubmitVideoJobOperator``. Pauses between tries are cut short: only counts are shown.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bench-sdks-"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.definitions.retry_policy import RetryAction

from airflow_video_providers.exceptions import VideoProviderError
from airflow_video_providers.hooks.base import get_video_hook
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.retry_policy import VideoRetryPolicy
from benchmarks.pauses import short_pauses
from tests.support.simulator import VENDORS, Simulator
from tests.support.submission import World, context_of

TIMEOUT = 1.0
"""Read timeout of every client, in seconds."""
TRIES = 4
"""Tries of a task with three retries."""
FAULTS: dict[str, dict[str, Any]] = {
    "read timeout": {"lose_answer": True, "delay": TIMEOUT + 0.5},
    "connection cut": {"lose_answer": True},
    "429 once": {"status": 429, "retry_after": 1, "times": 1},
    "503 after the job was made": {"answer_status_after_effect": 503},
}


def submit_fal(host: str, connection: dict[str, Any], request: dict[str, Any]) -> None:
    """Submit with fal-client. Its addresses are always https; this one constant is changed."""
    import fal_client

    fal_client.client.QUEUE_URL_FORMAT = f"{host}/"
    client = fal_client.SyncClient(key=connection["password"], default_timeout=TIMEOUT)
    endpoint = request.pop("endpoint")
    client.submit(endpoint, arguments=request)


def submit_runway(host: str, connection: dict[str, Any], request: dict[str, Any]) -> None:
    """Submit with runwayml."""
    import runwayml

    client = runwayml.RunwayML(api_key=connection["password"], base_url=host, timeout=TIMEOUT)
    client.text_to_video.create(
        model=request["model"], prompt_text=request["promptText"], ratio=request["ratio"], duration=request["duration"]
    )


def submit_mux(host: str, connection: dict[str, Any], request: dict[str, Any]) -> None:
    """Submit with mux-python."""
    import mux_python as mux

    settings = mux.Configuration(username=connection["login"], password=connection["password"])
    settings.host = host
    inputs = [mux.InputSettings(url=request["inputs"][0]["url"])]
    asset = mux.CreateAssetRequest(inputs=inputs, playback_policies=request["playback_policies"])
    mux.AssetsApi(mux.ApiClient(settings)).create_asset(asset, _request_timeout=TIMEOUT)


def submit_shotstack(host: str, connection: dict[str, Any], request: dict[str, Any]) -> None:
    """Submit with shotstack-sdk."""
    import shotstack_sdk as shotstack
    from shotstack_sdk.api import edit_api
    from shotstack_sdk.models import MergeField, TemplateRender

    settings = shotstack.Configuration(host=f"{host}/edit/v1")
    settings.api_key["DeveloperKey"] = connection["password"]
    template = TemplateRender(id=request["id"], merge=[MergeField(**field) for field in request["merge"]])
    with shotstack.ApiClient(settings) as client:
        edit_api.EditApi(client).post_template_render(template, _request_timeout=TIMEOUT)


@dataclass(frozen=True)
class Sdk:
    """A vendor's own SDK, and the call that submits a render."""

    vendor: str
    distribution: str
    submit: Callable[[str, dict[str, Any], dict[str, Any]], None]


SDKS = [
    Sdk("fal", "fal-client", submit_fal),
    Sdk("runway", "runwayml", submit_runway),
    Sdk("mux", "mux-python", submit_mux),
    Sdk("shotstack", "shotstack-sdk", submit_shotstack),
]


class Bench:
    """Counts the renders of one client under one fault."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def cell(self, vendor: str, fault: dict[str, Any], one_call: Callable[[], Any], a_task: Callable[[], Any]) -> str:
        """Return the renders of one call, and of a task with three retries."""
        found = []
        for act in (one_call, a_task):
            self.simulator.reset()
            self.simulator.settings(render_seconds=3600)
            self.simulator.fault(vendor, "create", **{"times": None, **fault})
            act()
            found.append(len(self.simulator.jobs(vendor)))
        return " / ".join(map(str, found))

    def sdk_row(self, sdk: Sdk) -> list[str]:
        """Measure an SDK."""
        connection = self.simulator.connection(sdk.vendor)

        def call() -> bool:
            try:
                sdk.submit(connection["host"], connection, VENDORS[sdk.vendor].request("order"))
            except Exception as error:  # each SDK has its own
                seen.append(type(error).__name__)
                return False
            return True

        def task() -> None:
            any(call() for _ in range(TRIES))

        seen: list[str] = []
        self.simulator.reset()
        if not call():
            raise RuntimeError(f"{sdk.distribution} cannot submit to the simulator: {seen}")
        cells = [self.cell(sdk.vendor, fault, call, task) for fault in FAULTS.values()]
        return [sdk.vendor, f"{sdk.distribution} {version(sdk.distribution)}", *cells]

    def own_row(self, vendor: str) -> list[str]:
        """Measure this package: the hook's call, and the operator with its retries."""

        def call() -> None:
            hook = get_video_hook(f"{vendor}_default")
            with contextlib.suppress(VideoProviderError):
                hook.submit_job(VENDORS[vendor].request("order"), key="order-1")

        def task() -> None:
            world, policy = World(), VideoRetryPolicy()
            for number in range(1, TRIES + 1):
                operator = SubmitVideoJobOperator(
                    task_id="order",
                    conn_id=f"{vendor}_default",
                    request=VENDORS[vendor].request("order"),
                    retries=TRIES - 1,
                    deferrable=False,
                )
                context = context_of(world, operator, number, TRIES - 1)
                try:
                    operator.execute(context)
                    return
                except VideoProviderError as error:
                    if policy.evaluate(error, number, TRIES - 1, context).action is RetryAction.FAIL:
                        return

        cells = [self.cell(vendor, fault, call, task) for fault in FAULTS.values()]
        return [vendor, "this package", *cells]


def main() -> None:
    """Measure every vendor, and print the table."""
    logging.disable(logging.CRITICAL)
    ExecutorSafeguard.test_mode = True  # the operators run here, not in a worker
    simulator = Simulator("--port", "0")
    try:
        for vendor in VENDORS:
            fields = simulator.connection(vendor)
            fields["extra"] = {**fields.get("extra", {}), "read_timeout": TIMEOUT}
            os.environ[f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT"] = json.dumps(fields)
        with short_pauses(0.01):
            bench = Bench(simulator)
            rows = [bench.sdk_row(sdk) for sdk in SDKS if sdk.vendor in VENDORS]
            rows += [bench.own_row(vendor) for vendor in VENDORS]
    finally:
        simulator.stop()
    head = ["vendor", "client", *FAULTS]
    for row in [head, ["---"] * len(head), *sorted(rows)]:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
