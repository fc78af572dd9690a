# SPDX-License-Identifier: Apache-2.0
"""Synthesia's requests, as its OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import VendorRequest


class SynthesiaScene(VendorRequest):
    """One scene: ``avatar`` and ``background`` with ``scriptText``, or with ``scriptAudio`` and ``scriptLanguage``."""

    avatar: str | None = None
    background: str | None = None
    scriptText: str | None = None
    scriptAudio: str | None = None
    scriptLanguage: str | None = None


class SynthesiaVideoRequest(VendorRequest):
    """
    A video of 1 to 25 scenes: ``POST /v2/videos``.

    :param test: a free video with a watermark. :param visibility: ``private`` or ``public``.
    :param aspectRatio: ``16:9``, ``9:16``, ``1:1``, ``4:5`` or ``5:4``.
    """

    input: list[SynthesiaScene]
    title: str | None = None
    description: str | None = None
    test: bool | None = None
    visibility: str | None = None
    aspectRatio: str | None = None
    ctaSettings: dict[str, Any] | None = None
    soundtrack: str | None = None
    soundSettings: dict[str, Any] | None = None
    folderId: str | None = None


class SynthesiaTemplateRequest(VendorRequest):
    """A video from a template: ``POST /v2/videos/fromTemplate``; ``templateData`` must be given."""

    templateId: str
    templateData: dict[str, Any] | None = None
    title: str | None = None
    description: str | None = None
    test: bool | None = None
    visibility: str | None = None
    ctaSettings: dict[str, Any] | None = None
    folderId: str | None = None
    brandKitId: str | None = None
