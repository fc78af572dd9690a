# SPDX-License-Identifier: Apache-2.0
"""
The ledger of a bulk task: what is known of each item's render, in the task state store, a chunk of items an entry.

One write holds the intents of a whole batch of submissions, the next one their job ids: a crash between the two leaves
intents without job ids, which the next try resolves one by one, as a single submission's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from enum import Enum
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from airflow_video_providers.bulk.items import Item
from airflow_video_providers.exceptions import SubmissionError
from airflow_video_providers.jobs import JobCost
from airflow_video_providers.submission.record import RECORD_RETENTION, SubmissionRecord, write_entry

log = logging.getLogger(__name__)

LEDGER_KEY = "video_bulk"
"""The name of the ledger's head in the task state store; its chunks are ``video_bulk_0``, ``video_bulk_1`` ..."""
CHUNK_ITEMS = 100
FENCE_SECONDS = 10.0
"""For how long after a write this try is taken for the task's current one."""


class ItemState(str, Enum):
    """Where an item stands; ``rendered``: done at the vendor, and not delivered yet."""

    PENDING = "pending"
    RUNNING = "running"
    RENDERED = "rendered"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is done for the item by this try."""
        return self not in (ItemState.PENDING, ItemState.RUNNING, ItemState.RENDERED)


@dataclass(slots=True)
class Entry:
    """
    What is known of one item.

    :param record: of its submission; None before the first one.
    :param submitted_at: seconds of the epoch, and ``finished_at`` when its state became final.
    :param delivery_failed: the render succeeded, and its delivery failed: a retry delivers it again.
    :param is_hopeless: the vendor's reason is the same for the same request: a retry does not submit it again.
    :param journal: of unfinished uploads, by URI.
    """

    item_id: str
    fingerprint: str
    state: ItemState = ItemState.PENDING
    record: SubmissionRecord | None = None
    submitted_at: float | None = None
    finished_at: float | None = None
    error: str | None = None
    is_hopeless: bool = False
    delivery_failed: bool = False
    cost: JobCost | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    journal: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def job_id(self) -> str | None:
        """The id of its job, where one is known."""
        return None if self.record is None else self.record.job_id


_ENTRY = TypeAdapter(Entry)


class Ledger:
    """
    The entries of all items, and their chunks in the task state store.

    :param store: ``context["task_state_store"]``.
    :param items: of the task, in their order.
    """

    def __init__(self, store: Any, items: Sequence[Item]) -> None:
        self._store = store
        self.lock = threading.RLock()
        """Held while a thread of the task calls Airflow: in ``dag.test()`` two threads cannot do so at once."""
        self._written_at = 0.0
        self._dirty: set[int] = set()
        self.entries: list[Entry] = []
        self.max_tries: int | None = None
        self.last_try: int | None = None
        """As the last try that used the ledger saw them: what tells a clear from a retry."""
        self._superseded: list[Entry] = []
        self._load(items)

    # ------------------------------------------------------------------ reading

    def _load(self, items: Sequence[Item]) -> None:
        head = self._store.get(LEDGER_KEY) or {}
        kept: dict[str, Entry] = {}
        stored: list[str] = []
        for number in range(int(head.get("chunks", 0))):
            for entry in self._read_chunk(number):
                kept[entry.item_id] = entry
                stored.append(entry.item_id)
        self.max_tries, self.last_try = head.get("max_tries"), head.get("last_try")
        for number, item in enumerate(items):
            known = kept.pop(item.item_id, None)
            if known is not None and known.fingerprint != item.fingerprint:
                self._superseded.append(known)
                known = None
            self.entries.append(known or Entry(item_id=item.item_id, fingerprint=item.fingerprint))
            if known is None or number >= len(stored) or stored[number] != item.item_id:
                self._dirty.add(number // CHUNK_ITEMS)  # it is not in the store as it is here
        # Items that the list does not hold any more: what of them still runs is ended, too.
        self._superseded += [entry for entry in kept.values() if entry.record is not None]
        if len(stored) != len(items):
            self._dirty.add(max(0, self._chunks - 1))

    def _read_chunk(self, number: int) -> list[Entry]:
        stored = self._store.get(f"{LEDGER_KEY}_{number}")
        try:
            return [_ENTRY.validate_python(value) for value in (stored or {}).get("entries", [])]
        except ValidationError as error:
            raise SubmissionError(
                f"The task state {LEDGER_KEY}_{number} cannot be read ({error.error_count()} faults), so it is not "
                "known which renders were submitted. Check the vendor's app, then delete the entries of that name "
                "(task instance, Storage, Task State Store) and clear the task."
            ) from None

    @property
    def _chunks(self) -> int:
        return -(-len(self.entries) // CHUNK_ITEMS)

    def take_superseded(self) -> list[Entry]:
        """Return, once, the entries of items whose request changed or that are gone from the list."""
        superseded, self._superseded = self._superseded, []
        return superseded

    def in_state(self, *states: ItemState) -> Iterator[int]:
        """Yield the numbers of the items in these states."""
        return (number for number, entry in enumerate(self.entries) if entry.state in states)

    # ------------------------------------------------------------------ writing

    def begin(self, *, try_number: int, max_tries: int) -> None:
        """
        Write the ledger as this try takes it over.

        :raises SubmissionSupersededError: Airflow has replaced this try by another one.
        """
        with self.lock:
            self.max_tries, self.last_try = max_tries, try_number
            self.flush(force_head=True)

    def touch(self, number: int) -> None:
        """Note that an entry has changed; it is written with the next flush."""
        with self.lock:
            self._dirty.add(number // CHUNK_ITEMS)

    def flush(self, numbers: Iterable[int] | None = None, *, patience: float = 0.0, force_head: bool = False) -> None:
        """
        Write the chunks that have changed, or those of these items only.

        :param patience: seconds for which an API server that is away is asked again.
        :raises SubmissionSupersededError: Airflow has replaced this try by another one.
        """
        with self.lock:
            wanted = set(self._dirty) if numbers is None else {n // CHUNK_ITEMS for n in numbers} & self._dirty
            if force_head:
                head = {"chunks": self._chunks, "max_tries": self.max_tries, "last_try": self.last_try}
                self._write(LEDGER_KEY, head, patience)
            for chunk in sorted(wanted):
                start = chunk * CHUNK_ITEMS
                entries = self.entries[start : start + CHUNK_ITEMS]
                value = {
                    "entries": [_ENTRY.dump_python(entry, mode="json", exclude_defaults=True) for entry in entries]
                }
                self._write(f"{LEDGER_KEY}_{chunk}", value, patience)
                self._dirty.discard(chunk)

    def fence(self) -> None:
        """
        Prove that this try is the task's current one, by a write that is not older than 10 seconds.

        :raises SubmissionSupersededError: it is not.
        """
        with self.lock:
            if time.monotonic() - self._written_at > FENCE_SECONDS:
                self.flush(force_head=True)

    def _write(self, key: str, value: dict[str, Any], patience: float) -> None:
        write_entry(self._store, key, value, retention=RECORD_RETENTION, patience=patience)
        self._written_at = time.monotonic()


class EntryStore:
    """
    The submission record of one item: what :class:`Purchase` and :class:`Resolver` write to.

    An intent that is in the store already is not written again, as long as the fence holds. A job id is written with
    the batch; a refusal at once, since it proves that nothing was submitted.
    """

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger, self._number = ledger, number

    @property
    def record(self) -> SubmissionRecord | None:
        """The record as it was last read or written."""
        return self._ledger.entries[self._number].record

    def read(self) -> SubmissionRecord | None:
        """Return the record."""
        return self.record

    def write(self, record: SubmissionRecord, *, patience: float = 0.0) -> None:
        """
        Keep the record.

        :raises SubmissionSupersededError: Airflow has replaced this try by another one.
        """
        entry = self._ledger.entries[self._number]
        known = entry.record
        entry.record = record
        self._ledger.touch(self._number)
        if record.state == "intended" and known is not None and (known.state, known.key) == ("intended", record.key):
            self._ledger.fence()
        elif record.state != "submitted":
            self._ledger.flush([self._number], patience=patience)


class EntryJournal:
    """The journal of one item's deliveries: an unfinished upload is written at once, all else with the ledger."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger, self._number = ledger, number

    def load(self, uri: str) -> dict[str, Any]:
        """Return what was saved, or an empty dictionary."""
        return dict(self._ledger.entries[self._number].journal.get(uri, {}))

    def save(self, uri: str, record: dict[str, Any]) -> None:
        """Save a value."""
        self._ledger.entries[self._number].journal[uri] = record
        self._ledger.touch(self._number)
        if record.get("uploads"):
            self._ledger.flush([self._number])
