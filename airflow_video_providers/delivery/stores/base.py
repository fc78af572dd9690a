# SPDX-License-Identifier: Apache-2.0
"""
The contract of a store: write an object so that it is whole or not there.

Each store is reached through its own client, made by the Airflow connection's own hook, so that every way of signing
in that Airflow knows works here, is renewed during a long transfer, and is configured in one place. A file is sent in
parts that are invisible until they are committed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from airflow_video_providers.delivery.buffers import PART_BYTES
from airflow_video_providers.exceptions import DestinationError, VideoConfigurationError


@dataclass(frozen=True)
class ObjectAttributes:
    """
    What is set on an object when it is made; a store that cannot keep one of them says so.

    :param content_type: media type.
    :param metadata: user metadata; ASCII, keys of letters and digits that begin with a letter, since every store has
        its own idea of the others.
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
        Check that nothing is asked for that this store does not have.

        :raises VideoConfigurationError: it is.
        """
        asked = [name for name in names if getattr(self, name)]
        if asked:
            raise VideoConfigurationError(f"{store} cannot keep {' and '.join(asked)}: leave it out")


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
    """An object that is there: its size in bytes, user metadata, and what tells this version from others."""

    size: int
    metadata: Mapping[str, str]
    version: str
    content_type: str | None = None


class RefusedError(DestinationError):
    """The store said no, so that nothing was written; after any other error a commit may have had its effect."""


def clean(text: object) -> str:
    """Return a store's message as one line of at most 500 characters."""
    line = " ".join(str(text).split())
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= 500 else f"{line[:499]}…"


def refused(text: str, status: int | None) -> DestinationError:
    """Return the error for an answer; a client's repeated commit can meet 404, 409 and 412 after it succeeded."""
    definite = status is not None and 400 <= status < 500 and status not in (404, 408, 409, 412, 429)
    return RefusedError(text) if definite else DestinationError(text)


class ObjectWriter(ABC):
    """
    An object being written; nothing of it can be seen before :meth:`commit`.

    :ivar token: names the unfinished upload, so that a later process can sweep it away.
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

        :raises DestinationExistsError: it must not replace anything, and something is there.
        """

    @abstractmethod
    def abort(self) -> None:
        """Remove every trace; does nothing after a commit and never raises for what is already gone."""


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
        """Look at an object; None where there is none."""

    @abstractmethod
    def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
        """
        Begin to write an object.

        :param replace: False: the commit fails where an object is already there, however late it came.
        """

    @abstractmethod
    def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
        """
        Write a small object, of some megabytes: readers see the old one or the new one, whole.

        :param replace: False: fail where an object is already there.
        :raises DestinationExistsError: it must not replace anything, and something is there.
        """

    @abstractmethod
    def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
        """
        Remove uploads of this key that nobody will finish: those named, and any that began more than a day ago.

        :return: those of ``tokens`` that may still be there: to be tried again another time.
        """

    @abstractmethod
    def open(self, key: str) -> tuple[BinaryIO, StoredObject]:
        """
        Open an object to be read from its start at constant memory.

        :raises SourceError: it is not there, or cannot be read.
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


STALE_AFTER_SECONDS = 24 * 3600  # of an unfinished upload that nobody is known to go on with
