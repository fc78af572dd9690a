# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub's requests, as its manual documents them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import VendorRequest


class XvidInput(VendorRequest):
    """What a job reads: ``input_name`` is a URI, or a path in the pipeline's input."""

    input_name: str | None = None
    start_time: Any = None
    force_container: Any = None
    force_aspect_ratio: Any = None


class XvidOutput(VendorRequest):
    """One video that a job makes: ``preset`` is ``{"id": ...}``."""

    preset: dict[str, Any] | None = None
    output_name: str | None = None
    thumbnails: list[dict[str, Any]] | None = None
    logos: list[dict[str, Any]] | None = None
    settings: dict[str, Any] | None = None


class XvidJobRequest(VendorRequest):
    """A job: ``POST /jobs/``, the content of ``job``. ``pipeline`` is ``{"id": ...}``."""

    pipeline: dict[str, Any] | None = None
    input: XvidInput | None = None
    outputs: list[XvidOutput] | None = None
    output_prefix: str | None = None
    user_data: str | None = None
    autograph: dict[str, Any] | None = None


class XvidWholeRequest(VendorRequest):
    """The same with its envelope."""

    job: XvidJobRequest
