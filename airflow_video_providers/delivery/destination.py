# SPDX-License-Identifier: Apache-2.0
"""
Compute the location of a file from a destination: ``ObjectStoragePath`` syntax with placeholders.

``s3://conn_id@bucket/videos/{vendor}/{job_id}.{ext}``: the connection id is the user part of the URI, as everywhere in
Airflow; without one, the default credentials of the cloud's client are used.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import PurePosixPath
from string import Formatter
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_video_providers.delivery.formats import extension_of, plain_media_type
from airflow_video_providers.delivery.names import safe_id, safe_name
from airflow_video_providers.delivery.stores.registry import find_store_type, known_schemes
from airflow_video_providers.exceptions import VideoConfigurationError

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput

PLACEHOLDERS = ("vendor", "job_id", "name", "kind", "label", "ext")

# By kind, the usual one first. Anything else is no extension: a vendor's name is often a title ("Meet Acme.ai").
_EXTENSIONS = {
    "video": (
        "mp4", "m4v", "mov", "webm", "mkv", "avi", "flv", "ogv", "ogg",
        "mpg", "mpeg", "ts", "m2ts", "mxf", "wmv", "3gp",
    ),
    "thumbnail": ("jpg", "jpeg", "png", "gif", "webp", "avif", "heic"),
    "subtitles": ("vtt", "srt"),
    "archive": ("zip", "gz", "tgz", "tar"),
    "audio": ("mp3", "m4a", "aac", "wav", "flac", "ogg", "oga", "opus", "mka", "weba", "wma"),
    "image": ("png", "jpg", "jpeg", "gif", "webp", "avif", "heic"),
}  # fmt: skip
_URI = re.compile(r"([a-z][a-z0-9+.-]*)://([^/]*)(.*)", re.DOTALL)  # not urlsplit: a key may hold ? and #


@dataclass(frozen=True)
class Location:
    """The place of one object: ``scheme`` (s3, gs, abfs, file), Airflow connection, bucket or container, key."""

    scheme: str
    conn_id: str | None
    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The URI without the connection id, as downstream tasks, assets and lineage name the object."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def path(self) -> str:
        """The absolute path of a local file."""
        return f"/{self.key}"


def check_template(destination: str) -> None:
    """
    Check what can be checked of a destination before the job is known: scheme, bucket, placeholders.

    :raises VideoConfigurationError: says what is wrong and what would be right.
    """
    if not isinstance(destination, str):
        raise VideoConfigurationError(
            f"destination must be a text such as s3://conn@bucket/{{job_id}}.{{ext}}, not {destination!r}"
        )
    try:
        fields = [part[1:] for part in Formatter().parse(destination) if part[1] is not None]
    except ValueError as error:
        raise VideoConfigurationError(f"destination {destination!r} is not a valid template: {error}") from None
    for field, _, _ in fields:
        if field not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise VideoConfigurationError(
                f"destination {destination!r} has the unknown placeholder {{{field}}}; known are {known}"
            )
    for field, spec, conversion in fields:
        if spec or conversion:
            raise VideoConfigurationError(f"destination {destination!r}: write {{{field}}} without a format")
    parse_location(destination.format(**dict.fromkeys(PLACEHOLDERS, "x")))


def parse_location(uri: str) -> Location:
    """
    Split a URI of the form ``scheme://conn_id@bucket/key`` or ``file:///path``.

    :raises VideoConfigurationError: no store serves the scheme, or it takes no such bucket or key.
    """
    if not isinstance(uri, str):
        raise VideoConfigurationError(f"the URI of a file must be a text such as s3://conn@bucket/key, not {uri!r}")
    match = _URI.fullmatch(uri)
    store_type = find_store_type(match[1]) if match else None
    if match is None or store_type is None:
        schemes = ", ".join(known_schemes())
        raise VideoConfigurationError(
            f"{uri!r}: the scheme must be one of {schemes}; e.g. s3://my_conn@bucket/videos/{{job_id}}.mp4"
        )
    user, _, bucket = match[2].rpartition("@")
    key = match[3].lstrip("/")
    if not store_type.has_bucket and (bucket or user):
        raise VideoConfigurationError(f"{uri!r}: a local file is file:///absolute/path, with three slashes")
    if store_type.has_bucket and not bucket:
        raise VideoConfigurationError(f"{uri!r} names no bucket")
    if not key or key.endswith("/"):
        raise VideoConfigurationError(f"{uri!r} names a folder, not a file; end it with e.g. {{job_id}}.{{ext}}")
    if not {".", ".."}.isdisjoint(key.split("/")):  # many clients and file systems shorten such a path
        raise VideoConfigurationError(f"{uri!r}: a key must hold no '.' and no '..' between slashes")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in key):
        raise VideoConfigurationError(f"{uri!r}: a key must hold no control characters and no lone surrogates")
    problem = store_type.key_problem(key)
    if problem:
        raise VideoConfigurationError(f"{uri!r}: {problem}")
    return Location(store_type.schemes[0], unquote(user) or None, bucket, key)


def extension(output: VideoOutput) -> str:
    """
    Return the file extension without its dot: from the vendor's file name, else from the media type, else by kind.

    Only an extension that files of this kind have counts; anything else after a dot belongs to the name.
    """
    return named_extension(output) or _EXTENSIONS[output.kind][0]


def named_extension(output: VideoOutput) -> str | None:
    """Return the extension that the vendor's name or media type tells; None where neither does."""
    known = _EXTENSIONS[output.kind]
    suffix = PurePosixPath(output.name or "").suffix.lower().lstrip(".")
    if suffix in known:
        return suffix
    media_type = plain_media_type(output.media_type) or ""
    guessed = extension_of(media_type, output.kind) or (mimetypes.guess_extension(media_type) or "").lstrip(".")
    return guessed if guessed in known else None


def uses_extension(template: str) -> bool:
    """Tell whether a destination has the placeholder ``{ext}``."""
    return any(field == "ext" for _, field, _, _ in Formatter().parse(template))


def locate(
    template: str,
    *,
    vendor: str,
    job_id: str,
    outputs: Sequence[VideoOutput],
    extensions: Sequence[str | None] = (),
) -> list[Location]:
    """
    Return where each output goes.

    ``{name}`` is the vendor's file name without its extension, or the whole of a title; ``{label}`` is the output's
    label; each is the kind where the vendor gives none.

    :param extensions: of the outputs, where they are known better than by :func:`extension`.
    :raises VideoConfigurationError: two outputs would have the same key, or keys that are one in this store.
    """
    check_template(template)
    taken: dict[str, Location] = {}
    for output, known in zip_longest(outputs, extensions):
        ext = known or extension(output)
        name = output.name or ""
        if name.lower().endswith(f".{ext}"):
            name = name[: -len(ext) - 1]
        location = parse_location(
            template.format(
                vendor=safe_id(vendor),
                job_id=safe_id(job_id),
                name=safe_name(name, fallback=output.kind),
                kind=output.kind,
                label=safe_id(output.label) if output.label else output.kind,
                ext=ext,
            )
        )
        other = taken.setdefault(_as_compared(location), location)
        if other is not location:
            raise VideoConfigurationError(
                f"{len(outputs)} outputs of {vendor} job {job_id} go to {template!r}, and two of them to "
                f"{location.uri}: add {{name}}, {{kind}}, {{label}} or {{ext}} so that each has its own key"
            )
    return list(taken.values())


def _as_compared(location: Location) -> str:
    store_type = find_store_type(location.scheme)
    if store_type is None or not store_type.folds_case:
        return location.uri
    return unicodedata.normalize("NFC", location.uri).casefold()
