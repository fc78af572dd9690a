# SPDX-License-Identifier: Apache-2.0
"""Send source media to a vendor, or to the object store that it names: at constant memory, and once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_video_providers.exceptions import DestinationError, SourceError, VideoConfigurationError

if TYPE_CHECKING:
    from airflow_video_providers.api.client import VideoApiClient

_DEFAULT_TYPE = "application/octet-stream"


class SizedStream:
    """
    A stream of known length; ``requests`` and multipart forms ask for ``len`` and read until it is 0.

    :param stream: read to its end.
    :param size: bytes that the stream must hold.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        if size < 0:
            raise VideoConfigurationError(f"the size of a source must be known, not {size}")
        self._stream = stream
        self._size = size
        self.len = size

    def __len__(self) -> int:
        return self.len

    def read(self, size: int = -1) -> bytes:
        """
        Return up to ``size`` bytes.

        :raises SourceError: the source ended before the length that it promised.
        """
        wanted = self.len if size < 0 else min(size, self.len)
        data = self._stream.read(wanted) if wanted else b""
        if wanted and not data:
            raise SourceError(f"the source ended after {self._size - self.len} of {self._size} bytes")
        self.len -= len(data)
        return data

    def require_end(self) -> None:
        """
        Check that nothing is left.

        :raises SourceError: the source holds more than it promised, so that a cut file was sent.
        """
        if self._stream.read(1):
            raise SourceError(f"the source is longer than the {self._size} bytes that it promised")


def post_form(
    client: VideoApiClient,
    url: str,
    *,
    stream: BinaryIO,
    name: str,
    size: int,
    media_type: str | None = None,
    fields: Mapping[str, str] | None = None,
    field: str = "file",
    endpoint: str = "POST upload form",
    decode: bool = False,
) -> Any:
    """
    Send a file as the last field of a multipart form, once; return the response's JSON where ``decode``, else None.

    :param url: a path of the API, or a full URL; the credentials go to the API's own origin only.
    :param fields: what the form holds before the file, e.g. the signed fields of an object store.
    :param field: the name of the file's field. :param endpoint: how messages name the call.
    :raises SourceError: the stream does not hold ``size`` bytes.
    :raises VideoApiError: the upload failed.
    """
    from requests_toolbelt import MultipartEncoder

    _refuse_plain_http(client, url)
    source = SizedStream(stream, size)
    try:
        form = MultipartEncoder([*(fields or {}).items(), (field, (name, source, media_type or _DEFAULT_TYPE))])
    except UnicodeEncodeError:
        raise VideoConfigurationError("The name of the file cannot be sent: it holds half of a character.") from None
    send = client.call_json if decode else client.call
    response = send("POST", url, endpoint=endpoint, data=form, headers={"Content-Type": form.content_type}, once=True)
    source.require_end()
    return response if decode else None


def put_stream(
    client: VideoApiClient,
    url: str,
    *,
    stream: BinaryIO,
    size: int,
    media_type: str | None = None,
    method: str = "PUT",
    headers: Mapping[str, str] | None = None,
    endpoint: str = "PUT upload link",
) -> None:
    """
    Send a file as the body of one call, once, since a stream cannot be read again.

    :param url: a path of the API, or a full URL such as a signed link; the credentials go to the API's origin only.
    :param media_type: sent as ``Content-Type``; None: none is sent, for links whose signature covers that.
    :raises SourceError: the stream does not hold ``size`` bytes.
    :raises VideoApiError: the upload failed.
    """
    _refuse_plain_http(client, url)
    source = SizedStream(stream, size)
    sent = {**({} if media_type is None else {"Content-Type": media_type}), **(headers or {})}
    body = source if size else b""  # a stream of length 0 would be sent in chunks
    client.call(method, url, endpoint=endpoint, data=body, headers=sent, once=True)
    source.require_end()


def _refuse_plain_http(client: VideoApiClient, url: str) -> None:
    if client.base_url.lower().startswith("https:") and url.lower().startswith("http:"):
        raise DestinationError(f"{client.vendor}: the upload asks for the file over an unencrypted connection")


def refuse_options(hook_name: str, options: Mapping[str, Any]) -> None:
    """
    Refuse what an upload does not know, before anything is sent.

    :raises VideoConfigurationError: there is such an option.
    """
    if options:
        raise VideoConfigurationError(f"The upload of {hook_name} knows no option {', '.join(sorted(options))}.")
