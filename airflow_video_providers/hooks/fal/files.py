# SPDX-License-Identifier: Apache-2.0
"""Finding the files in the JSON that a model of fal gives: each model has its own form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from airflow_video_providers.hooks.common import path_of
from airflow_video_providers.jobs import OutputKind, VideoOutput

_KIND_OF_TYPE: dict[str, OutputKind] = {"video": "video", "image": "image", "audio": "audio"}
_SUFFIXES: dict[OutputKind, str] = {
    "video": ".mp4 .webm .mov .mkv .m4v",
    "image": ".png .jpg .jpeg .webp .gif .avif",
    "audio": ".mp3 .wav .m4a .flac .ogg",
    "archive": ".zip .tar .gz",
    "subtitles": ".srt .vtt",
}
_KIND_OF_SUFFIX = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_DEEPEST = 8
_MOST = 100


def find_outputs(result: Any) -> list[VideoOutput]:
    """
    Return the files in a result: every object with a ``url``, in the model's order.

    Its kind is that of its ``content_type``, else of its name's extension, else of the field that holds it, else a
    video. Of several of one kind, each has its place as label: ``video``, ``videos.1``, ``extra.preview``.
    """
    found = [(place, item, _kind(place, item)) for place, item in _walk(result, ())][:_MOST]
    kinds = [kind for _, _, kind in found]
    return [
        VideoOutput(
            kind=kind,
            label=".".join(place) if kinds.count(kind) > 1 else None,
            url=item["url"],
            output_id=".".join(place),
            name=item.get("file_name") if isinstance(item.get("file_name"), str) else None,
            media_type=item.get("content_type") if isinstance(item.get("content_type"), str) else None,
            size=size if isinstance(size := item.get("file_size"), int) and size > 0 else None,
        )
        for place, item, kind in found
    ]


def _walk(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if len(place) > _DEEPEST:
        return
    if isinstance(value, Mapping):
        url = value.get("url")
        if isinstance(url, str) and url.lower().startswith(("http://", "https://")):
            yield place or ("file",), value
            return
        for name, inner in value.items():
            yield from _walk(inner, (*place, str(name)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(inner, (*place, str(number)))


def _kind(place: tuple[str, ...], item: Mapping[str, Any]) -> OutputKind:
    family = str(item.get("content_type") or "").partition("/")[0].lower()
    if family in _KIND_OF_TYPE:
        return _KIND_OF_TYPE[family]
    for name in (item.get("file_name"), path_of(item["url"])):
        suffix = PurePosixPath(str(name or "")).suffix.lower()
        if suffix in _KIND_OF_SUFFIX:
            return _KIND_OF_SUFFIX[suffix]
    for word in place:
        for kind, meant in _KIND_OF_TYPE.items():
            if word.startswith(kind):
                return meant
    return "video"
