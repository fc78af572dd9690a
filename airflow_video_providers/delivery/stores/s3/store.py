# SPDX-License-Identifier: Apache-2.0
"""
S3 and stores with its API: multipart uploads whose id is known.

The id makes the promises possible: an upload is aborted by its id when a check fails or the task is killed; an upload
that a SIGKILL left is removed by the next try, which never touches the upload of another task; the commit can be
conditional.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_video_providers.delivery.stores.base import (
    STALE_AFTER_SECONDS,
    Limits,
    ObjectAttributes,
    ObjectStore,
    ObjectWriter,
    StoredObject,
)
from airflow_video_providers.delivery.stores.s3.bucket import (
    CLIENT_ERRORS,
    Bucket,
    UnsupportedError,
    code_of,
    status_of,
)
from airflow_video_providers.delivery.stores.s3.reader import S3Reader
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError, SourceError
from airflow_video_providers.text.redaction import clean_label

log = logging.getLogger(__name__)

_GONE = ("NoSuchUpload", "NoSuchKey", "404", "NotFound")
_CONSOLES = {"amazonaws.com": "console.aws.amazon.com", "amazonaws.com.cn": "console.amazonaws.cn"}
_LIMITS = Limits(parts=10_000, part_bytes=5 * 1024**3)


class S3Store(ObjectStore):
    """
    One bucket.

    Settings in the connection's ``config_kwargs`` override those of transfers.

    :param make_client: makes the boto3 client, given the settings that transfers want.
    """

    parallel = 3
    limits = _LIMITS

    def __init__(self, bucket: str, make_client: Callable[[Config], Any]) -> None:
        self.bucket = Bucket(bucket, make_client, connections=self.parallel + 2)
        self._stale: dict[str, dict[str, set[str]] | None] = {}

    def head(self, key: str) -> StoredObject | None:
        """Return what is stored under a key; where the credentials may not ask, log a warning and return None."""
        bucket = self.bucket
        try:
            answer = bucket.client.head_object(Bucket=bucket.name, Key=key)
        except CLIENT_ERRORS as error:
            status = status_of(error) if isinstance(error, ClientError) else None
            if status == 403:
                log.warning("May not ask whether s3://%s/%s is there already (403); writing it", bucket.name, key)
            if status in (403, 404):
                return None
            raise bucket.error(error, key) from None
        if "ContentLength" not in answer:
            raise DestinationError(f"s3://{bucket.name}/{key}: the response to HeadObject gives no length")
        return StoredObject(
            answer["ContentLength"], answer.get("Metadata", {}), answer.get("ETag", ""), answer.get("ContentType")
        )

    def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
        """Start a multipart upload."""
        answer = self.bucket.call("create_multipart_upload", key, **_arguments(attributes))
        if not answer.get("UploadId"):
            raise DestinationError(
                f"s3://{self.bucket.name}/{key}: the response to CreateMultipartUpload names no upload; "
                "is this the endpoint of an S3 API?"
            )
        return _S3Writer(self, key, attributes, answer["UploadId"], replace=replace)

    def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
        """Write an object in one request."""
        arguments = _arguments(attributes)
        answer = self.make(
            key, lambda condition: self.bucket.send("put_object", key, data, **arguments, **condition), replace=replace
        )
        return self.made(key, answer, len(data), attributes)

    def make(self, key: str, request: Callable[[dict[str, str]], dict[str, Any]], *, replace: bool) -> dict[str, Any]:
        """
        Send the request that makes an object visible, conditional where it must replace nothing.

        Some stores do not implement the condition, or ignore it. A request before it checks whether an object exists;
        in such a store, an object that appears between the two requests is replaced.
        """
        if replace:
            return request({})
        if self.head(key) is not None:
            raise DestinationExistsError(f"s3://{self.bucket.name}/{key} is already there")
        try:
            return request({"IfNoneMatch": "*"})
        except UnsupportedError as error:
            log.warning("%s; this store has no conditional writes: writing what was not there a moment ago", error)
            return request({})

    def made(self, key: str, answer: dict[str, Any], size: int, attributes: ObjectAttributes) -> StoredObject:
        """
        Return the stored object; ask for it where the response does not name its version.

        :raises DestinationError: nothing proves that the object is stored.
        """
        version = answer.get("ETag")
        if not version:
            stored = self.head(key)
            if stored is None or stored.size != size:
                raise DestinationError(
                    f"s3://{self.bucket.name}/{key}: the response carries no ETag, and the object is not found; "
                    "is this the endpoint of an S3 API?"
                )
            version = stored.version
        return StoredObject(size, attributes.metadata, version, attributes.content_type)

    def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
        """Abort the named uploads, and those of this key that are older than a day where they can be listed."""
        for upload in self._find_stale(key).difference(tokens):
            self.abort(key, upload)
        return [token for token in tokens if not self.abort(key, token)]

    def _find_stale(self, key: str) -> set[str]:
        """Return the uploads of a key that are too old; a task with many files in a folder lists it once."""
        folder = key[: key.rfind("/") + 1]
        if folder not in self._stale:
            self._stale[folder] = self._list_stale(folder, most_pages=1)
        listed = self._stale[folder]
        if listed is None:  # it is too long
            listed = self._list_stale(key) or {}
        return listed.pop(key, set())

    def _list_stale(self, prefix: str, *, most_pages: int | None = None) -> dict[str, set[str]] | None:
        """Return the uploads that are too old, by key; None where they fill more pages."""
        found: dict[str, set[str]] = {}
        long_ago = datetime.now(timezone.utc) - timedelta(seconds=STALE_AFTER_SECONDS)
        with suppress(*CLIENT_ERRORS):  # not everybody may list uploads; our own is known anyway
            pages = self.bucket.client.get_paginator("list_multipart_uploads")
            for number, page in enumerate(pages.paginate(Bucket=self.bucket.name, Prefix=prefix), start=1):
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"] < long_ago:
                        found.setdefault(upload["Key"], set()).add(upload["UploadId"])
                if number == most_pages and page.get("IsTruncated"):
                    return None
        return found

    def abort(self, key: str, upload: str) -> bool:
        """Abort an upload; return whether it is gone."""
        bucket = self.bucket
        try:
            bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload)
        except CLIENT_ERRORS as error:
            if isinstance(error, ClientError) and code_of(error) in _GONE:
                return True
            log.warning("Could not abort an unfinished upload of %s", bucket.error(error, key))
            return False
        log.info("Aborted an unfinished upload of s3://%s/%s", bucket.name, key)
        return True

    def open(self, key: str) -> tuple[BinaryIO, StoredObject]:
        """Open an object; a broken read goes on from where it stopped, as long as the object stays the same."""
        try:
            stored = self.head(key)
        except DestinationError as error:
            raise SourceError(str(error)) from None
        if stored is None:
            name = clean_label(f"s3://{self.bucket.name}/{key}", longest=1024)  # a vendor's may carry a signature
            raise SourceError(f"there is no object {name}, or it may not be read")
        return io.BufferedReader(S3Reader(self.bucket, key, stored), 1024 * 1024), stored

    def console_url(self, key: str) -> str | None:
        """Return the object's page in the AWS console; None for other stores."""
        meta = self.bucket.client.meta
        return console_url(meta.endpoint_url, meta.region_name, self.bucket.name, key)


