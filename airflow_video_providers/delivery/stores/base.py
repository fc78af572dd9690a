# SPDX-License-Identifier: Apache-2.0
"""
The contract of a store: write an object so that it is whole or not there.

Each store is used through its own client, made by the hook of the Airflow connection: every way to sign in that Airflow
knows works, and credentials are renewed during a long transfer. A file is sent in parts that are invisible until they
are committed.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from airflow_video_providers.delivery.buffers import PART_BYTES
from airflow_video_providers.exceptions import DestinationError, VideoConfigurationError

_QUERY = re.compile(r"\?[^\s'\"<>)]+")


@dataclass(frozen=True)
class ObjectAttributes:
    """
    The attributes of a new object; a store that lacks one refuses it.

    :param content_type: media type.
    :param metadata: user metadata; ASCII, keys of letters and digits that begin with a letter, which all stores accept.
    :param storage_class: S3 and GCS storage class, Azure access tier.
    :param encryption: server-side encryption: S3 ``AES256`` or ``aws:kms``. Not used by the others.
    :param kms_key: S3 KMS key, GCS Cloud KMS key name, Azure encryption scope.
    :param acl: canned ACL of S3, such as ``bucket-owner-full-control``. Not used by the others.
    """

    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str | None = None
    encryption: str | None = None
    kms_key: str | None = None
    acl: str | None = None

    def refuse(self, store: str, *names: str) -> None:
        """
        Raise if one of the named attributes is set, which ``store`` does not have.

        :raises VideoConfigurationError: names them.
        """
        given = [name for name in names if getattr(self, name)]
        if given:
            raise VideoConfigurationError(f"{store} cannot keep {' and '.join(given)}: leave it out")


@dataclass(frozen=True)
class Limits:
    """
    How large an object may be.

    :param parts: that an object may have.
    :param part_bytes: that a part may have.
    :param object_bytes: that an object may have; by default all its parts at their largest.
    """

    parts: int
    part_bytes: int
    object_bytes: int = 0

    def part_size(self, size: int | None) -> int:
        """
        Return the bytes in a part of a file of this size: 8 MiB, doubled until the parts are few enough.

        :raises RefusedError: the file is too large.
        """
        most = self.object_bytes or self.parts * self.part_bytes
        if size is not None and size > most:
            raise RefusedError(f"the file is too large for this store: {size} bytes, at most {most}")
        part = PART_BYTES
        while part * self.parts < (size or 0):
            part *= 2
        return min(part, self.part_bytes)

    def check_part(self, number: int) -> None:
        """
        Check the number of a part, from 0.

        :raises RefusedError: the file, whose size was not known in advance, needs too many parts.
        """
        if number >= self.parts:
            raise RefusedError(
                f"the file is too large: the source does not say its size, so that it is sent in parts of "
                f"{PART_BYTES} bytes, and this store takes at most {self.parts} of them"
            )


@dataclass(frozen=True)
class StoredObject:
    """A stored object: size in bytes, user metadata, an identifier of this version, media type where known."""

    size: int
    metadata: Mapping[str, str]
    version: str
    content_type: str | None = None


class RefusedError(DestinationError):
    """The store refused the request, so that nothing was written; after another error it may have taken effect."""


def clean(text: object) -> str:
    """Return a store's message as one line of at most 500 characters. Queries of URLs go: they can be secrets."""
    line = " ".join(str(text)[:10_000].split())
    line = _QUERY.sub("?…", "".join(character for character in line if character.isprintable()))
    return line if len(line) <= 500 else f"{line[:499]}…"


@contextmanager
def reading_connection(conn_id: str | None) -> Iterator[None]:
    """
    Make a client in this block.

    :raises VideoConfigurationError: the Airflow connection does not exist or holds wrong values.
    """
    from airflow.sdk.exceptions import AirflowException

    try:
        yield
    except (AirflowException, ValueError, TypeError, KeyError, FileNotFoundError, PermissionError) as error:
        if isinstance(error, VideoConfigurationError):
            raise
        raise VideoConfigurationError(
            f"the Airflow connection {conn_id!r} cannot be used: {clean(error) or type(error).__name__}"
        ) from None


def refused(text: str, status: int | None) -> DestinationError:
    """Return the error for a status; a repeated commit can meet 404, 409 and 412 although it has taken effect."""
    definite = status is not None and 400 <= status < 500 and status not in (404, 408, 409, 412, 429)
    return RefusedError(text) if definite else DestinationError(text)


class ObjectWriter(ABC):
    """
    An unfinished object, invisible until :meth:`commit`.

    :ivar token: identifies the unfinished upload, so that a later process can remove it.
    """

    token: str

    @abstractmethod
    def write(self, number: int, offset: int, data: bytearray, length: int) -> None:
        """
        Store a part: the first ``length`` bytes of ``data``. May be called by several threads, in any order.

        :param number: of the part, from 0.
        :param offset: where the part begins in the object.
        """

    @abstractmethod
    def commit(self) -> StoredObject:
        """
        Make the object visible, replacing an older one in the same instant.

        :raises DestinationExistsError: ``replace`` was False and an object exists.
        """

    @abstractmethod
    def abort(self) -> None:
        """Discard the upload; does nothing after a commit, and raises nothing."""


class ObjectStore(ABC):
    """
    One bucket, container or file system.

    :cvar parallel: how many parts are worth sending at once.
    :cvar limits: how large an object and its parts may be.
    """

    parallel = 1
    limits: Limits

    @abstractmethod
    def head(self, key: str) -> StoredObject | None:
        """Return what is stored under a key; None where there is nothing, or where the credentials may not ask."""

    @abstractmethod
    def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
        """
        Start an upload.

        :param replace: False: the commit fails if an object exists by then.
        """

    @abstractmethod
    def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
        """
        Write an object of some megabytes in one step: readers see the old one or the new one, whole.

        :param replace: False: fail if an object exists.
        :raises DestinationExistsError: ``replace`` is False and an object exists.
        """

    @abstractmethod
    def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
        """
        Remove unfinished uploads of this key: those in ``tokens``, and all that started more than a day ago.

        :return: those of ``tokens`` that may still exist; the caller tries again later.
        """

    @abstractmethod
    def open(self, key: str) -> tuple[BinaryIO, StoredObject]:
        """
        Open an object for reading from its start, at constant memory; only this version of it is read.

        :raises SourceError: it does not exist, cannot be read, or (when reading) was changed.
        """

    def console_url(self, key: str) -> str | None:
        """Return the page of an object in the web console of its cloud; None where there is none."""
        return None

    def part_size(self, size: int | None) -> int:
        """
        Return the bytes in a part for a file of this size (None: not known).

        :raises RefusedError: the store takes no object of this size.
        """
        return self.limits.part_size(size)


STALE_AFTER_SECONDS = 24 * 3600  # age of an unfinished upload
