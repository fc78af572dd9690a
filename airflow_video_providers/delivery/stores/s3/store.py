# SPDX-License-Identifier: Apache-2.0
"""
S3 and what speaks its language: a multipart upload whose id we know.

The id is what makes the promises possible: an upload is aborted by its own id when a check fails or the task is killed,
the one that a SIGKILL left is swept by the next try and no other task's is, and the commit itself can be conditional.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any, BinaryIO

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_video_providers.delivery.buffers import PART_BYTES
from airflow_video_providers.delivery.stores.base import (
    STALE_AFTER_SECONDS,
    ObjectAttributes,
    ObjectStore,
    ObjectWriter,
    StoredObject,
    refused,
)
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError, SourceError

log = logging.getLogger(__name__)

_MOST_PARTS = 10_000
_GONE = ("NoSuchUpload", "NoSuchKey", "404", "NotFound")


class S3Store(ObjectStore):
    """
    One bucket.

    Bodies are not hashed a second time for the signature: TLS protects them, and a connection whose endpoint is plain
    http gave that up. Any of this can be set otherwise in the connection's ``config_kwargs``.

    :param make_client: makes the boto3 client, given the settings that transfers want.
    """

    parallel = 3

    def __init__(self, bucket: str, make_client: Callable[[Config], Any]) -> None:
        self.bucket = bucket
        self._make_client = make_client

    @classmethod
    def of_connection(cls, bucket: str, conn_id: str | None) -> S3Store:
        """Return the store behind the ``S3Hook`` of an Airflow connection (None: boto3's own credentials)."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        hook = S3Hook(aws_conn_id=conn_id)
        return cls(
            bucket,
            lambda ours: hook.get_client_type(region_name=hook.region_name, config=ours.merge(hook.config)),
        )

    @cached_property
    def client(self) -> Any:
        """The boto3 client."""
        ours = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 6},
            max_pool_connections=self.parallel + 2,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"payload_signing_enabled": False},
        )
        return self._make_client(ours)

    def head(self, key: str) -> StoredObject | None:
        """Look at an object; where the credentials may not look, say so in the log and assume that there is none."""
        try:
            answer = self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 404:
                return None
            if status == 403:
                log.warning("May not look whether s3://%s/%s is there already (403); writing it", self.bucket, key)
                return None
            raise _refused(error, self.bucket, key) from None
        except BotoCoreError as error:
            raise _refused(error, self.bucket, key) from None
        return StoredObject(answer["ContentLength"], answer["Metadata"], answer["ETag"], answer.get("ContentType"))

    def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
        """Begin a multipart upload."""
        return _S3Writer(self.client, self.bucket, key, attributes, replace=replace)

    def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
        """Write an object of at most one part."""
        with _errors(self.bucket, key):
            answer = self.client.put_object(
                Bucket=self.bucket, Key=key, Body=data, **_arguments(attributes), **_condition(replace)
            )
        return StoredObject(len(data), attributes.metadata, answer["ETag"], attributes.content_type)

    def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
        """Abort the named uploads, and those of this key that are older than a day where they can be listed."""
        stale = set()
        long_ago = datetime.now(timezone.utc) - timedelta(seconds=STALE_AFTER_SECONDS)
        with suppress(ClientError, BotoCoreError):  # not everybody may list uploads; our own is known anyway
            pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=key)
            for page in pages:
                for upload in page.get("Uploads", ()):
                    if upload["Key"] == key and upload["Initiated"] < long_ago:
                        stale.add(upload["UploadId"])
        for upload in stale.difference(tokens):
            _abort(self.client, self.bucket, key, upload)
        return [token for token in tokens if not _abort(self.client, self.bucket, key, token)]

    def open(self, key: str) -> tuple[BinaryIO, StoredObject]:
        """Open an object; a broken read goes on from where it stopped, as long as the object stays the same."""
        try:
            stored = self.head(key)
        except DestinationError as error:
            raise SourceError(str(error)) from None
        if stored is None:
            raise SourceError(f"there is no object s3://{self.bucket}/{key}, or it may not be read")
        return io.BufferedReader(_S3Reader(self.client, self.bucket, key, stored), 1024 * 1024), stored

    def part_size(self, size: int | None) -> int:
        """Return 8 MiB, or more where 10,000 parts would not do; a file of unknown size can have 78 GiB."""
        part = PART_BYTES
        while part * _MOST_PARTS < (size or 0):
            part *= 2
        return part


