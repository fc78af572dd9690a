# SPDX-License-Identifier: Apache-2.0
"""
Azure Blob Storage: blocks that are invisible until a block list commits them.

Blocks that nobody commits belong to no blob and are removed by the service (after a week, or by the next commit to the
same name), so that there is nothing to sweep.
"""

from __future__ import annotations

import base64
import io
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, BinaryIO
from urllib.parse import quote

from airflow.providers.microsoft.azure.hooks.wasb import WasbHook
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings, StorageErrorCode

from airflow_video_providers.delivery.stores.base import (
    Limits,
    ObjectAttributes,
    ObjectStore,
    ObjectWriter,
    StoredObject,
    clean,
    reading_connection,
    refused,
)
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError, SourceError

_NAME = "Azure Blob Storage"
_TRAILER = re.compile(r"\s(?=(?:RequestId|Time|ErrorCode|Content): ?)")
_LIMITS = Limits(parts=50_000, part_bytes=4000 * 1024**2)


class AzureStore(ObjectStore):
    """One container, through the ``WasbHook`` of an Airflow connection (default ``wasb_default``)."""

    parallel = 2
    limits = _LIMITS

    def __init__(self, container: str, conn_id: str | None) -> None:
        self.container = container
        self._hook = WasbHook(wasb_conn_id=conn_id or WasbHook.default_conn_name)

    @cached_property
    def _client(self) -> Any:
        with reading_connection(self._hook.conn_id), _errors(self.container, ""):
            return self._hook.get_conn().get_container_client(self.container)

    def head(self, key: str) -> StoredObject | None:
        """Return what is stored under a name; None where there is nothing, or where the credentials may not ask."""
        with _errors(self.container, key):
            try:
                return _stored(self._client.get_blob_client(key).get_blob_properties())
            except ResourceNotFoundError:
                return None
            except HttpResponseError as error:
                if error.status_code == 403:
                    return None
                raise

    def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
        """Start to stage blocks."""
        attributes.refuse(_NAME, "encryption", "acl")
        return _AzureWriter(self._client.get_blob_client(key), self.container, key, attributes, replace=replace)

    def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
        """Write a blob in one step."""
        attributes.refuse(_NAME, "encryption", "acl")
        with _errors(self.container, key):
            answer = self._client.get_blob_client(key).upload_blob(
                data, blob_type="BlockBlob", overwrite=replace, **_arguments(attributes), **_scope(attributes)
            )
        return StoredObject(len(data), attributes.metadata, str(answer["etag"]), attributes.content_type)

    def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
        """Do nothing: see the module."""
        return []

    def open(self, key: str) -> tuple[BinaryIO, StoredObject]:
        """Open the present version of a blob for reading."""
        uri = f"abfs://{self.container}/{key}"
        try:
            blob = self._client.get_blob_client(key)
            download = blob.download_blob()
        except (AzureError, DestinationError) as error:
            raise SourceError(f"{uri} cannot be read: {_reason(error)}") from None
        return io.BufferedReader(_AzureReader(blob, download, uri), 1024 * 1024), _stored(download.properties)

    def console_url(self, key: str) -> str | None:
        """
        Return the blob's page in the Azure portal.

        The portal finds an account only by its resource id (``/subscriptions/…``); None where the connection's extra
        ``resource_id`` does not give it.
        """
        resource_id = self._hook.get_connection(self._hook.conn_id).extra_dejson.get("resource_id")
        return console_url(resource_id, self.container, key) if resource_id else None


