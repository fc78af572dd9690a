# SPDX-License-Identifier: Apache-2.0
"""Oxolo's payloads, as ``oxolo.com/documentation`` described them. All of them come in an envelope, ``results``."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel

T = TypeVar("T")


class OxoloAnswer(VendorModel, Generic[T]):
    """The envelope of every answer."""

    results: T


class OxoloCreatedVideo(VendorModel):
    """Results of ``POST /videos/create/url``, ``.../form`` and ``.../product``."""

    identifier: str


class OxoloVideo(VendorModel):
    """
    Results of ``GET /videos/{id}``.

    The vendor's spelling is kept (``stagText``, ``un_wateremark_link``). The documented example holds
    ``generated_from`` twice; the last one counts. The forms of times, durations and ``remainingTime`` are not
    documented, so what cannot be read as a time becomes None and the rest stays text.
    """

    identifier: str
    status: str
    generation_id: str | None = None
    batch_id: str | None = None
    generated_from: str | None = None
    title: str | None = None
    website: str | None = None
    progress: str | None = None
    remainingTime: str | None = None
    stagText: str | None = None
    duration: str | None = None
    createDateTime: Timestamp | None = None
    lastChangedDateTime: Timestamp | None = None
    video_link: str | None = Field(default=None, repr=False)
    un_wateremark_link: str | None = Field(default=None, repr=False)
    thumbnail: str | None = Field(default=None, repr=False)
    s3_vtt_path: str | None = Field(default=None, repr=False)
    target_platform: str | None = None
    target_language: str | None = None
    is_updating: bool | None = None
    isActive: bool | None = None
    delete_at: str | None = None


class OxoloListedVideo(VendorModel):
    """One item of ``GET /videos``: no title and no status. The form of the times is not documented."""

    identifier: str
    created: Timestamp | None = None
    updated: Timestamp | None = None


class OxoloWebhook(VendorModel):
    """Results of ``POST /webhooks``, without the API key that the vendor repeats in them."""

    eventType: str | None = None
    systemId: str | None = None
    createdAt: Timestamp | None = None
    system: dict[str, Any] | None = None
