# SPDX-License-Identifier: Apache-2.0
"""Hour One's payloads, as ``hourone.gitbook.io/api-docs`` and the service's own OpenAPI document describe them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from airflow_video_providers.hooks.schemas import VendorModel


class HourOneVideo(VendorModel):
    """
    A video: the response of ``POST /videos`` and ``GET /videos/{video_id}``, and each item of ``GET /videos``.

    The vendor promises ``req_id``, ``draft_id`` and ``video_player_url`` too; a paid video must not become unreadable
    for want of them.
    """

    id: str
    status: str
    req_id: str | None = None
    draft_id: str | None = None
    video_player_url: str | None = Field(default=None, repr=False)
    name: str | None = None
    progress: float | None = None
    source_draft_id: str | None = None
    recipe_id: str | None = None
    template_id: str | None = None
    palette_id: str | None = None
    palette: list[Any] | None = None
    global_media_elements: list[Any] | None = None
    character_id: str | None = None
    voice_id: str | None = None
    scenes: list[dict[str, Any]] | None = None
    download_url: str | None = Field(default=None, repr=False)
    metadata: dict[str, Any] | None = None
    correlation_id: str | None = None


class HourOneSceneMetadata(VendorModel):
    """Where one scene lies in the video. The units are not documented; they look like seconds."""

    scene_index: int | None = None
    start_time: float | None = None
    duration: float | None = None


class HourOneVideoMetadata(VendorModel):
    """Response of ``GET /videos/{video_id}/metadata``. The unit of ``duration`` is not documented."""

    duration: float | None = None
    scenes_metadata: list[HourOneSceneMetadata] | None = None


class HourOneSubtitles(VendorModel):
    """Response of ``POST /videos/{video_id}/subtitles``."""

    url: str = Field(repr=False)
    language_code: str | None = None
    format: str | None = None


class HourOneVoicePreview(VendorModel):
    """
    A voice preview: the response of ``POST /voice-preview`` and ``GET /voice-preview/{task_id}``.

    ``status`` is ``in_progress``, ``ready`` or ``failed``; ``url`` is there once it is ready.
    """

    id: str
    req_id: str | None = None
    status: str | None = None
    url: str | None = Field(default=None, repr=False)


class HourOneUsage(VendorModel):
    """An item of ``GET /analytics/summary``: one day, week or month, by the breakdown that was asked for."""

    videos_created: int
    total_duration: float | None = None
    day: Any = None
    week: Any = None
    month: Any = None
    year: Any = None
