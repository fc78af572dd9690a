# SPDX-License-Identifier: Apache-2.0
"""
Send requests to one S3 bucket, with the proofs of integrity that it requires.

By default a body is not hashed: TLS protects it, and a connection to a plain http endpoint has no such protection
anyway. A bucket with Object Lock requires a digest of each body, and a policy can require a signature that covers the
body. Neither can be asked for in advance: the first refusal tells.

A request that S3 refuses because it works on another one of the same object is repeated, as its documentation asks.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from airflow_video_providers.delivery.stores.base import RefusedError, clean, refused
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError

log = logging.getLogger(__name__)

CLIENT_ERRORS = (ClientError, BotoCoreError, ResponseParserError)
_DIGEST_WANTED = re.compile(r"content-?md5|checksum", re.IGNORECASE)
_SIGNED_BODY_WANTED = re.compile(r"unsigned|content-?sha256", re.IGNORECASE)
_CONFLICTS = ("ConditionalRequestConflict", "OperationAborted")
_CONFLICT_WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds, of which at least half are waited, before a request that met a conflict is repeated."""
_CONDITION_REFUSED = re.compile(r"if-none-match|conditional", re.IGNORECASE)

_MAKING = threading.Lock()
"""Clients are made one at a time in a process: it is not safe in several threads, and takes much CPU."""


class UnsupportedError(RefusedError):
    """The store does not implement something in the request. Internal."""


@dataclass(frozen=True)
class _Demands:
    """What the bucket requires of a request with a body: an MD5 digest, a signature that covers the body."""

    digest: bool = False
    signed_body: bool = False

    def after(self, error: ClientError) -> _Demands:
        """Return the demands, with the one that this refusal tells."""
        code, message = code_of(error), error.response.get("Error", {}).get("Message") or ""
        if code in ("InvalidRequest", "MissingContentMD5") and _DIGEST_WANTED.search(message + code):
            return replace(self, digest=True)
        if code in ("AccessDenied", "403") or _SIGNED_BODY_WANTED.search(message + code):
            return replace(self, signed_body=True)
        return self

    def with_those_of(self, other: _Demands) -> _Demands:
        """Return the demands of both."""
        return _Demands(self.digest or other.digest, self.signed_body or other.signed_body)


class Bucket:
    """
    One bucket.

    :param make_client: makes the boto3 client, given the settings that transfers want.
    :param connections: that are used at once.
    """

    def __init__(self, name: str, make_client: Callable[[Config], Any], connections: int) -> None:
        self.name = name
        self._make_client = make_client
        self._connections = connections
        self._demands = _Demands()
        self._clients: dict[bool, Any] = {}

    @property
    def client(self) -> Any:
        """The boto3 client."""
        return self._client(self._demands.signed_body)

    def _client(self, signed_body: bool) -> Any:
        if signed_body in self._clients:  # nobody waits here for the clients of others
            return self._clients[signed_body]
        with _MAKING:
            if signed_body not in self._clients:
                self._clients[signed_body] = self._make_client(
                    Config(
                        connect_timeout=10,
                        read_timeout=60,
                        retries={"mode": "standard", "max_attempts": 6},
                        max_pool_connections=self._connections,
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                        s3={"payload_signing_enabled": signed_body},
                    )
                )
            return self._clients[signed_body]

    def call(self, operation: str, key: str, **arguments: Any) -> dict[str, Any]:
        """
        Return the response of an operation on a key.

        :raises DestinationError: it failed. :raises DestinationExistsError: its condition does not hold.
        """
        try:
            return self._repeat_after_conflicts(self.client, operation, Key=key, **arguments)
        except CLIENT_ERRORS as error:
            raise self.error(error, key) from None

    def send(self, operation: str, key: str, body: bytes | bytearray, **arguments: Any) -> dict[str, Any]:
        """
        Return the response of an operation with a body; repeat a refused one with what the bucket demands.

        :raises DestinationError: it failed. :raises DestinationExistsError: its condition does not hold.
        """
        while True:
            demands = self._demands
            digest = {"ContentMD5": _md5(body)} if demands.digest else {}
            try:
                client = self._client(demands.signed_body)
                return self._repeat_after_conflicts(client, operation, Key=key, Body=body, **digest, **arguments)
            except CLIENT_ERRORS as error:
                learnt = demands.after(error) if isinstance(error, ClientError) else demands
                if not isinstance(error, ClientError) or learnt == demands:
                    raise self.error(error, key) from None
                log.info("s3://%s: %s; sending again with %s", self.name, code_of(error), learnt)
                self._demands = self._demands.with_those_of(learnt)

    def _repeat_after_conflicts(self, client: Any, operation: str, **arguments: Any) -> dict[str, Any]:
        conflict: ClientError | None = None
        for wait in (*_CONFLICT_WAITS, None):
            try:
                answer: dict[str, Any] = getattr(client, operation)(Bucket=self.name, **arguments)
            except ClientError as error:
                if conflict is not None and code_of(error) == "NoSuchUpload":
                    raise conflict from None  # it has ended the multipart upload
                if wait is None or code_of(error) not in _CONFLICTS:
                    raise
                conflict = error
                log.info("s3://%s/%s: %s; sending again", self.name, arguments["Key"], code_of(error))
                time.sleep(wait * random.uniform(0.5, 1))
            else:
                return answer
        raise AssertionError("unreachable")

    def error(self, error: Exception, key: str) -> DestinationError:
        """Return the error of this package for one of the client."""
        uri = f"s3://{self.name}/{key}"
        if not isinstance(error, ClientError):
            return DestinationError(f"{uri}: {clean(error)}")
        code = code_of(error)
        if code in ("PreconditionFailed", "412"):
            return DestinationExistsError(f"{uri} is already there")
        message = error.response.get("Error", {}).get("Message") or f"status {status_of(error)}"
        text, status = f"{uri}: {code}: {clean(message)}", status_of(error)
        if code in _CONFLICTS:
            text = f"{text} (a retry of the task sends the file again)"
        unknown_condition = status == HTTPStatus.BAD_REQUEST and _CONDITION_REFUSED.search(message)
        if code in ("NotImplemented", "501") or unknown_condition:
            return UnsupportedError(text)
        return refused(text, status)


def code_of(error: ClientError) -> str:
    """Return S3's error code."""
    return str(error.response.get("Error", {}).get("Code") or "unknown error")


def status_of(error: ClientError) -> int | None:
    """Return the HTTP status of an error."""
    status: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status


def _md5(body: bytes | bytearray) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
