# SPDX-License-Identifier: Apache-2.0
"""Shotstack's requests to its Edit API, as its OpenAPI document describes them."""

from __future__ import annotations

from typing import Any

from airflow_video_providers.hooks.requests import Number, VendorRequest


class ShotstackMerge(VendorRequest):
    """What replaces a placeholder ``{{ find }}``."""

    find: str | None = None
    replace: Any = None


class ShotstackClip(VendorRequest):
    """
    One asset on a track.

    :param start: seconds, or a word such as ``auto``; ``length`` likewise.
    """

    asset: dict[str, Any] | None = None
    start: Number | str | None = None
    length: Number | str | None = None


class ShotstackTrack(VendorRequest):
    """The clips that one track shows, one after another."""

    clips: list[ShotstackClip] | None = None


class ShotstackTimeline(VendorRequest):
    """What is seen and heard; the first track lies on top."""

    tracks: list[ShotstackTrack] | None = None
    soundtrack: dict[str, Any] | None = None
    background: str | None = None
    fonts: list[dict[str, Any]] | None = None


class ShotstackOutput(VendorRequest):
    """The file: ``format`` with ``resolution`` or ``size``; where copies of it go (``destinations``)."""

    format: str | None = None
    resolution: str | None = None
    aspectRatio: str | None = None
    size: dict[str, Any] | None = None
    fps: Number | None = None
    quality: str | None = None
    poster: dict[str, Any] | None = None
    thumbnail: dict[str, Any] | None = None
    destinations: list[dict[str, Any]] | None = None


class ShotstackEditRequest(VendorRequest):
    """A render of an edit: ``POST /render``; ``output`` must be given."""

    timeline: ShotstackTimeline
    output: ShotstackOutput | None = None
    merge: list[ShotstackMerge] | None = None
    callback: str | None = None


class ShotstackTemplateRequest(VendorRequest):
    """A render of a template: ``POST /templates/render``."""

    id: str
    merge: list[ShotstackMerge] | None = None
