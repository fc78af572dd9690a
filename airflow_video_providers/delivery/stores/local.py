# SPDX-License-Identifier: Apache-2.0
"""
Local files: written under another name in the same folder, flushed to disk, then renamed in one step.

User metadata is kept as extended attributes. On a file system without them, only the task that stored a file recognises
it later.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from airflow_video_providers.delivery.stores.base import (
    STALE_AFTER_SECONDS,
    Limits,
    ObjectAttributes,
    ObjectStore,
    ObjectWriter,
    RefusedError,
    StoredObject,
)
from airflow_video_providers.delivery.stores.registry import StoreType
from airflow_video_providers.delivery.stores.rename import rename_to_new
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError, SourceError

log = logging.getLogger(__name__)

_ATTRIBUTE = "user."
_MEDIA_TYPE = "mime_type"  # as other programs name it
_STATE = "video_state"


def _path(key: str) -> Path:
    return Path("/") / key


class LocalStore(ObjectStore):
    """The file system of the worker; a key is an absolute path without its first slash."""

    limits = Limits(parts=1 << 62, part_bytes=1 << 62)  # the file system tells its own

    def head(self, key: str) -> StoredObject | None:
        """Return what is stored under a path; None where there is nothing."""
        path = _path(key)
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused(error, path) from None
        metadata: dict[str, str] = {}
        with suppress(OSError, AttributeError):  # no extended attributes here
            for name in os.listxattr(path):
                if name.startswith(_ATTRIBUTE):
                    metadata[name.removeprefix(_ATTRIBUTE)] = os.getxattr(path, name).decode(errors="replace")
        media_type = metadata.pop(_MEDIA_TYPE, None)
        if metadata.pop(_STATE, None) != _state(stat):  # written to since: the metadata no longer holds
            metadata = {}
        return StoredObject(stat.st_size, metadata, f"{stat.st_ino}-{stat.st_mtime_ns}", media_type)

    def begin(self, key: str, attributes: ObjectAttributes, *, replace: bool) -> ObjectWriter:
        """Start a file; missing folders are made."""
        return _LocalWriter(_path(key), attributes, replace=replace)

    def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
        """Write a small file."""
        writer = self.begin(key, attributes, replace=replace)
        try:
            writer.write(0, 0, bytearray(data), len(data))
            return writer.commit()
        finally:
            writer.abort()

    def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
        """Remove unfinished files: those in ``tokens``, and all older than a day."""
        path = _path(key)
        for part in path.parent.glob(f"{_part_prefix(path)}*.part"):
            with suppress(OSError):
                if part.name in tokens or part.stat().st_mtime < time.time() - STALE_AFTER_SECONDS:
                    part.unlink()
                    log.info("Removed %s, which an earlier try left", part)
        return [token for token in tokens if os.path.lexists(path.with_name(token))]

    def open(self, key: str) -> tuple[BinaryIO, StoredObject]:
        """Open a file for reading."""
        stored = self.head(key)
        if stored is None:
            raise SourceError(f"there is no file {_path(key)}")
        if not _path(key).is_file():  # a folder, or a pipe, which would be waited for without end
            raise SourceError(f"{_path(key)} is no file")
        try:
            return _path(key).open("rb"), stored
        except OSError as error:
            raise SourceError(f"{_path(key)} cannot be read: {error.strerror}") from None


class _LocalWriter(ObjectWriter):
    def __init__(self, path: Path, attributes: ObjectAttributes, *, replace: bool) -> None:
        attributes.refuse("a local file", "storage_class", "encryption", "kms_key", "acl")
        self._path = path
        self._attributes = attributes
        self._replace = replace
        self.token = f"{_part_prefix(path)}{uuid.uuid4().hex}.part"
        self._part = path.with_name(self.token)
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            raise _refused(error, path) from None
        self._open = True

    def write(self, number: int, offset: int, data: bytearray, length: int) -> None:
        view = memoryview(data)[:length]
        try:
            while view:
                with self._lock:  # a closed descriptor's number can by now be another file's
                    if not self._open:
                        raise DestinationError(f"{self._path}: the transfer was stopped")
                    written = os.pwrite(self._file, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise _refused(error, self._path) from None

    def commit(self) -> StoredObject:
        try:
            os.fsync(self._file)
            stat = os.fstat(self._file)
            said = {_MEDIA_TYPE: self._attributes.content_type, _STATE: _state(stat), **self._attributes.metadata}
            for name, value in said.items():
                with suppress(OSError, AttributeError):
                    os.setxattr(self._file, f"{_ATTRIBUTE}{name}", value.encode())
            os.fsync(self._file)
            self._close()
            if self._replace:
                os.replace(self._part, self._path)
            else:
                rename_to_new(self._part, self._path)
        except FileExistsError:
            raise DestinationExistsError(f"{self._path} is already there") from None
        except OSError as error:
            raise _refused(error, self._path) from None
        with suppress(OSError):  # the file is there; that its folder cannot be flushed does not undo it
            _sync_folder(self._path.parent)
        version = f"{stat.st_ino}-{stat.st_mtime_ns}"
        return StoredObject(stat.st_size, self._attributes.metadata, version, self._attributes.content_type)

    def abort(self) -> None:
        self._close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._file)


def _state(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _part_prefix(path: Path) -> str:
    # Not the name itself: with something added, it could be longer than a file system takes.
    return f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}."


def _refused(error: OSError, path: Path) -> DestinationError:
    return RefusedError(f"{path} cannot be written: {error.strerror or type(error).__name__}")


_LONGEST_SEGMENT = 255  # of nearly every file system: ext4, XFS, APFS, NTFS, tmpfs
_LONGEST_PATH = 4095  # PATH_MAX without its final zero


def _key_problem(key: str) -> str | None:
    longest = max(len(segment.encode()) for segment in key.split("/"))
    if longest > _LONGEST_SEGMENT:
        return f"the name of a file or folder is too long: {longest} bytes, at most {_LONGEST_SEGMENT}"
    size = len(key.encode()) + 1
    return f"the path is too long: {size} bytes, at most {_LONGEST_PATH}" if size > _LONGEST_PATH else None


STORE = StoreType(
    schemes=("file",),
    open=lambda bucket, conn_id: LocalStore(),
    has_bucket=False,
    folds_case=True,
    key_problem=_key_problem,
)
