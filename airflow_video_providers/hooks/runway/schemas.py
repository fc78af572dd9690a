# SPDX-License-Identifier: Apache-2.0
"""Runway's documents, as its OpenAPI document of version 2024-11-06 describes them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel


class RunwayCredits(VendorModel):
    """An amount of credits; one credit is 0.01 USD."""

    credits: float | None = None


class RunwayCreated(VendorModel):
    """The response to a create: the id of the task, and the most that it may charge; of a router, what it chose."""

    id: str
    estimatedCost: RunwayCredits | None = None
    routing: dict[str, Any] | None = None


class RunwayTask(VendorModel):
    """
    A task, or an invocation of a workflow.

    ``output`` is a list of links of a task, and a list of links for each node of a workflow.
    """

    id: str
    status: str
    createdAt: Timestamp | None = None
    progress: float | None = None
    output: list[str] | dict[str, list[str]] | None = None
    failure: str | None = None
    failureCode: str | None = None
    cost: RunwayCredits | None = None
    estimatedCost: RunwayCredits | None = None

    def links(self) -> list[tuple[str | None, str]]:
        """Return the node (None for a task) and the link of each output, in the vendor's order."""
        if isinstance(self.output, dict):
            return [(node, link) for node, links in self.output.items() for link in links]
        return [(None, link) for link in self.output or []]


class RunwayOrganization(VendorModel):
    """What ``GET /v1/organization`` tells: the balance, the limits of the tier by model, today's use."""

    creditBalance: float
    tier: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None


class RunwayUpload(VendorModel):
    """Where an ephemeral upload goes, and the ``runway://`` URI that a request names it by."""

    uploadUrl: str = Field(repr=False)
    runwayUri: str = Field(repr=False)
    fields: dict[str, str]
