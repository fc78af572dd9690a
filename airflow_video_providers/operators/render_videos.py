# SPDX-License-Identifier: Apache-2.0
"""Render a whole list of videos in one task, each submitted exactly once, and deliver the files."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralError, TaskDeferralTimeout

from airflow_video_providers.bulk.manifest import fixed_folder
from airflow_video_providers.bulk.task import BulkTask, Settings
from airflow_video_providers.delivery.destination import check_template, parse_location
from airflow_video_providers.delivery.selection import check_outputs
from airflow_video_providers.exceptions import RenderVideosError, VideoConfigurationError
from airflow_video_providers.links import VideoManifestLink, videos_page
from airflow_video_providers.operators.arguments import (
    TextFields,
    as_seconds,
    check_checks,
    check_conn_id,
    check_count,
    check_flag,
    check_if_exists,
    check_max_bytes,
    check_text,
    is_final,
)
from airflow_video_providers.operators.errors import fail_briefly
from airflow_video_providers.operators.labels import LabelledTask
from airflow_video_providers.operators.video_job import DEFAULT_TIMEOUT
from airflow_video_providers.submission.cancel import CancelPolicy
from airflow_video_providers.submission.submit import OnAmbiguous
from airflow_video_providers.submission.task_state import stopped_by_a_clear
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import BaseOperatorLink, Context

    from airflow_video_providers.delivery.media_check import Checks
    from airflow_video_providers.hooks.base import VideoHook

ON_CLEAR = ("all", "failed")
DEFERRAL_GRACE = 600.0
"""Seconds after the last deadline at which Airflow itself ends a deferral that no triggerer takes care of."""


class FinalRenderVideosError(RenderVideosError, AirflowFailException):
    """The same, where a retry could not change anything."""


class RenderVideosOperator(LabelledTask, TextFields, BaseOperator):
    """
    Render many videos at one vendor, a rolling window of them at a time, and deliver each as it is done.

    Each item keeps what ``SubmitVideoJobOperator`` promises for one: a retry adopts what runs, delivers what is
    rendered, submits again what failed for a reason that may pass, and never submits twice. Everything is read and
    checked before anything is submitted. One item's failure does not stop the others, up to ``max_failures``.

    Returns ``{"requested", "succeeded", "failed", "ambiguous", "cancelled", "bytes", "cost", "manifest"}``; the
    manifest, a line of JSON for each item, is replaced about once a minute while the task runs, and its URI is in the
    XCom ``manifest`` from the start.

    :param conn_id: the Airflow connection of the vendor. (templated)
    :param requests: a list of requests, or the URI of a ``.jsonl``, ``.ndjson`` or ``.csv`` file in any store that
        deliveries can go to. An item is ``{"id": ..., "request": {...}}`` or a bare request. (templated)
    :param destination: where each item's files go, with ``{id}`` or ``{job_id}`` in it, e.g.
        ``s3://my_aws@bucket/videos/{id}.{ext}``; None: render only. (templated)
    :param manifest: the URI of the manifest. Default:
        ``_manifests/{dag_id}/{run_id}/{task_id}[.{map_index}].jsonl`` below the fixed part of ``destination``; it must
        be given where that is None. (templated)
    :param request_template: Jinja that makes the JSON of a request of a ``row``: of CSV, or of a bare mapping.
    :param max_active: renders at a time at the vendor (default 10).
    :param max_failures: how many items may fail, a whole number, or a share of all below 1 (default 0). Ambiguous and
        cancelled ones count. One more stops the task: nothing new is submitted, what runs is cancelled
        (``cancel_on_timeout``), and the task fails.
    :param on_clear: ``all``: a clear renders all items again. ``failed``: those that failed or were cancelled.
    :param deferrable: wait in the triggerer while nothing is to be submitted or delivered. Default:
        ``[operators] default_deferrable``.
    :param outputs: what is delivered of each item, as in ``VideoToObjectStorageOperator``.
    :param if_exists: what becomes of an object that is there already, as in ``VideoToObjectStorageOperator``.
    :param max_bytes: a larger file is refused (default: 100 GiB, or 512 MiB where nobody says the length).
    :param checks: ``strict`` (default) or ``length``, as in ``VideoToObjectStorageOperator``.
    :param streams: ranges read at once from a large file (default 4).
    :param poll_interval: longest time between two polls of a job, in seconds (default 120).
    :param timeout: how long one render may take, from its submission; seconds or a timedelta, default 6 hours.
    :param cancel_on_kill: cancel what runs when a user fails, succeeds or clears the task.
    :param cancel_on_timeout: cancel a render whose time is over, and what runs when the task fails.
    :param callback: ask the vendor to call Airflow when a render has ended (default False), as in
        ``SubmitVideoJobOperator``.
    :param on_ambiguous: for items whose outcome cannot be known: ``fail`` counts them, ``resubmit`` may pay twice.
    :raises VideoConfigurationError: an argument or an item cannot work; nothing was submitted.
    :raises RenderVideosError: more items failed than ``max_failures`` allows. A retry goes on with them.
    :raises VideoApiError: what concerns all: a wrong key, no permission, no credit.
    """

    template_fields: Sequence[str] = ("conn_id", "requests", "destination", "manifest")
    text_fields: ClassVar[Sequence[str]] = ("conn_id", "destination", "manifest")
    template_fields_renderers: ClassVar[dict[str, str]] = {"requests": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (VideoManifestLink(),)
    ui_color = "#e0e4f7"

    def __init__(
        self,
        *,
        conn_id: str,
        requests: Any,
        destination: str | None = None,
        manifest: str | None = None,
        request_template: str | None = None,
        max_active: int = 10,
        max_failures: float = 0,
        on_clear: str = "all",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        outputs: str | Sequence[str] = ("video",),
        if_exists: str = "skip",
        max_bytes: int | None = None,
        checks: Checks = "strict",
        streams: int = 4,
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        cancel_on_kill: bool = True,
        cancel_on_timeout: bool = True,
        on_ambiguous: OnAmbiguous = "fail",
        callback: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.requests = requests
        self.destination = destination
        self.manifest = manifest
        self.request_template = request_template
        self.max_active = max_active
        self.max_failures = max_failures
        self.on_clear = on_clear
        self.deferrable = deferrable
        self.outputs = outputs
        self.if_exists = if_exists
        self.max_bytes = max_bytes
        self.checks = checks
        self.streams = streams
        self.poll_interval = as_seconds("poll_interval", poll_interval)
        self.timeout = as_seconds("timeout", timeout)
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_timeout = cancel_on_timeout
        self.on_ambiguous = on_ambiguous
        self.callback = callback
        check_count("max_active", max_active, least=1)
        check_count("streams", streams, least=1)
        check_if_exists(if_exists)
        check_max_bytes(max_bytes)
        check_checks(checks)
        for name in ("deferrable", "cancel_on_kill", "cancel_on_timeout", "callback"):
            check_flag(name, getattr(self, name))
        check_max_failures(max_failures)
        if on_clear not in ON_CLEAR:
            raise VideoConfigurationError(f'on_clear must be "all" or "failed", not {on_clear!r}')
        if on_ambiguous not in ("fail", "resubmit"):
            raise VideoConfigurationError(f'on_ambiguous must be "fail" or "resubmit", not {on_ambiguous!r}')
        check_outputs(outputs)
        self.take_texts()
        self._check(rendered=False)
        self.manifest_url: str | None = None
        self._task: BulkTask | None = None

    def _check(self, *, rendered: bool) -> None:
        if rendered or is_final(self.conn_id):
            check_conn_id(self.conn_id)
        for name in ("destination", "manifest"):
            if rendered or is_final(getattr(self, name)):
                check_text(name, getattr(self, name))
        if self.destination is None:
            if self.manifest is None:
                raise VideoConfigurationError("Give manifest, the URI of the list of results, or destination.")
            return
        if rendered or is_final(self.destination):
            if "{id}" not in self.destination and "{job_id}" not in self.destination:
                raise VideoConfigurationError(
                    f"destination {self.destination!r} must hold {{id}} or {{job_id}}, so that each item has its own."
                )
            check_template(self.destination.replace("{id}", "x"))

    @cached_property
    def hook(self) -> VideoHook:
        """The vendor's hook."""
        from airflow_video_providers.hooks.base import get_video_hook

        return get_video_hook(self.conn_id)

    # ------------------------------------------------------------------ what Airflow calls

    @fail_briefly
    def execute(self, context: Context) -> dict[str, Any]:
        """Render and deliver; see the class for what is returned and raised."""
        return self._work(context, None)

    @fail_briefly
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Go on after a deferral: what the trigger saw is checked against the ledger."""
        return self._work(context, event)

    @fail_briefly
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on where Airflow ended the deferral (no triggerer in time, a crashed trigger): a worker polls then."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            self.log.warning("The deferral ended (%s); going on in this worker.", error)
            return self._work(context, None)

    def on_kill(self) -> None:
        """Cancel what runs if a user ended the task; called while the task is interrupted."""
        if self._task is not None:
            self._task.kill()

    # ------------------------------------------------------------------ the work

    def _work(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        self._check(rendered=True)
        task = self._task = BulkTask(self.hook, context, self._settings(), render=self._renderer(context))
        context["ti"].xcom_push(key="manifest", value=task.manifest.uri)
        self.manifest_url = task.manifest.console_url or videos_page()
        context["ti"].xcom_push(key=VideoManifestLink.xcom_key, value=self.manifest_url)
        self.log.info("Manifest: %s", task.manifest.uri)
        try:
            with stopped_by_a_clear(context["ti"]):
                done = task.run(event, may_leave=self.deferrable)
                if not done:
                    self._defer(context, task)
        finally:
            task.close()
        report = task.report
        summary = report.summary()
        self.log.info("%s", report.describe())
        if report.failed_too_many():
            kind = RenderVideosError if report.could_retry() else FinalRenderVideosError
            raise kind(f"{report.describe()}. The manifest names each: {task.manifest.uri}", summary=summary)
        self._tell_outlets(context, summary)
        return summary

    def _first_label(self) -> tuple[str | None, str | None]:
        """Label a mapped shard with the name of its list, or with how many videos it has, and the vendor."""
        name = f"{len(self.requests)} videos" if isinstance(self.requests, (list, tuple)) else None
        if isinstance(self.requests, str):
            name = self.requests.rpartition("/")[2] or None
        with suppress(Exception):  # execute tells of it
            return (name, self.hook.vendor)
        return (name, None)

    def _settings(self) -> Settings:
        return Settings(
            conn_id=self.conn_id,
            requests=self.requests,
            destination=self.destination,
            manifest=self.manifest,
            max_active=self.max_active,
            max_failures=self.max_failures,
            on_clear=self.on_clear,
            outputs=self.outputs,
            if_exists=self.if_exists,
            max_bytes=None if self.max_bytes is None else int(self.max_bytes),
            checks=self.checks,
            streams=self.streams,
            poll_interval=self.poll_interval,
            timeout=self.timeout,
            policy=CancelPolicy(on_kill=self.cancel_on_kill, on_timeout=self.cancel_on_timeout),
            resubmit_ambiguous=self.on_ambiguous == "resubmit",
            deployment=conf.get("api", "base_url", fallback="") or "",
            callback=self.callback,
        )

    def _renderer(self, context: Context) -> Any:
        if self.request_template is None:
            return None
        template = self.get_template_env().from_string(self.request_template)

        def render(row: Mapping[str, Any]) -> Any:
            text = template.render({**context, "row": row})
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                raise VideoConfigurationError(f"request_template makes no JSON: {error}: {text[:200]!r}") from None

        return render

    def _defer(self, context: Context, task: BulkTask) -> None:
        from airflow_video_providers.triggers.video_jobs import VideoJobsTrigger

        task.check_wanted()
        jobs = task.waiting_jobs()
        latest = max(job["deadline"] for job in jobs)
        self.defer(
            trigger=VideoJobsTrigger(
                conn_id=self.conn_id,
                jobs=jobs,
                poll_interval=self.poll_interval,
                wake_at=task.wake_at(),
                deferred_at=time.time(),
                seed=task.seed,
                cancel_on_kill=self.cancel_on_kill,
                callback=self.callback,
                usual=task.usual,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, latest - time.time()) + DEFERRAL_GRACE),
        )

    # ------------------------------------------------------------------ what others learn of it

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Name the file of requests as input; as output the manifest, and the folder of the videos with its size."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        inputs, outputs = [], []
        if isinstance(self.requests, str):
            namespace, name = _named(parse_location(self.requests).uri)
            inputs.append(Dataset(namespace=namespace, name=name))
        if self._task is not None:
            report = self._task.report
            namespace, name = _named(self._task.manifest.uri)
            outputs.append(OutputDataset(namespace=namespace, name=name))
            if self.destination is not None:
                size, count = report.delivered()
                facet = OutputStatisticsOutputDatasetFacet(size=size, fileCount=count)
                folder = parse_location(fixed_folder(self.destination) + "x").uri.removesuffix("/x")
                namespace, name = _named(folder)
                outputs.append(OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": facet}))
        return OperatorLineage(inputs=inputs, outputs=outputs)

    def _tell_outlets(self, context: Context, summary: dict[str, Any]) -> None:
        from airflow.sdk.definitions.asset import Asset, AssetAlias, AssetRef

        for outlet in self.outlets or ():
            if isinstance(outlet, (Asset, AssetAlias, AssetRef)):
                context["outlet_events"][outlet].extra["videos"] = summary


def _named(uri: str) -> tuple[str, str]:
    """Return a URI as namespace and name, as OpenLineage names the objects of a store."""
    scheme, _, path = uri.partition("://")
    bucket, _, key = path.partition("/")
    return (f"{scheme}://{bucket}", key) if bucket else (scheme, f"/{key}")


def check_max_failures(value: Any) -> None:
    """Refuse what is neither a whole number of items nor a share below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise VideoConfigurationError(f"max_failures must be a whole number or a share below 1, not {value!r}")
    if isinstance(value, float) and ((value >= 1 and value != int(value)) or value == 1.0):
        raise VideoConfigurationError(
            f"max_failures={value!r} is unclear: give a whole number of items, or a share of all below 1."
        )
