# SPDX-License-Identifier: Apache-2.0
"""One object at its destination: what is stored there, what is sent to it, and what the journal remembers of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as changed
from typing import Any

from airflow_video_providers.delivery.destination import Location
from airflow_video_providers.delivery.journal import Journal
from airflow_video_providers.delivery.media_check import Checks
from airflow_video_providers.delivery.stores.base import (
    ObjectAttributes,
    ObjectStore,
    ObjectWriter,
    RefusedError,
    StoredObject,
)
from airflow_video_providers.exceptions import DestinationError


class Target:
    """
    The object that an output is stored as.

    :param location: where it goes, in ``store``.
    :param journal: remembers an unfinished upload and the digest of a finished one.
    :param identity: names the output in the object's metadata, by which a later run knows it again.
    :param size: of the output, where the vendor says.
    :param attributes: what is set on the object; an empty content type means that of the file.
    :param replace: whether another object may be replaced.
    :param checks: of the file; what passes ``length`` alone is marked, so that a later ``strict`` does not trust it.
    """

    def __init__(
        self,
        location: Location,
        store: ObjectStore,
        journal: Journal,
        *,
        identity: Mapping[str, str],
        size: int | None = None,
        attributes: ObjectAttributes,
        replace: bool = True,
        checks: Checks = "strict",
    ) -> None:
        self.uri = location.uri
        self.parallel = store.parallel
        self._key, self._store, self._journal = location.key, store, journal
        self._identity, self._size = dict(identity), size
        self._attributes, self._replace, self._checks = attributes, replace, checks
        self._record: dict[str, Any] = {}
        self._left: list[str] = []
        self._version: str | None = None

    # ------------------------------------------------------------------ what is there

    @property
    def console_url(self) -> str | None:
        """The page of the object in the web console of its cloud; None where there is none."""
        return self._store.console_url(self._key)

    def load(self) -> None:
        """Read the journal: comes before all else."""
        self._record = dict(self._journal.load(self.uri))

    def sweep(self) -> None:
        """Abort the uploads that earlier tries left."""
        known = self._record.get("uploads", [])
        self._left = self._store.sweep(self._key, known)
        if self._left != known:
            self._remember(uploads=self._left)

    def find(self) -> StoredObject | None:
        """Return the object that is there, or None."""
        stored = self._store.head(self._key)
        self._version = None if stored is None else stored.version
        return stored

    def is_ours(self, stored: StoredObject) -> bool:
        """
        Tell whether an object is this output.

        An object is visible only after its checks, so one that carries our name is whole; sizes are compared too. A
        store that keeps no metadata is helped by the journal, where it speaks of this very object and output: a cleared
        task can be given another job.
        """
        return self._size in (None, stored.size) and (self._is_named(stored) or bool(self._kept(stored)))

    def is_doubted(self, stored: StoredObject) -> bool:
        """Tell whether the checks of this transfer are not known to have passed for an object of ours."""
        if self._checks == "length":
            return False
        kept = self._kept(stored)
        return bool(kept["in_doubt"]) if "in_doubt" in kept else stored.metadata.get("videochecks") == "length"

    def digest_of(self, stored: StoredObject) -> str | None:
        """Return the SHA-256 of an object of ours; None where nobody kept it."""
        found: str | None = stored.metadata.get("videosha256") or self._kept(stored).get("sha256")
        return found

    def media_type_of(self, stored: StoredObject) -> str | None:
        """Return the media type of an object of ours, where it is known."""
        return stored.content_type or self._kept(stored).get("media_type")

    # ------------------------------------------------------------------ sending

    def part_size(self, size: int | None) -> int:
        """Return the bytes in a part for a file of this size (None: not known)."""
        return self._store.part_size(size)

    def begin(self, media_type: str) -> ObjectWriter:
        """Begin an upload; may run in another thread. :meth:`remember_upload` must follow."""
        # Whether its structure is in doubt is known only at its end, when the metadata can no longer be changed.
        attributes = self._attributes_for(media_type, in_doubt=self._checks == "length")
        return self._store.begin(self._key, attributes, replace=self._replace)

    def remember_upload(self, writer: ObjectWriter) -> None:
        """Remember an upload: until it is known to be gone, each later try will sweep it."""
        self._remember(uploads=[*self._record.get("uploads", ()), *([writer.token] if writer.token else ())])

    def put(self, data: bytes, media_type: str, sha256: str, *, in_doubt: bool = False) -> StoredObject:
        """Store a small file in one request."""
        attributes = self._attributes_for(media_type, in_doubt=in_doubt, videosha256=sha256)
        return self._committed(lambda: self._store.put(self._key, data, attributes, replace=self._replace), len(data))

    def commit(self, writer: ObjectWriter, size: int) -> StoredObject:
        """Publish an upload whose parts are all stored."""
        return self._committed(writer.commit, size)

    def remember_file(self, version: str, sha256: str, media_type: str, *, in_doubt: bool = False) -> None:
        """Remember what has been stored."""
        self._remember(output=self._identity, version=version, sha256=sha256, media_type=media_type, in_doubt=in_doubt)

    # ------------------------------------------------------------------ steps

    def _committed(self, commit: Callable[[], StoredObject], size: int) -> StoredObject:
        """Commit; the response can be lost, and another task can have stored the same file first."""
        try:
            stored = commit()
        except RefusedError:
            raise  # whatever is there, it is not what was to be committed
        except DestinationError:
            found = self._store.head(self._key)
            if found is None or found.version == self._version or found.size != size or not self._is_named(found):
                raise
            if self.is_doubted(found):
                raise
            return found
        self._record["uploads"] = self._left
        return stored

    def _is_named(self, stored: StoredObject) -> bool:
        return all(stored.metadata.get(name) == value for name, value in self._identity.items())

    def _kept(self, stored: StoredObject) -> dict[str, Any]:
        known = self._record.get("output") == self._identity and self._record.get("version") == stored.version
        return self._record if known else {}

    def _attributes_for(self, media_type: str, *, in_doubt: bool, **metadata: str) -> ObjectAttributes:
        given = self._attributes
        if in_doubt:
            metadata["videochecks"] = "length"
        return changed(
            given,
            content_type=given.content_type or media_type,
            metadata={**given.metadata, **self._identity, **metadata},
        )

    def _remember(self, **values: Any) -> None:
        self._record.update(values)
        self._journal.save(self.uri, dict(self._record))
