# SPDX-License-Identifier: Apache-2.0
"""HeyGen's documents (API v3), as its command line client, which is made from its OpenAPI document, describes them."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel


class HeyGenCreated(VendorModel):
    """The response to a create: ``video_id`` of a video, ``id`` of one that is made from a template."""

    video_id: str = Field(validation_alias=AliasChoices("video_id", "id"))
    status: str | None = None


class HeyGenSession(VendorModel):
    """The response to the create of a video agent; ``video_id`` can be null."""

    session_id: str
    video_id: str | None = None
    status: str | None = None


class HeyGenVideo(VendorModel):
    """A video; ``subtitle_url`` is SRT."""

    id: str
    status: str
    title: str | None = None
    folder_id: str | None = None
    created_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    duration: float | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    video_url: str | None = None
    captioned_video_url: str | None = None
    subtitle_url: str | None = None
    thumbnail_url: str | None = None
    gif_url: str | None = None
    video_page_url: str | None = None


class HeyGenVideoStatus(VendorModel):
    """One line of the status of many videos; its words differ from those of a video."""

    status: str
    video_id: str | None = None
    batch_id: str | None = None
    item_index: int | None = None
    error: Any = None


class HeyGenBatch(VendorModel):
    """A batch of videos."""

    status: str | None = None
    batch_id: str | None = None
    counts_by_status: dict[str, int] | None = None
    items: tuple[HeyGenVideoStatus, ...] = ()
    has_more: bool | None = None
    next_token: str | None = None


class HeyGenUpload(VendorModel):
    """Where the bytes of an asset go."""

    asset_id: str
    upload_url: str = Field(repr=False)
    upload_headers: dict[str, str] = Field(default_factory=dict, repr=False)
    max_bytes: int | None = None


class HeyGenWebhook(VendorModel):
    """A registered endpoint; ``secret`` is shown only when it is created or rotated."""

    endpoint_id: str
    url: str | None = None
    events: tuple[str, ...] | None = None
    status: str | None = None
    secret: str | None = Field(default=None, repr=False)
