# SPDX-License-Identifier: Apache-2.0
"""Colossyan's payloads, as ``docs.colossyan.com`` describes them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel


class ColossyanCreatedJob(VendorModel):
    """Response of both ``POST /video-generation-jobs`` and ``POST /video-generation-jobs/template-jobs``."""

    id: str
    videoId: str | None = None


class ColossyanJob(VendorModel):
    """
    Response of ``GET /video-generation-jobs/{id}``: the status, and all that the job was made from.

    The vendor marks every field as optional; without a status there is nothing to go by, so that one is required.
    """

    status: str
    id: str | None = None
    videoId: str | None = None
    progress: float | None = None
    maximumProgress: float | None = None
    creationDate: Timestamp | None = None
    videoCreative: dict[str, Any] | None = None
    callbackPayload: dict[str, Any] | None = None


class ColossyanVideo(VendorModel):
    """Response of ``GET /generated-videos/{id}``. The subtitles are WebVTT text, not a link."""

    id: str | None = None
    jobId: str | None = None
    name: str | None = None
    createdAt: Timestamp | None = None
    publicUrl: str | None = Field(default=None, repr=False)
    thumbnailUrl: str | None = Field(default=None, repr=False)
    videoSizeBytes: int | None = Field(default=None, ge=0)
    videoDurationSeconds: float | None = None
    vttSubtitleString: str | None = None


class ColossyanDeleted(VendorModel):
    """Response of both DELETE calls."""

    message: str | None = None


class ColossyanActor(VendorModel):
    """An avatar of ``GET`` or ``POST /assets/actors``; ``name`` is what a track's ``actor`` takes."""

    name: str
    display_name: str | None = None
    default_voice: str | None = None
    gender: str | None = None
    type: str | None = None
    preview_url: str | None = Field(default=None, repr=False)
