# SPDX-License-Identifier: Apache-2.0
"""Which source an output has, and what its first bytes say where the vendor does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_video_providers.delivery.formats import FIRST_BYTES
from airflow_video_providers.delivery.source.download import Download
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.source.stored import StoredSource, stored_location

if TYPE_CHECKING:
    from airflow_video_providers.delivery.source.base import Source
    from airflow_video_providers.jobs import VideoOutput


def make_source(
    output: VideoOutput,
    refresh: Callable[[], VideoOutput],
    settings: DownloadSettings,
    prefix_digest: Callable[[], bytes] = lambda: b"",
    on_bytes: Callable[[int], None] = lambda count: None,
) -> Source:
    """
    Return the source of an output: its link, or the bucket that the vendor wrote it into.

    :raises SourceError: the link leads to what is never read.
    """
    location = stored_location(output.url, settings.store_conn_id)
    if location is not None:
        return StoredSource(location, output.size, on_bytes)
    return Download(output, refresh, settings, prefix_digest, on_bytes)


def read_head(output: VideoOutput, refresh: Callable[[], VideoOutput], settings: DownloadSettings) -> bytes:
    """
    Return the first bytes of an output, enough to tell its format; nothing else of it is asked for.

    :raises SourceError: they cannot be read. :raises ContentCheckError: the file is empty.
    """
    if output.content is not None:
        return output.content.encode()[:FIRST_BYTES]
    source = make_source(output, refresh, settings)
    try:
        return source.read_head(FIRST_BYTES)
    finally:
        source.close()