class _S3Writer(ObjectWriter):
    def __init__(self, store: S3Store, key: str, attributes: ObjectAttributes, upload: str, *, replace: bool) -> None:
        self._store, self._key = store, key
        self._attributes, self._replace = attributes, replace
        self.token = upload
        self._parts: dict[int, tuple[str, int]] = {}  # each thread sets its own number
        self._done = False

    def write(self, number: int, offset: int, data: bytearray, length: int) -> None:
        _LIMITS.check_part(number)
        answer = self._store.bucket.send(
            "upload_part",
            self._key,
            data if length == len(data) else data[:length],
            UploadId=self.token,
            PartNumber=number + 1,
        )
        if not answer.get("ETag"):
            raise DestinationError(
                f"s3://{self._store.bucket.name}/{self._key}: the response to UploadPart carries no ETag, "
                "without which the parts cannot be put together; does a proxy remove it?"
            )
        self._parts[number] = answer["ETag"], length

    def commit(self) -> StoredObject:
        parts = [{"PartNumber": number + 1, "ETag": etag} for number, (etag, _) in sorted(self._parts.items())]

        def complete(condition: dict[str, str]) -> dict[str, Any]:
            return self._store.bucket.call(
                "complete_multipart_upload",
                self._key,
                UploadId=self.token,
                MultipartUpload={"Parts": parts},
                **condition,
            )

        answer = self._store.make(self._key, complete, replace=self._replace)
        self._done = True
        size = sum(length for _, length in self._parts.values())
        return self._store.made(self._key, answer, size, self._attributes)

    def abort(self) -> None:
        if not self._done:
            self._store.abort(self._key, self.token)


def _arguments(attributes: ObjectAttributes) -> dict[str, Any]:
    arguments = {
        "ACL": attributes.acl,
        "ContentType": attributes.content_type,
        "Metadata": dict(attributes.metadata),
        "StorageClass": attributes.storage_class,
        "ServerSideEncryption": attributes.encryption,
        "SSEKMSKeyId": attributes.kms_key,
    }
    return {name: value for name, value in arguments.items() if value}


def console_url(endpoint: str, region: str | None, bucket: str, key: str) -> str | None:
    """Return the page of an object in the console of the partition that an endpoint of AWS belongs to."""
    host = urlsplit(endpoint).hostname or ""
    console = next((console for domain, console in _CONSOLES.items() if host.endswith(f".{domain}")), None)
    if console is None:
        return None
    if (region or "").startswith("us-gov-"):
        console = "console.amazonaws-us-gov.com"
    query = urlencode({**({"region": region} if region else {}), "prefix": key}, safe="/", quote_via=quote)
    return f"https://{console}/s3/object/{bucket}?{query}"
