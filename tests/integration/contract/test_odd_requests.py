# SPDX-License-Identifier: Apache-2.0
"""Requests that are nearly right: each ends in a job or a named error, and in no failure of the simulator."""

from __future__ import annotations

import contextlib
import copy
import random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_video_providers.exceptions import VideoProviderError
from airflow_video_providers.hooks.base import get_video_hook
from tests.support.simulator import VENDORS

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

ODD: tuple[Any, ...] = (
    None, 1, -1, 10**400, 1.5, True, "", "x" * 5000, "\ud800", "\x00", [], {}, [1], ["a"], [None], [[[]]], {"": ""},
    {"a": {"b": [1]}}, [{"url": 5}], {"url": "file:///etc/passwd"}, "https://x.example/?a=b",
)  # fmt: skip
TRIES = 25


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document that can hold another value: container and key."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *places(value[key]))]


def spoiled(request: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    made = copy.deepcopy(request)
    for _ in range(chance.randint(1, 2)):
        container, key = chance.choice(places(made))
        container[key] = copy.deepcopy(chance.choice(ODD))
        if not places(made):
            break
    return made


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_odd_request_is_a_job_or_a_named_error(vendor: str, video_connections: Simulator) -> None:
    video_connections.settings(render_seconds=0, file_bytes=100_000)
    chance = random.Random(vendor)
    hook = get_video_hook(f"{vendor}_default")
    hook.retry_deadline = 0.1
    submitted, statuses = 0, []
    for number in range(TRIES):
        request = spoiled(VENDORS[vendor].request(f"text-{number}"), chance)
        try:
            job = hook.submit_job(request, key=f"key-{number}")
        except VideoProviderError as error:
            statuses.append(getattr(error, "status", None))
        else:
            submitted += 1
            with contextlib.suppress(VideoProviderError):
                hook.get_job(job.job_id)
                hook.get_outputs(job.job_id)
    assert 500 not in statuses
    assert submitted + len(statuses) == TRIES
    assert video_connections.counts(vendor)["creates"] == submitted
    hook.close()
