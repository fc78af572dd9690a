# SPDX-License-Identifier: Apache-2.0
"""fal's documents of its queue and its platform API, as its client ``fal-client`` 1.0.3 and its pages describe them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel


class FalQueued(VendorModel):
    """The response to a create."""

    request_id: str
    gateway_request_id: str | None = None
    queue_position: int | None = None


class FalStatus(VendorModel):
    """The status of a request; ``COMPLETED`` with ``error`` is a failure."""

    status: str
    queue_position: int | None = None
    error: Any = None
    error_type: str | None = None
    logs: Any = Field(default=None, repr=False)
    metrics: dict[str, Any] | None = None


class FalRequest(VendorModel):
    """One request of the list; ``json_input`` is the body that was sent."""

    request_id: str
    endpoint_id: str | None = None
    sent_at: Timestamp | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    status_code: int | None = None
    json_input: Any = Field(default=None, repr=False)


class FalPrice(VendorModel):
    """What one unit of a model costs: ``unit`` is ``seconds``, ``videos``, ``images``, ``megapixels``, ..."""

    endpoint_id: str
    unit_price: float
    unit: str
    currency: str = "USD"


class FalPrices(VendorModel):
    """The response of ``GET /models/pricing``."""

    prices: tuple[FalPrice, ...]


class FalUpload(VendorModel):
    """Where a file goes, and the link by which a request names it."""

    upload_url: str = Field(repr=False)
    file_url: str = Field(repr=False)
