# SPDX-License-Identifier: Apache-2.0
"""Colossyan's requests, as its documentation describes them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import VendorRequest


class ColossyanDefinitionRequest(VendorRequest):
    """A video by its full definition: ``POST /video-generation-jobs``; the editor exports it ("Export to API")."""

    videoCreative: dict[str, Any]
    dynamicVariables: dict[str, Any] | None = None
    callback: str | None = None
    callbackPayload: dict[str, Any] | None = None


class ColossyanTemplateRequest(VendorRequest):
    """A video from a template job: ``POST .../template-jobs``; ``dynamicVariables`` must be given."""

    templateJobId: str
    dynamicVariables: dict[str, Any] | None = None
    callbackUrl: str | None = None
    callbackPayload: dict[str, Any] | None = None
