# SPDX-License-Identifier: Apache-2.0
"""How the vendors' hooks read and search the lists of a vendor; a third party's hook may use it too."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_video_providers.exceptions import VideoApiUnreadableAnswerError, VideoSearchInconclusiveError
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.text.redaction import clean_text

log = logging.getLogger(__name__)

__all__ = [
    "each_readable",
    "next_offset",
    "not_surely_absent",
    "oldest_usable",
    "pages",
    "poll_by_list",
    "read_jobs",
    "readable",
    "recent_jobs",
    "search_list",
]

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")
Position = TypeVar("Position", bound=Hashable)

CLOCK_MARGIN = timedelta(seconds=60)
"""How far a vendor's clock may be behind ours when it says when a job was created."""

_MOST_PAGES = 1000
_MOST_ITEMS = 100_000
_LONGEST_LIST = 300.0


def readable(model: type[Model], items: Iterable[Any], *, vendor: str, endpoint: str) -> tuple[list[Model], list[Any]]:
    """Read the items of a list one by one, so that a malformed one does not hide the others: the good and the bad."""
    items = list(items)
    read = each_readable(model, items, vendor=vendor, endpoint=endpoint)
    bad = [item for item, good in zip(items, read, strict=True) if good is None]
    return [good for good in read if good is not None], bad


def each_readable(
    model: type[Model], items: Iterable[Any], *, vendor: str, endpoint: str, keys: Iterable[str] = ()
) -> list[Model | None]:
    """
    Read the items of a list in their order, as :func:`readable` does; None stands for one that cannot be read.

    :param keys: paths of the fields that may hold a submission key, such as ``meta.external_id``. An item in which one
        of them is no text cannot be read: without the key it would pass for a job of somebody else.
    """
    read: list[Model | None] = []
    bad, wrong = 0, ""
    for item in items:
        if odd := next((key for key in keys if not _may_be_text(item, key)), None):
            read.append(None)
            bad, wrong = bad + 1, wrong or odd
            continue
        try:
            read.append(model.model_validate(item))
        except ValidationError as error:
            read.append(None)
            bad, wrong = bad + 1, wrong or _places(error)
    if bad:  # one line, however many they are
        log.warning(
            "%s: %s: %d of the list's items cannot be read (%s) and are passed over", vendor, endpoint, bad, wrong
        )
    return read


