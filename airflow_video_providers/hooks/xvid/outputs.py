# SPDX-License-Identifier: Apache-2.0
"""From the files that a job of Xvid names to outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_video_providers.hooks.xvid.schemas import FileReference, Job
from airflow_video_providers.jobs import OutputKind, VideoOutput

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


def files_of(job: Job) -> Iterator[tuple[OutputKind, FileReference, str | None]]:
    """Yield what a job made: kind, file, name of the output; a file sent to the user's own target has no id."""
    for output in job.outputs or ():
        if output.file is not None and output.file.id:
            yield "video", output.file, output.output_name
        for thumbnails in output.thumbnails or ():
            if thumbnails.file is not None and thumbnails.file.id:
                yield "thumbnail", thumbnails.file, thumbnails.thumbnail_names
        if output.thumbnail_zip is not None and output.thumbnail_zip.file and output.thumbnail_zip.file.id:
            yield "archive", output.thumbnail_zip.file, output.output_name


def to_outputs(files: list[tuple[OutputKind, FileReference, str | None]]) -> list[VideoOutput]:
    """Return outputs; several of one kind are told apart by the job's own names for them, or numbered."""
    files = [("archive" if file.type == "archive" else kind, file, name) for kind, file, name in files]
    names: dict[OutputKind, list[str | None]] = {}
    for kind, _, name in files:
        names.setdefault(kind, []).append(name)
    outputs = []
    numbers = dict.fromkeys(names, 0)
    for kind, file, name in files:
        numbers[kind] += 1
        told_apart = None not in names[kind] and len(set(names[kind])) == len(names[kind])
        label = None if len(names[kind]) == 1 else name if told_apart else str(numbers[kind])
        outputs.append(
            VideoOutput(
                kind=kind,
                label=label,
                output_id=file.id,
                name=file.name or name,
                # The vendor's own example holds words of GStreamer there: "video/quicktime, variant=(string)iso".
                media_type=file.mime_type if _MEDIA_TYPE.fullmatch(file.mime_type or "") else None,
                size=file.size,
                # With AutoGraph each download is another copy, of the same size; the digest is of the master.
                md5=None if file.autograph else file.md5_checksum,
                duration_seconds=None if file.duration is None else file.duration / 1000,
            )
        )
    return outputs
