# SPDX-License-Identifier: Apache-2.0
"""Oxolo's payloads, as ``oxolo.com/documentation`` described them. All of them come in an envelope, ``results``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel

Event = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
WebhookTime = Annotated[
    Timestamp, BeforeValidator(lambda value: value.replace("/", "-") if isinstance(value, str) else value)
]


class OxoloUpload(VendorModel):
    """Response of ``POST /assets/media/request``: the id of the image."""

    results: str


class OxoloCreatedVideo(VendorModel):
    """Results of ``POST /videos/create/url``, ``.../form`` and ``.../product``."""

    identifier: str


class OxoloVideo(VendorModel):
    """
    Results of ``GET /videos/{id}``.

    The vendor's spelling is kept (``stagText``, ``un_wateremark_link``). The documented example holds
    ``generated_from`` twice; the last one counts. Times are written as ``2023-03-08T10:57:28.778Z`` and ``progress`` as
    ``"100"``; the forms of ``duration`` and ``remainingTime`` are not documented, so they stay text.
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
    """
    Results of ``POST /webhooks``, without the API key that the vendor repeats in them.

    ``eventType`` is a list in the later documentation, a text in the copy of July 2023; ``createdAt`` is written as
    ``2023/06/21 12:00:00``.
    """

    eventType: Event | None = None
    systemId: str | None = None
    createdAt: WebhookTime | None = None
    system: dict[str, Any] | None = None

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """Leave out the API key."""
        return {name: value for name, value in data.items() if name != "apiKey"} if isinstance(data, dict) else data
