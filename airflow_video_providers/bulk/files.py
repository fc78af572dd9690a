# SPDX-License-Identifier: Apache-2.0
"""The files of a bulk task's items: how each is delivered, and what a task that ends does about unfinished ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from airflow_video_providers.api.links import LinkPolicy
from airflow_video_providers.bulk.ledger import EntryJournal, Ledger
from airflow_video_providers.delivery.delivery import DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.job_files import JobFiles
from airflow_video_providers.delivery.media_check import Checks
from airflow_video_providers.delivery.names import safe_id
from airflow_video_providers.delivery.selection import select_outputs
from airflow_video_providers.delivery.source.links import wait_for_outputs
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.stores.base import ObjectStore
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.hooks.base import VideoHook

log = logging.getLogger(__name__)


class ItemFiles:
    """
    Delivers the files of items; several threads may use it. The stores are opened once for all items.

    :param destination: a template, with ``{id}`` or ``{job_id}`` in it.
    :param outputs: what is delivered of each item.
    """

    def __init__(
        self,
        hook: VideoHook,
        ledger: Ledger,
        destination: str,
        *,
        outputs: str | Sequence[str],
        if_exists: str,
        max_bytes: int | None,
        checks: Checks,
        streams: int,
    ) -> None:
        self._hook, self._ledger, self._destination, self._outputs = hook, ledger, destination, outputs
        self._conn_id = parse_location(destination.partition("{")[0] + "x").conn_id
        self._stores: dict[tuple[str, str | None, str], ObjectStore] = {}
        self._rules = DeliveryRules(
            if_exists=if_exists,
            max_bytes=max_bytes,
            checks=checks,
            log_level=logging.DEBUG,  # the task tells how many there are, once a minute
            download=DownloadSettings(
                client=hook.settings,
                streams=streams,
                plain_http=hook.base_url.lower().startswith("http:"),
                links=LinkPolicy(hook.base_url, allow_private=hook.settings.allow_private_links),
            ),
        )

    def deliver(self, number: int, job_id: str) -> list[dict[str, Any]]:
        """
        Deliver the files of an item, and return what the manifest says of them.

        :raises VideoProviderError: a file was not delivered; the text says why.
        """
        item_id = self._ledger.entries[number].item_id
        destination = self._destination.replace("{id}", _literal(safe_id(item_id)))
        offered = wait_for_outputs(lambda: self._hook.get_outputs(job_id), self._rules.download)
        outputs = select_outputs(offered, self._outputs, whose=f"{self._hook.vendor} job {job_id}")
        journal = EntryJournal(self._ledger, number)
        files = JobFiles(self._hook, job_id, destination, self._rules, journal, stores=self._stores)
        return [delivered.to_xcom() for delivered in files.deliver(outputs)]

    def abort(self, numbers: Iterable[int]) -> None:
        """Abort the unfinished uploads of items, for a task that ends and that no further try sweeps."""
        for number in numbers:
            for uri, record in list(self._ledger.entries[number].journal.items()):
                if not record.get("uploads"):
                    continue
                try:
                    location = replace(parse_location(uri), conn_id=self._conn_id)
                    left = open_store(location).sweep(location.key, record["uploads"])
                except Exception as error:  # it must not take the place of what ended the task
                    log.warning("The unfinished upload of %s was not aborted: %s", uri, error)
                else:
                    log.log(
                        logging.WARNING if left else logging.INFO, "Unfinished uploads of %s: %d left", uri, len(left)
                    )


def _literal(text: str) -> str:
    """Return a text that a template gives back as it is."""
    return text.replace("{", "{{").replace("}", "}}")