class _AzureWriter(ObjectWriter):
    def __init__(self, client: Any, container: str, key: str, attributes: ObjectAttributes, *, replace: bool) -> None:
        self._client, self._container, self._key = client, container, key
        self._attributes, self._replace = attributes, replace
        self.token = uuid.uuid4().hex
        self._blocks: dict[int, tuple[str, int]] = {}

    def write(self, number: int, offset: int, data: bytearray, length: int) -> None:
        _LIMITS.check_part(number)
        block_id = base64.b64encode(f"{self.token}-{number:06d}".encode()).decode()
        with _errors(self._container, self._key):
            self._client.stage_block(block_id, bytes(memoryview(data)[:length]), length, **_scope(self._attributes))
        self._blocks[number] = (block_id, length)

    def commit(self) -> StoredObject:
        blocks = [BlobBlock(block_id) for _, (block_id, _) in sorted(self._blocks.items())]
        condition = {} if self._replace else {"match_condition": MatchConditions.IfMissing}
        with _errors(self._container, self._key):
            answer = self._client.commit_block_list(
                blocks, **_arguments(self._attributes), **_scope(self._attributes), **condition
            )
        size = sum(length for _, length in self._blocks.values())
        return StoredObject(size, self._attributes.metadata, str(answer["etag"]), self._attributes.content_type)

    def abort(self) -> None:
        """Do nothing: blocks that are not committed belong to no blob."""


class _AzureReader(io.RawIOBase):
    def __init__(self, blob: Any, download: Any, uri: str) -> None:
        self._blob, self._uri, self._position = blob, uri, 0
        self._download: Any = download
        self._size, self._etag = int(download.properties.size), download.properties.etag

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        position = max(0, start + offset)
        if position != self._position:
            self._position, self._download = position, None  # nothing is sent before the next read
        return position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            if self._position >= self._size:
                return 0
            if self._download is None:
                self._download = self._blob.download_blob(
                    offset=self._position, etag=self._etag, match_condition=MatchConditions.IfNotModified
                )
            data = self._download.read(len(view))  # of the version that was opened: the client asks with its ETag
        except AzureError as error:
            if getattr(error, "status_code", None) in (404, 412):
                raise SourceError(f"{self._uri} was changed or deleted while it was read") from None
            raise SourceError(f"{self._uri} cannot be read: {_reason(error)}") from None
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def console_url(resource_id: str, container: str, key: str) -> str:
    """Return the page of a blob in the Azure portal, given the resource id of its storage account."""
    account, path = quote(resource_id, safe=""), quote(f"{container}/{key}", safe="")
    return f"https://portal.azure.com/#view/Microsoft_Azure_Storage/BlobPropertiesBladeV2/storageAccountId/{account}/path/{path}"


def _stored(properties: Any) -> StoredObject:
    return StoredObject(
        properties.size,
        properties.metadata or {},
        str(properties.etag),
        properties.content_settings.content_type,
    )


def _arguments(attributes: ObjectAttributes) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "content_settings": ContentSettings(content_type=attributes.content_type),
        "metadata": dict(attributes.metadata),
    }
    if attributes.storage_class:
        arguments["standard_blob_tier"] = attributes.storage_class
    return arguments


def _scope(attributes: ObjectAttributes) -> dict[str, str]:
    return {"encryption_scope": attributes.kms_key} if attributes.kms_key else {}


def _code(error: Exception) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _reason(error: AzureError | DestinationError) -> str:
    """Return the service's code and its message, without the ids and times that follow it."""
    message = clean(_TRAILER.split(str(getattr(error, "message", "") or error), maxsplit=1)[0])
    return ": ".join(part for part in (_code(error) or type(error).__name__, message) if part)


@contextmanager
def _errors(container: str, key: str) -> Iterator[None]:
    uri = f"abfs://{container}/{key}"
    try:
        yield
    except AzureError as error:
        code = _code(error)
        if code in ("BlobAlreadyExists", "ConditionNotMet"):
            raise DestinationExistsError(f"{uri} is already there") from None
        if code == StorageErrorCode.INVALID_BLOCK_LIST.value:
            # A commit removes the blocks that others have staged for the same blob. What is there now may be our file.
            raise DestinationError(
                f"{uri}: another task wrote this blob at the same time; a retry settles it"
            ) from None
        raise refused(f"{uri}: {_reason(error)}", getattr(error, "status_code", None)) from None
