# SPDX-License-Identifier: Apache-2.0
"""Read an S3 object as a stream."""

from __future__ import annotations

import io
import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from airflow_video_providers.delivery.stores.base import StoredObject
from airflow_video_providers.delivery.stores.s3.bucket import Bucket
from airflow_video_providers.exceptions import DestinationExistsError, SourceError

log = logging.getLogger(__name__)


class S3Reader(io.RawIOBase):
    """
    The bytes of one version of an object.

    A broken read goes on from where it stopped; six tries in a row without a byte end it with a ``SourceError``.
    """

    def __init__(self, bucket: Bucket, key: str, stored: StoredObject) -> None:
        self._bucket, self._key, self._stored = bucket, key, stored
        self._uri = f"s3://{bucket.name}/{key}"
        self._position = 0
        self._body: Any = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: a read after a seek asks for the range that begins there."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte; nothing is sent before the next read."""
        position = max(
            0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._stored.size}[whence]
        )
        if position != self._position and self._body is not None:
            self._body.close()
            self._body = None
        self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        """
        Fill a part of the buffer; return the number of bytes, 0 at the end of the object.

        :raises SourceError: the object was changed, or cannot be read further.
        """
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._stored.size - self._position)
        for attempt in range(1, 7):
            if wanted <= 0:
                return 0
            try:
                if self._body is None:
                    self._body = self._open()
                data = self._body.read(wanted)
                if not data:
                    raise EOFError("the object ended too early")
                view[: len(data)] = data
                self._position += len(data)
                return len(data)
            except ClientError as error:
                refusal = self._bucket.error(error, self._key)
                if isinstance(refusal, DestinationExistsError):  # If-Match does not hold
                    raise SourceError(f"{self._uri} was changed while it was read") from None
                raise SourceError(str(refusal)) from None
            except (BotoCoreError, ResponseParserError, OSError, EOFError) as error:
                self._body = None
                log.warning("Reading %s broke (%s); try %d", self._uri, type(error).__name__, attempt)
        raise SourceError(f"{self._uri} cannot be read beyond byte {self._position}")

    def _open(self) -> Any:
        arguments = {"IfMatch": self._stored.version} if self._stored.version else {}
        start = f"bytes={self._position}-"
        if self._position:
            arguments["Range"] = start
        answer = self._bucket.client.get_object(Bucket=self._bucket.name, Key=self._key, **arguments)
        goes_on = str(answer.get("ContentRange", "")).startswith(start.replace("=", " "))
        if self._position and not (self._stored.version and goes_on):
            raise SourceError(f"{self._uri}: the connection broke, and this store cannot prove that it goes on there")
        return answer["Body"]

    def close(self) -> None:
        """Close the connection."""
        if self._body is not None:
            self._body.close()
        super().close()
