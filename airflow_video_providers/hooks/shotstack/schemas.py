# SPDX-License-Identifier: Apache-2.0
"""Shotstack's documents, as its OpenAPI definition describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel


class ShotstackQueued(VendorModel):
    """The response to a create."""

    id: str
    message: str | None = None


class ShotstackRender(VendorModel):
    """A render; ``renderTime`` is in milliseconds, ``duration`` in seconds."""

    id: str
    status: str
    error: str | None = None
    duration: float | None = None
    renderTime: float | None = None
    url: str | None = None
    poster: str | None = None
    thumbnail: str | None = None
    created: Timestamp | None = None
    updated: Timestamp | None = None

    def links(self) -> list[tuple[str | None, str]]:
        """Return the label and the first link of each file: the render itself has none."""
        named = ((None, self.url), ("poster", self.poster), ("thumbnail", self.thumbnail))
        return [(label, link) for label, link in named if link]


class _WithAttributes(VendorModel):
    """A document of the Serve and Ingest APIs, which hold most of their fields in ``attributes``."""

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """Lift the attributes to the other fields."""
        attributes = data.get("attributes") if isinstance(data, Mapping) else None
        return {**data, **attributes} if isinstance(attributes, Mapping) else data


class ShotstackAsset(_WithAttributes):
    """A file that the vendor hosts (Serve API)."""

    id: str
    status: str
    renderId: str | None = None
    filename: str | None = None
    url: str | None = None


class ShotstackSource(_WithAttributes):
    """A source that was uploaded or fetched (Ingest API)."""

    id: str
    status: str | None = None
    url: str | None = None
    source: str | None = None
