# SPDX-License-Identifier: Apache-2.0
"""Hour One's requests, as the service's own OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import VendorRequest


class HourOneScene(VendorRequest):
    """A scene: ``name`` must be given, in a ``create`` also ``layout_id``."""

    name: str | None = None
    layout_id: str | None = None
    transcript: str | None = None
    media: list[Any] | None = None
    texts: list[Any] | None = None
    media_elements: list[dict[str, Any]] | None = None
    texts_elements: list[dict[str, Any]] | None = None
    voice_recording_url: str | None = None


class HourOneVideoRequest(VendorRequest):
    """
    A video: ``POST /videos``.

    :param type: ``override`` (with ``scenes``), ``create`` (with ``template_id``, ``character_id``, ``voice_id`` and
        ``scenes``) or ``workflow`` (with ``workflow_id`` and ``variables``).
    """

    type: str | None = None
    name: str | None = None
    scenes: list[HourOneScene] | None = None
    source_draft_id: str | None = None
    recipe_id: str | None = None
    template_id: str | None = None
    workflow_id: str | None = None
    variables: list[dict[str, Any]] | None = None
    folder_id: str | None = None
    palette_id: str | None = None
    character_id: str | None = None
    voice_id: str | None = None
    logo_url: str | None = None
    global_media_elements: list[dict[str, Any]] | None = None
    palette: list[dict[str, Any]] | None = None
    metadata: dict[str, Any] | None = None
    correlation_id: str | None = None
