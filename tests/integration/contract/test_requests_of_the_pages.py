# SPDX-License-Identifier: Apache-2.0
"""Each request and each connection that a vendor's page shows, taken by the vendor's simulator and by Airflow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_video_providers.hooks.base import get_video_hook
from tests.support.simulator import VENDORS

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

PAGES = Path(__file__).parents[3] / "docs" / "vendors"


def blocks(vendor: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", (PAGES / f"{vendor}.md").read_text(), re.DOTALL | re.MULTILINE)


def requests_of(vendor: str) -> dict[str, dict[str, Any]]:
    """Return the requests of a page, by the names that it gives them."""
    names: dict[str, Any] = {}
    for block in blocks(vendor, "python"):
        exec(compile(block, f"{vendor}.md", "exec"), names)
    return {name: value for name, value in names.items() if isinstance(value, dict) and not name.startswith("__")}


REQUESTS = [(vendor, name) for vendor in VENDORS for name in requests_of(vendor)]


def test_every_page_shows_a_request_and_a_connection() -> None:
    assert {vendor for vendor, _ in REQUESTS} == set(VENDORS)
    assert all(blocks(vendor, "bash") for vendor in VENDORS)


@pytest.mark.parametrize(("vendor", "name"), REQUESTS)
def test_the_request_becomes_a_job(vendor: str, name: str, simulator: Simulator, video_connections: Simulator) -> None:
    job = get_video_hook(f"{vendor}_default").submit_job(requests_of(vendor)[name], key="avp-of-the-page")
    (made,) = simulator.jobs(vendor)
    assert (made["vendor"], made["job_id"]) == (vendor, job.job_id)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_connection_is_read_as_the_page_means_it(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.findall(r"^AIRFLOW_CONN_(\w+)='(.*)'$", "".join(blocks(vendor, "bash")), re.MULTILINE)
    assert shown
    for conn_id, value in shown:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", value)
        hook = get_video_hook(conn_id.lower())
        assert hook.conn_type == vendor
        assert hook.secret()
        assert hook.settings.read_timeout > 0
