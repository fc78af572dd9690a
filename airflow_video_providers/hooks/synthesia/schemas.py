# SPDX-License-Identifier: Apache-2.0
"""Synthesia's documents, as its OpenAPI document of version 2 describes them."""

from __future__ import annotations

from pydantic import Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel


class SynthesiaCaptions(VendorModel):
    """Links to the captions."""

    vtt: str | None = None
    srt: str | None = None


class SynthesiaThumbnail(VendorModel):
    """Links to the pictures."""

    image: str | None = None
    gif: str | None = None


class SynthesiaVideo(VendorModel):
    """A video; ``download`` is there only once ``status`` is ``complete``, ``duration`` is a text."""

    id: str
    status: str
    title: str | None = None
    callbackId: str | None = None
    createdAt: Timestamp | None = None
    lastUpdatedAt: Timestamp | None = None
    duration: str | None = None
    download: str | None = None
    captions: SynthesiaCaptions | None = None
    thumbnail: SynthesiaThumbnail | None = None
    visibility: str | None = None
    test: bool | None = None

    def seconds(self) -> float | None:
        """Return the play time in seconds: written as a number or as ``h:mm:ss``; None for any other form."""
        try:
            parts = [float(part) for part in (self.duration or "").split(":")]
        except ValueError:
            return None
        if not 1 <= len(parts) <= 3 or any(not 0 <= part < 1e6 for part in parts):
            return None
        return sum((part * 60.0**power for power, part in enumerate(reversed(parts))), 0.0)


class SynthesiaWebhook(VendorModel):
    """A registered webhook; ``secret`` is shown only when it is created."""

    id: str
    url: str | None = None
    status: str | None = None
    secret: str | None = Field(default=None, repr=False)
