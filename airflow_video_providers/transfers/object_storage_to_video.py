# SPDX-License-Identifier: Apache-2.0
"""Send source media from object storage to a vendor that takes uploads."""

from __future__ import annotations

import mimetypes
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.formats import (
    FIRST_BYTES,
    find_media_formats,
    fitting_media_type,
    media_type_of_name,
)
from airflow_video_providers.delivery.names import safe_name
from airflow_video_providers.links import StoredVideoLink
from airflow_video_providers.operators.arguments import (
    TextFields,
    check_conn_id,
    check_media_type,
    check_text,
    check_upload_options,
    is_final,
)
from airflow_video_providers.operators.errors import fail_briefly
from airflow_video_providers.operators.labels import LabelledTask

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context


class ObjectStorageToVideoOperator(LabelledTask, TextFields, BaseOperator):
    """
    Stream one object into a vendor's media store, at constant memory.

    A broken read goes on from where it stopped, as long as the object stays the same version. The uploads of the
    vendors take a file as one request: when that breaks, the task fails, and its retry sends the file again.

    :param source: ``s3://conn_id@bucket/key``, also ``gs://``, ``abfs://`` and ``file:///``.
    :param conn_id: the Airflow connection of the vendor.
    :param name: the file's name at the vendor (default: the last part of the key).
    :param media_type: of the file. Default: what the store or the name's extension says where that is a media type of
        the file's format, else the usual one of that format.
    :param options: what the vendor needs beside, as its page says; a mapping, also when rendered.
    :return: the id (or path) that a job request needs.
    :raises VideoConfigurationError: wrong arguments, or a vendor that documents no upload.
    :raises SourceError: the object is not there, or cannot be read.
    """

    template_fields: Sequence[str] = ("source", "conn_id", "name", "media_type", "options")
    text_fields: ClassVar[Sequence[str]] = ("source", "conn_id", "name", "media_type")
    template_fields_renderers: ClassVar[dict[str, str]] = {"options": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (StoredVideoLink(),)
    ui_color = "#d6e3eb"

    def __init__(
        self,
        *,
        source: str,
        conn_id: str,
        name: str | None = None,
        media_type: str | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.conn_id = conn_id
        self.name = name
        self.media_type = media_type
        self.options = options
        self.stored_video_url: str | None = None
        self.take_texts()
        self._check_arguments(rendered=False)

    def _first_label(self) -> tuple[str | None, str | None]:
        return (str(self.name or PurePosixPath(str(self.source)).name), None)

    @fail_briefly
    def execute(self, context: Context) -> str:
        """Send the file; return its id at the vendor."""
        from airflow_video_providers.delivery.stores.reading import open_with_head
        from airflow_video_providers.delivery.stores.registry import open_store
        from airflow_video_providers.hooks.base import get_video_hook

        self._check_arguments(rendered=True)
        location = parse_location(self.source)
        hook = get_video_hook(self.conn_id)
        store = open_store(location)
        self.stored_video_url = store.console_url(location.key)
        stream, stored, head = open_with_head(store, location.key, size=FIRST_BYTES)
        name = self.name or safe_name(PurePosixPath(location.key).name)
        self.label_parts = (name, hook.vendor)
        media_type = self.media_type or _media_type(head, stored.content_type, name)
        with stream:
            media_id = hook.upload_media(
                stream, name=name, size=stored.size, media_type=media_type, **dict(self.options or {})
            )
        self.log.info("Sent %s (%d bytes) to %s as %s", location.uri, stored.size, hook.vendor, media_id)
        return media_id

    def _check_arguments(self, *, rendered: bool) -> None:
        """Check what is known: everything when rendered, at parse time all that is no template or XCom reference."""
        if rendered or is_final(self.source):
            parse_location(self.source)
        if rendered or is_final(self.conn_id):
            check_conn_id(self.conn_id)
        if rendered or is_final(self.name):
            check_text("name", self.name)
        if rendered or is_final(self.media_type):
            check_media_type("media_type", self.media_type)
        if rendered or is_final(self.options):
            check_upload_options(self.options)


def _media_type(head: bytes, said: str | None, name: str) -> str | None:
    """Return the media type of a source, as a delivery decides it; the kind of file is not known here."""
    named = (media_type_of_name(name), mimetypes.guess_type(name)[0])
    return fitting_media_type(find_media_formats(head), said, *named)
