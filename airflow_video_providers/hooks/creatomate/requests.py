# SPDX-License-Identifier: Apache-2.0
"""Creatomate's requests, as its reference describes them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import Number, VendorRequest


class CreatomateRequest(VendorRequest):
    """
    A render: ``POST /v2/renders``, of ``template_id`` with ``modifications``, or of RenderScript (``elements``).

    :param output_format: ``mp4``, ``gif``, ``jpg`` or ``png``.
    """

    template_id: str | None = None
    modifications: dict[str, Any] | None = None
    elements: list[dict[str, Any]] | None = None
    output_format: str | None = None
    width: Number | None = None
    height: Number | None = None
    duration: Number | str | None = None
    frame_rate: Number | None = None
    render_scale: Number | None = None
    max_width: Number | None = None
    max_height: Number | None = None
    metadata: str | None = None
    webhook_url: str | None = None
