# SPDX-License-Identifier: Apache-2.0
"""Deliver outputs of one job: each to its place, one after another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules, naming
from airflow_video_providers.delivery.destination import Location, locate, named_extension, uses_extension
from airflow_video_providers.delivery.formats import find_format
from airflow_video_providers.delivery.journal import Journal
from airflow_video_providers.delivery.media_check import MediaCheck
from airflow_video_providers.delivery.source.choose import read_head
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.metrics import count_delivered

if TYPE_CHECKING:
    from airflow_video_providers.delivery.stores.base import ObjectStore
    from airflow_video_providers.hooks.base import VideoHook
    from airflow_video_providers.jobs import VideoOutput

_CONNECTION = re.compile(r"//[^/@]*@")


@dataclass
class JobFiles:
    """
    The files of one job on their way.

    :param destination: a template, see :mod:`destination`.
    :param journal: remembers unfinished uploads.
    :param stores: those that are open already, for all jobs of a task; others are added.
    """

    hook: VideoHook
    job_id: str
    destination: str
    rules: DeliveryRules
    journal: Journal
    stores: dict[tuple[str, str | None, str], ObjectStore] = field(default_factory=dict)

    def deliver(self, outputs: Sequence[VideoOutput]) -> Iterator[DeliveredFile]:
        """
        Deliver the outputs, and yield each file as soon as it is stored.

        :raises VideoConfigurationError: two outputs would have one key; nothing has been transferred then.
        :raises VideoTransferError: a file could not be delivered; those before it stay.
        """
        locations = self._locate(outputs)
        if uses_extension(self.destination) and not all(named_extension(output) for output in outputs):
            found = [self._find_extension(output, where) for output, where in zip(outputs, locations, strict=True)]
            locations = self._locate(outputs, found)
        for output, location in zip(outputs, locations, strict=True):
            delivered = self._delivery(output, location).deliver()
            if delivered.transferred:
                count_delivered(self.hook.vendor, delivered.transferred)
            yield delivered

    def _locate(self, outputs: Sequence[VideoOutput], extensions: Sequence[str | None] = ()) -> list[Location]:
        return locate(
            self.destination, vendor=self.hook.vendor, job_id=self.job_id, outputs=outputs, extensions=extensions
        )

    def _find_extension(self, output: VideoOutput, usual: Location) -> str | None:
        """Return the extension that a file's first bytes show; None where the vendor, or what is stored, tells it."""
        if named_extension(output) is not None or self._delivery(output, usual).is_stored():
            return None
        with naming(self.hook.vendor, self.job_id, output, _CONNECTION.sub("//", self.destination, count=1)):
            head = read_head(output, self._refresh(output), self.rules.download)
            MediaCheck(output.kind, self.rules.checks).start(head)
        found = find_format(head, output.kind)
        return found.extension if found else None

    def _delivery(self, output: VideoOutput, location: Location) -> Delivery:
        place = (location.scheme, location.conn_id, location.bucket)
        if place not in self.stores:
            self.stores[place] = open_store(location)
        return Delivery(
            output,
            vendor=self.hook.vendor,
            job_id=self.job_id,
            location=location,
            store=self.stores[place],
            refresh=self._refresh(output),
            rules=self.rules,
            journal=self.journal,
        )

    def _refresh(self, output: VideoOutput) -> partial[VideoOutput]:
        return partial(self.hook.refresh_output, self.job_id, output)
