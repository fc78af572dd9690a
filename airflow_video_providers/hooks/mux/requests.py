# SPDX-License-Identifier: Apache-2.0
"""Mux's requests, as its SDK for Node.js, which is made from its API's description, has them."""

from __future__ import annotations

from airflow_video_providers.hooks.requests import VendorRequest


class MuxInput(VendorRequest):
    """A source: its link, and settings of overlays and subtitles."""

    url: str | None = None


class MuxMetaRequest(VendorRequest):
    """What Mux shows of an asset; ``external_id`` is left to the submission key."""

    title: str | None = None
    creator_id: str | None = None
    external_id: str | None = None


class MuxRendition(VendorRequest):
    """A file to download: ``resolution`` is ``highest``, ``audio-only`` or a height such as ``1080p``."""

    resolution: str | None = None
    passthrough: str | None = None


class MuxAssetRequest(VendorRequest):
    """
    An asset: ``POST /video/v1/assets``. Ask for ``static_renditions`` where its file is to be stored elsewhere.

    :param playback_policies: ``public``, ``signed`` or ``drm``. :param video_quality: ``basic``, ``plus``, ``premium``.
    :param test: a free asset of 10 seconds with a watermark, which is deleted after 24 hours.
    """

    inputs: list[MuxInput] | None = None
    playback_policies: list[str] | None = None
    passthrough: str | None = None
    meta: MuxMetaRequest | None = None
    video_quality: str | None = None
    max_resolution_tier: str | None = None
    static_renditions: list[MuxRendition] | None = None
    master_access: str | None = None
    normalize_audio: bool | None = None
    test: bool | None = None