class _S3Writer(ObjectWriter):
    def __init__(self, client: Any, bucket: str, key: str, attributes: ObjectAttributes, *, replace: bool) -> None:
        self._client, self._bucket, self._key = client, bucket, key
        self._attributes, self._replace = attributes, replace
        self._parts: dict[int, str] = {}
        self._size = 0
        self._lock = threading.Lock()
        self._done = False
        with _errors(bucket, key):
            answer = client.create_multipart_upload(Bucket=bucket, Key=key, **_arguments(attributes))
        self.token = answer["UploadId"]

    def write(self, number: int, offset: int, data: bytearray, length: int) -> None:
        with _errors(self._bucket, self._key):
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self.token,
                PartNumber=number + 1,
                Body=data if length == len(data) else data[:length],
            )
        with self._lock:
            self._parts[number + 1] = answer["ETag"]
            self._size += length

    def commit(self) -> StoredObject:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._parts.items())]
        with _errors(self._bucket, self._key):
            answer = self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self.token,
                MultipartUpload={"Parts": parts},
                **_condition(self._replace),
            )
        self._done = True
        return StoredObject(self._size, self._attributes.metadata, answer["ETag"], self._attributes.content_type)

    def abort(self) -> None:
        if not self._done:
            _abort(self._client, self._bucket, self._key, self.token)


class _S3Reader(io.RawIOBase):
    def __init__(self, client: Any, bucket: str, key: str, stored: StoredObject) -> None:
        self._client, self._bucket, self._key, self._stored = client, bucket, key, stored
        self._position = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._stored.size - self._position)
        for attempt in range(6):
            if wanted <= 0:
                return 0
            try:
                if self._body is None:
                    self._body = self._client.get_object(
                        Bucket=self._bucket,
                        Key=self._key,
                        IfMatch=self._stored.version,
                        **({"Range": f"bytes={self._position}-"} if self._position else {}),
                    )["Body"]
                data = self._body.read(wanted)
                if not data:
                    raise EOFError("the object ended too early")
                view[: len(data)] = data
                self._position += len(data)
                return len(data)
            except ClientError as error:
                refusal = _refused(error, self._bucket, self._key)
                if isinstance(refusal, DestinationExistsError):  # If-Match does not hold
                    raise SourceError(f"s3://{self._bucket}/{self._key} was changed while it was read") from None
                raise SourceError(str(refusal)) from None
            except (BotoCoreError, OSError, EOFError) as error:
                self._body = None
                log.warning(
                    "Reading s3://%s/%s broke (%s); try %d", self._bucket, self._key, type(error).__name__, attempt
                )
        raise SourceError(f"s3://{self._bucket}/{self._key} cannot be read beyond byte {self._position}")

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
        super().close()


def _arguments(attributes: ObjectAttributes) -> dict[str, Any]:
    arguments = {
        "ContentType": attributes.content_type,
        "Metadata": dict(attributes.metadata),
        "StorageClass": attributes.storage_class,
        "ServerSideEncryption": attributes.encryption,
        "SSEKMSKeyId": attributes.kms_key,
    }
    return {name: value for name, value in arguments.items() if value}


def _condition(replace: bool) -> dict[str, str]:
    return {} if replace else {"IfNoneMatch": "*"}


def _abort(client: Any, bucket: str, key: str, upload: str) -> bool:
    """Abort an upload; return whether it is gone."""
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        log.info("Aborted an unfinished upload of s3://%s/%s", bucket, key)
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _GONE:
            return True
        log.warning("Could not abort an unfinished upload of s3://%s/%s: %s", bucket, key, error)
        return False
    return True


@contextmanager
def _errors(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _refused(error, bucket, key) from None


def _refused(error: ClientError | BotoCoreError, bucket: str, key: str) -> DestinationError:
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        if details.get("Code") in ("PreconditionFailed", "412"):
            return DestinationExistsError(f"s3://{bucket}/{key} is already there")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return refused(f"s3://{bucket}/{key}: {details.get('Code')}: {details.get('Message')}", status)
    return DestinationError(f"s3://{bucket}/{key}: {error}")
