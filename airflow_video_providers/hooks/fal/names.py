# SPDX-License-Identifier: Apache-2.0
"""What names a job of fal: the endpoint of a model, and the id of a request to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_video_providers.exceptions import VideoConfigurationError

_NAMESPACES = ("workflows", "comfy")
"""Namespaces of endpoints: what stands in them has one segment more than owner and app."""


def split_request(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the endpoint and the model's input."""
    endpoint = str(request.get("endpoint") or "").strip("/")
    parts = endpoint.split("/")
    if len(parts) < 2 + (parts[0] in _NAMESPACES) or not all(
        part and part not in (".", "..") and part.replace("-", "").replace("_", "").replace(".", "").isalnum()
        for part in parts
    ):
        raise VideoConfigurationError(
            f"A fal request needs 'endpoint': owner, app and path of a model such as 'fal-ai/veo3.1', not {endpoint!r}."
        )
    return endpoint, {name: value for name, value in request.items() if name not in ("endpoint", "fal_webhook")}


def app_of(endpoint: str) -> str:
    """Return what of an endpoint is in the path of its requests: owner and app, in a namespace with that before."""
    parts = endpoint.split("/")
    return "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])


def parse_job_id(job_id: str) -> tuple[str, str]:
    """
    Return the endpoint and the request id that a job's id is made of.

    :raises VideoConfigurationError: it is no id of a fal job.
    """
    endpoint, separator, request_id = str(job_id).rpartition("|")
    if not separator or not request_id:
        raise VideoConfigurationError(
            f"{job_id!r} is no id of a fal job: it must be endpoint and request id, 'fal-ai/veo3.1|<request id>'. "
            "Was it templated from an XCom that is not there?"
        )
    return split_request({"endpoint": endpoint})[0], request_id


def make_job_id(endpoint: str, request_id: str) -> str:
    """Return the id of a job: what :func:`parse_job_id` takes apart."""
    return f"{endpoint}|{request_id}"
