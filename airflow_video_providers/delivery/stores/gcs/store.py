# SPDX-License-Identifier: Apache-2.0
"""
Google Cloud Storage: resumable uploads, which are invisible until their last chunk.

The chunks of an upload are sent one after another. An unfinished upload is invisible, costs nothing and expires after a
week, so that there is nothing to sweep; an aborted one is cancelled at once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import requests
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.fileio import BlobWriter

from airflow_video_providers.delivery.buffers import PART_BYTES
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

_ERRORS = (GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, requests.RequestException)
_ANY = 1 << 62  # chunks of one resumable upload are not counted


class GcsStore(ObjectStore):
    """One bucket, through the ``GCSHook`` of an Airflow connection (default ``google_cloud_default``)."""

    limits = Limits(parts=_ANY, part_bytes=_ANY, object_bytes=5 * 1024**4)

    def __init__(self, bucket: str, conn_id: str | None) -> None:
        self.bucket = bucket
        with reading_connection(conn_id := conn_id or GCSHook.default_conn_name):
            self._hook = GCSHook(gcp_conn_id=conn_id)

    @cached_property
    def _bucket(self) -> Any:
        with reading_connection(self._hook.gcp_conn_id), _errors(self.bucket, ""):
            return self._hook.get_conn().bucket(self.bucket)

    def head(self, key: str) -> StoredObject | None:
        """Return what is stored under a key; None where there is nothing, or where the credentials may not ask."""
        with _errors(self.bucket, key):
            try:
                blob = self._bucket.get_blob(key)
            except Forbidden:
                return None
        return None if blob is None else _stored(blob)

    def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
        """Start a resumable upload."""
        return _GcsWriter(self._blob(key, attributes), attributes, replace=replace)

    def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
        """Write an object in one step."""
        blob = self._blob(key, attributes)
        with _errors(self.bucket, key):
            blob.upload_from_string(
                data, content_type=attributes.content_type, if_generation_match=None if replace else 0
            )
        return StoredObject(len(data), attributes.metadata, str(blob.generation), attributes.content_type)

    def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
        """Do nothing: see the module."""
        return []

    def open(self, key: str) -> tuple[BinaryIO, StoredObject]:
        """Open the present version of an object for reading."""
        try:
            blob = self._bucket.get_blob(key)
        except (*_ERRORS, DestinationError) as error:
            raise SourceError(f"gs://{self.bucket}/{key} cannot be read: {_message(error)}") from None
        if blob is None:
            raise SourceError(f"there is no object gs://{self.bucket}/{key}")
        file = blob.open("rb", chunk_size=PART_BYTES, if_generation_match=blob.generation)
        return io.BufferedReader(_GcsReader(file, f"gs://{self.bucket}/{key}"), 1024 * 1024), _stored(blob)

    def console_url(self, key: str) -> str | None:
        """Return the object's page in the Google Cloud console; None for an emulator."""
        endpoint = urlsplit(self._bucket.client.api_endpoint).hostname or ""
        return console_url(self.bucket, key) if endpoint.endswith(".googleapis.com") else None

    def _blob(self, key: str, attributes: ObjectAttributes) -> Any:
        attributes.refuse("Google Cloud Storage", "encryption", "acl")
        blob = self._bucket.blob(key, chunk_size=PART_BYTES, kms_key_name=attributes.kms_key)
        blob.metadata = dict(attributes.metadata)
        if attributes.storage_class:
            blob.storage_class = attributes.storage_class
        return blob


class _Upload(BlobWriter):  # type: ignore[misc]  # the library has no types: its class is Any
    """The library's resumable upload, which only an explicit ``close`` commits."""

    def __del__(self) -> None:
        """Do nothing. A file's destructor calls ``close``, which would make a cut upload a visible object."""


class _GcsWriter(ObjectWriter):
    token = ""

    def __init__(self, blob: Any, attributes: ObjectAttributes, *, replace: bool) -> None:
        self._blob = blob
        self._attributes = attributes
        self._size = 0
        self._file = _Upload(
            blob,
            ignore_flush=True,
            content_type=attributes.content_type,
            if_generation_match=None if replace else 0,
        )

    def write(self, number: int, offset: int, data: bytearray, length: int) -> None:
        with _errors(self._blob.bucket.name, self._blob.name):
            self._file.write(memoryview(data)[:length])
        self._size += length

    def commit(self) -> StoredObject:
        with _errors(self._blob.bucket.name, self._blob.name):
            self._file.close()
            with suppress(Forbidden):  # who may write may not always read
                self._blob.reload()
        return StoredObject(
            self._size, self._attributes.metadata, str(self._blob.generation), self._attributes.content_type
        )

    def abort(self) -> None:
        if not self._file.closed:
            with suppress(*_ERRORS, ValueError):
                self._file.terminate()


class _GcsReader(io.RawIOBase):
    def __init__(self, file: Any, uri: str) -> None:
        self._file, self._uri = file, uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._file.read(len(view))
        except (NotFound, PreconditionFailed):
            raise SourceError(f"{self._uri} was changed or deleted while it was read") from None
        except _ERRORS as error:
            raise SourceError(f"{self._uri} cannot be read: {_message(error)}") from None
        view[: len(data)] = data
        return len(data)


def console_url(bucket: str, key: str) -> str:
    """Return the page of an object in the Google Cloud console."""
    return f"https://console.cloud.google.com/storage/browser/_details/{bucket}/{quote(key)}"


def _stored(blob: Any) -> StoredObject:
    return StoredObject(int(blob.size), blob.metadata or {}, str(blob.generation), blob.content_type)


def _message(error: Exception) -> str:
    """Return the store's own message: the client's can carry the URL of an upload, which is a secret."""
    response: Any = getattr(error, "response", None)
    with suppress(Exception):  # a body that is not the documented one
        return clean(response.json()["error"]["message"])
    if response is not None:
        return f"the store responds with {response.status_code}"
    return clean(getattr(error, "message", None) or error or type(error).__name__)


def _status(error: Exception) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
    return status if isinstance(status, int) else None


@contextmanager
def _errors(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        status = _status(error)
        if status == requests.codes.precondition_failed:
            raise DestinationExistsError(f"gs://{bucket}/{key} is already there") from None
        raise refused(f"gs://{bucket}/{key}: {_message(error)}", status) from None
