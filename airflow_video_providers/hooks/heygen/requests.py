# SPDX-License-Identifier: Apache-2.0
"""HeyGen's requests (API v3), as its command line client, which is made from its OpenAPI document, describes them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import Number, VendorRequest


class HeyGenVideoRequest(VendorRequest):
    """
    A video: ``POST /v3/videos``.

    :param type: ``avatar`` (with ``avatar_id``, and ``script`` or an audio), ``image`` (with ``image``),
        ``cinematic_avatar`` (with ``prompt`` and ``avatar_id``) or ``studio`` (with ``scenes``).
    :param resolution: ``720p``, ``1080p`` or ``4k``. :param output_format: ``mp4`` or ``webm``.
    """

    type: str
    title: str | None = None
    avatar_id: str | None = None
    voice_id: str | None = None
    script: str | None = None
    audio_url: str | None = None
    audio_asset_id: str | None = None
    image: dict[str, Any] | None = None
    prompt: str | None = None
    scenes: list[dict[str, Any]] | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    output_format: str | None = None
    background: dict[str, Any] | None = None
    caption: Any = None
    engine: dict[str, Any] | None = None
    callback_url: str | None = None


class HeyGenTemplateRequest(VendorRequest):
    """A video from a template: ``POST /v3/templates/{template_id}``; ``variables`` must be given."""

    template_id: str
    variables: dict[str, Any] | None = None
    title: str | None = None
    scene_ids: list[str] | None = None
    dimension: dict[str, Any] | None = None
    caption: Any = None
    fps: Number | None = None
    folder_id: str | None = None
    callback_url: str | None = None


class HeyGenAgentRequest(VendorRequest):
    """A video of the video agent: ``POST /v3/video-agents``."""

    prompt: str
