# SPDX-License-Identifier: Apache-2.0
"""fal's requests: each model has fields of its own."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import VendorRequest


class FalModelRequest(VendorRequest):
    """
    A request to a model; its other fields are those of the model, as its page on fal documents them.

    :param endpoint: ``owner/app`` or ``owner/app/path`` of the model. It is not part of the body.
    """

    endpoint: str
    prompt: Any = None
