# SPDX-License-Identifier: Apache-2.0
"""Creatomate's documents, as its API reference describes them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from airflow_video_providers.hooks.schemas import VendorModel


class CreatomateRender(VendorModel):
    """
    A render.

    ``url`` is there from the start; the file behind it only once ``status`` is ``succeeded``. ``errors`` and
    ``warnings`` are the vendor's advice in its response to a create.
    """

    id: str
    status: str
    error_message: str | None = None
    url: str | None = Field(default=None, repr=False)
    snapshot_url: str | None = Field(default=None, repr=False)
    template_id: str | None = None
    template_name: str | None = None
    template_tags: tuple[str, ...] = ()
    output_format: str | None = None
    render_scale: float | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    duration: float | None = None
    file_size: int | None = None
    metadata: str | None = None
    modifications: Any = Field(default=None, repr=False)
    errors: tuple[Any, ...] = ()
    warnings: tuple[Any, ...] = ()
    webhook_url: str | None = Field(default=None, repr=False)


class CreatomateCheck(VendorModel):
    """What ``dry_run`` tells of a request: whether it is valid, and the vendor's remarks."""

    valid: bool
    errors: tuple[Any, ...] = ()
    warnings: tuple[Any, ...] = ()