def _may_be_text(item: Any, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(item, dict):
            return item is None
        item = item.get(name)
    return item is None or isinstance(item, (str, int, float))


def next_offset(value: Any, *, vendor: str, endpoint: str) -> int | None:
    """
    Return where the next page of a list begins; None: there is none.

    :raises VideoApiUnreadableAnswerError: it is no number: the list is longer than what was read.
    """
    if value is None or value == "":
        return None
    try:
        offset = int(value)
        if offset == float(value) and not isinstance(value, bool):
            return offset
    except (TypeError, ValueError, OverflowError):
        pass
    raise VideoApiUnreadableAnswerError(
        f"the start of the next page is no number but {type(value).__name__}", vendor=vendor, endpoint=endpoint
    )


def _places(error: ValidationError) -> str:
    places = (
        ".".join(str(part) for part in found["loc"]) or "all"
        for found in error.errors(include_url=False, include_input=False, include_context=False)[:10]
    )
    return clean_text(", ".join(places), longest=200)


def poll_by_list(
    items: Iterable[Item | None], wanted: Iterable[str], *, id_of: Callable[[Item], str], most: int
) -> dict[str, Item]:
    """
    Return the wanted items of a list by their ids; the list is read until all are found.

    :param most: how many items are read at most: what is not among them is left out.
    """
    missing, found = set(wanted), dict[str, Item]()
    for item in islice(items, most if missing else 0):
        if item is not None and (name := id_of(item)) in missing:
            missing.remove(name)
            found[name] = item
            if not missing:
                break
    return found


def pages(
    read: Callable[[Position | None], tuple[Sequence[Item], Position | None]], *, vendor: str, endpoint: str
) -> Iterator[Item]:
    """
    Yield the items of a list, page after page, as far as they are asked for.

    The list ends with a page that names no next one, or one that was read already. An empty page ends a list of
    offsets; a token is followed from an empty page too, since a vendor may filter a page away.

    :param read: asks for one page: takes None for the first one, then what the page before it gave as its next
        position (a token, an offset, a number of the page); returns the page's items and that position, or None.
    :raises VideoApiUnreadableAnswerError: the list does not end within 1,000 pages, 100,000 items or 300 seconds.
    """
    deadline = time.monotonic() + _LONGEST_LIST
    position: Position | None = None
    seen: set[Position] = set()
    count = 0
    for _ in range(_MOST_PAGES):
        items, position = read(position)
        yield from items
        count += len(items)
        if position is None or position == "" or position in seen or not (items or isinstance(position, str)):
            return
        if count >= _MOST_ITEMS or time.monotonic() >= deadline:
            break
        seen.add(position)
    raise VideoApiUnreadableAnswerError(
        f"the list does not end: {count} items on {len(seen) + 1} pages were read", vendor=vendor, endpoint=endpoint
    )


def recent_jobs(
    items: Iterable[Item | None],
    *,
    created: Callable[[Item], datetime | None],
    to_job: Callable[[Item], VideoJob],
    since: datetime,
    most: int,
) -> list[VideoJob]:
    """
    Return the jobs of a list that were created since a time, those without a time among them.

    As in :func:`search_list` a list that begins with the newest is read down to that time, and no order is trusted. An
    item becomes a job when it is read: kept as they came, with all that the vendor adds, items would fill the memory.

    :param most: how many items are read at the most.
    """

    def read() -> Iterator[tuple[datetime | None, VideoJob] | None]:
        for item in islice(items, most):
            jobs = [] if item is None else read_jobs([item], to_job)
            yield (created(item), jobs[0]) if item is not None and jobs else None

    found, _ = search_list(
        read(),
        matches=lambda pair: pair[0] is None or pair[0] >= since - CLOCK_MARGIN,
        created=lambda pair: pair[0],
        since=since,
    )
    return [job for _, job in found]


def search_list(
    items: Iterable[Item | None],
    *,
    matches: Callable[[Item], bool],
    created: Callable[[Item], datetime | None],
    since: datetime,
) -> tuple[list[Item], int]:
    """
    Search a vendor's list for what was created since a time; return what matches, oldest first, and how many of the
    items cannot be read.

    A list that begins with the newest is read down to that time, less a minute for the difference of the clocks. No
    order is trusted: where the times say otherwise, all of the list is read.

    :param items: of the list; None for one that cannot be read.
    """
    found: list[Item] = []
    before: datetime | None = None
    unread, newest_first = 0, True
    for item in items:
        if item is None:
            unread += 1
            continue
        if matches(item):
            found.append(item)
        time_ = created(item)
        if time_ is None:
            continue
        if before is not None:
            newest_first = newest_first and time_ <= before
            if newest_first and time_ < since - CLOCK_MARGIN:
                break
        before = time_
    return (found[::-1] if newest_first else found), unread


def oldest_usable(jobs: Iterable[VideoJob], *, unread: int = 0, vendor: str, endpoint: str) -> VideoJob | None:
    """
    Return the job that a search for a submission key found: the oldest that has neither failed nor been cancelled.

    Further ones are named in the log. Jobs without ``created_at`` count as the oldest, in the order given.

    :param jobs: those that carry the key.
    :param unread: how many more may carry it, but could not be read.
    :raises VideoSearchInconclusiveError: none is usable, but one that could not be read may be.
    """
    usable = [job for job in jobs if job.state not in (JobState.FAILED, JobState.CANCELLED)]
    usable.sort(key=lambda job: job.created_at.timestamp() if job.created_at else 0.0)
    if not usable:
        if unread:
            raise not_surely_absent(unread, vendor=vendor, endpoint=endpoint)
        return None
    if len(usable) > 1:
        others = ", ".join(job.job_id for job in usable[1:])
        log.warning("%s: %d jobs match; taking the oldest, %s, not %s", vendor, len(usable), usable[0].job_id, others)
    return usable[0]


def not_surely_absent(unread: int, *, vendor: str, endpoint: str) -> VideoSearchInconclusiveError:
    """Return the error for a search that found no job, where one that could not be read may be the job."""
    return VideoSearchInconclusiveError(
        f"no job carries the key, but {unread} of the list cannot be read and may be the one that was submitted",
        vendor=vendor,
        endpoint=endpoint,
    )


def read_jobs(items: Iterable[Item], to_job: Callable[[Item], VideoJob]) -> list[VideoJob]:
    """Return the jobs of a list; one that cannot be told apart, such as one with an empty id, is left out."""
    jobs: list[VideoJob] = []
    for item in items:
        try:
            jobs.append(to_job(item))
        except VideoApiUnreadableAnswerError as error:
            log.warning("A job of the list is passed over: %s", error)
    return jobs
