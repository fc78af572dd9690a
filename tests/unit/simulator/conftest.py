# SPDX-License-Identifier: Apache-2.0
"""The vendors' bare clients, found in the folders beside this file."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

if TYPE_CHECKING:
    from tests.support.raw_client import RawClient
    from tests.support.simulator import Simulator

CLIENTS: dict[str, type[RawClient]] = {
    path.parent.name: import_module(f"tests.unit.simulator.{path.parent.name}.client").Client
    for path in sorted(Path(__file__).parent.glob("*/client.py"))
}


@pytest.fixture(params=CLIENTS)
def client(simulator: Simulator, request: pytest.FixtureRequest) -> RawClient:
    """Each vendor that has a bare client; renders last until they are moved by hand."""
    simulator.settings(render_seconds=3600)
    return CLIENTS[request.param](simulator)


@pytest.fixture
def any_client(simulator: Simulator) -> RawClient:
    """One vendor, for what does not depend on the vendor."""
    simulator.settings(render_seconds=3600)
    return next(iter(CLIENTS.values()))(simulator)


@pytest.fixture
def clients(simulator: Simulator) -> Any:
    """A vendor by its name, for the tests in its own folder."""
    simulator.settings(render_seconds=3600)
    return lambda vendor: CLIENTS[vendor](simulator)


def probe(content: bytes) -> tuple[str, int, float]:
    """Codec, decoded frames and length in seconds of a video."""
    with av.open(io.BytesIO(content)) as container:
        frames = sum(1 for _ in container.decode(video=0))
        return container.streams.video[0].codec_context.name, frames, container.duration / 1_000_000


@pytest.fixture(name="probe")
def probe_fixture() -> Any:
    """The function that looks into a video."""
    return probe
