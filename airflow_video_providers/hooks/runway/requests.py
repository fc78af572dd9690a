# SPDX-License-Identifier: Apache-2.0
"""Runway's requests, as its OpenAPI document of version 2024-11-06 describes them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import Number, VendorRequest


class RunwayRequest(VendorRequest):
    """
    A task; ``model`` decides which fields are legal.

    :param endpoint: the path below ``/v1/``: ``text_to_video``, ``image_to_video``, ``video_to_video``,
        ``generate/video``, ``workflows/<id>``, ... It is not part of the body.
    :param promptImage: an https link, a ``runway://`` URI, a data URI, or a list of images.
    """

    endpoint: str
    model: str | None = None
    promptText: str | None = None
    promptImage: str | list[dict[str, Any]] | None = None
    videoUri: str | None = None
    ratio: str | None = None
    duration: Number | None = None
    seed: int | None = None
    outputFormat: Any = None
    configId: str | None = None
    input: dict[str, Any] | None = None
