# SPDX-License-Identifier: Apache-2.0
"""Oxolo's requests, as its documentation described them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import VendorRequest


class OxoloVideoRequest(VendorRequest):
    """
    A video.

    :param mode: ``url`` (with ``url``), ``form`` (with ``title``, ``text``, ``media``) or ``product`` (with ``title``,
        the two descriptions and ``media``); it chooses the endpoint and is not part of the body.
    """

    mode: str
    url: str | None = None
    template_id: str | None = None
    title: str | None = None
    text: str | None = None
    media: list[str] | None = None
    short_description: str | None = None
    long_description: str | None = None
    price: Any = None
    product_category: Any = None
    reviews: list[Any] | None = None
    shop_url: str | None = None
    data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    voice_id: str | None = None
    actor_id: str | None = None
    music_id: str | None = None
