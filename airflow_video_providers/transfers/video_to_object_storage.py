# SPDX-License-Identifier: Apache-2.0
"""Deliver the files of a finished video job to object storage: whole, verified, once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_video_providers.delivery.destination import check_template
from airflow_video_providers.delivery.selection import check_outputs, select_outputs
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.links import StoredVideoLink
from airflow_video_providers.operators.arguments import (
    TextFields,
    check_checks,
    check_conn_id,
    check_count,
    check_if_exists,
    check_max_bytes,
    check_media_type,
    check_metadata,
    check_text,
    is_final,
    job_id_of,
)
from airflow_video_providers.operators.errors import fail_briefly
from airflow_video_providers.operators.labels import LabelledTask, label_of_job

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import BaseOperatorLink, Context

    from airflow_video_providers.delivery.delivery import DeliveredFile, DeliveryRules
    from airflow_video_providers.hooks.base import VideoHook

ENCRYPTIONS = (None, "AES256", "aws:kms", "aws:kms:dsse")


class TransferKilled(BaseException):  # like KeyboardInterrupt
    """The task was killed. Not an ``Exception``: clients of stores take those for a broken connection and try again."""


class VideoToObjectStorageOperator(LabelledTask, TextFields, BaseOperator):
    """
    Store the outputs of a finished job, each as one object that is whole or not there.

    Links are minted when the transfer starts and again when they expire. Nothing becomes visible at the destination
    before length, the vendor's size and MD5, first bytes and structure have been checked. A retry skips the files
    that are already stored. On a kill the unfinished upload is aborted; one that a SIGKILL left is swept by the next
    try.

    :param conn_id: the Airflow connection of the vendor.
    :param job_id: the job's id, or the mapping that is in the XCom ``video_job``.
    :param destination: ``s3://conn_id@bucket/videos/{vendor}/{job_id}.{ext}``, also ``gs://``, ``abfs://`` and
        ``file:///``. Placeholders: ``{vendor} {job_id} {name} {kind} {label} {ext}``. Two outputs
        with one key are an error.
    :param outputs: what to store: kinds (``video thumbnail subtitles archive audio image``), each also with the label
        of one output (``video:captioned``; ``video:`` is the one without a label), or ``all``. What the job does not
        offer is an error, before anything is transferred.
    :param if_exists: ``skip`` (default): this job's own file is left alone, any other object is replaced.
        ``overwrite``: always transfer. ``fail``: any object but this job's own file is an error.
    :param streams: ranges read at once from a large file, where the server proves that this is safe (default 4).
    :param max_bytes: a larger file is refused (default: 100 GiB, or 512 MiB where nobody says the length).
    :param checks: ``strict`` (default): a file whose format or structure is not known to be good is refused.
        ``length``: it is stored with a warning, where its length is proven. Error pages are refused in both.
    :param source_conn_id: the Airflow connection for outputs that the vendor wrote into a bucket of yours (links
        ``s3://`` or ``gs://``); default: the cloud's own credentials.
    :param content_type: of the objects (default: that of the file).
    :param metadata: user metadata of the objects; keys of ASCII letters and digits that begin with a letter, values of
        printable ASCII.
    :param storage_class: S3 and GCS storage class, Azure access tier.
    :param encryption: S3 server-side encryption, ``AES256`` or ``aws:kms``.
    :param kms_key: S3 KMS key, GCS Cloud KMS key, Azure encryption scope.
    :param acl: S3 canned ACL, e.g. ``bucket-owner-full-control`` for the bucket of another account.
    :return: a list with one dictionary for each file:
        ``uri kind label size sha256 media_type duration_seconds vendor job_id store_conn_id``. ``sha256`` is None only
        where a file of an earlier run was found whose digest nobody kept.
    :raises VideoConfigurationError: wrong arguments; found when the DAG is parsed, where they need no rendering.
    :raises VideoTransferError: a file was not delivered; the text says why. Files delivered before it stay.
    """

    template_fields: Sequence[str] = (
        "conn_id", "job_id", "destination", "outputs", "if_exists", "max_bytes", "checks", "source_conn_id",
        "content_type", "metadata", "storage_class", "encryption", "kms_key", "acl",
    )  # fmt: skip
    text_fields: ClassVar[Sequence[str]] = (
        "conn_id", "destination", "source_conn_id", "content_type", "metadata", "storage_class", "kms_key", "acl",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {"metadata": "json", "job_id": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (StoredVideoLink(),)
    ui_color = "#d6ebe0"

    def __init__(
        self,
        *,
        conn_id: str,
        job_id: str | Mapping[str, Any],
        destination: str,
        outputs: str | Sequence[str] = ("video",),
        if_exists: str = "skip",
        streams: int = 4,
        max_bytes: int | None = None,
        checks: str = "strict",
        source_conn_id: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        encryption: str | None = None,
        kms_key: str | None = None,
        acl: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.job_id = job_id
        self.destination = destination
        self.outputs = outputs
        self.if_exists = if_exists
        self.streams = streams
        self.max_bytes = max_bytes
        self.checks = checks
        self.source_conn_id = source_conn_id
        self.content_type = content_type
        self.metadata = metadata
        self.storage_class = storage_class
        self.encryption = encryption
        self.kms_key = kms_key
        self.acl = acl
        self.stored_video_url: str | None = None
        self._delivered: list[DeliveredFile] = []
        self._running = False
        check_count("streams", streams, least=1)
        self.take_texts()
        self._check_arguments(rendered=False)

    @fail_briefly
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Store the files; see the class for what is returned and raised."""
        from airflow_video_providers.delivery.job_files import JobFiles
        from airflow_video_providers.delivery.journal import open_journal
        from airflow_video_providers.delivery.source.links import wait_for_outputs
        from airflow_video_providers.hooks.base import get_video_hook

        self._check_arguments(rendered=True)
        hook = get_video_hook(self.conn_id)
        job_id = job_id_of(self.job_id)
        self.label_as_upstream(context, job_id, hook.vendor)
        self._delivered = []
        self._running = True
        try:
            rules = self._rules(hook)
            offered = wait_for_outputs(lambda: hook.get_outputs(job_id), rules.download)
            outputs = select_outputs(offered, self.outputs, whose=f"{hook.vendor} job {job_id}")
            files = JobFiles(hook, job_id, self.destination, rules, open_journal(context))
            for delivered in files.deliver(outputs):
                self._delivered.append(delivered)
                self._show(context, delivered)
        finally:
            self._running = False
        xcom = [delivered.to_xcom() for delivered in self._delivered]
        self._tell_outlets(context, xcom)
        return xcom

    def on_kill(self) -> None:
        """
        Unwind a running transfer, which aborts its unfinished upload.

        Airflow calls this from its signal handler in the thread that transfers, and ends the process about 5 seconds
        later: an exception is what reaches that thread wherever it waits.
        """
        if self._running:
            self._running = False
            raise TransferKilled("the task was killed; the unfinished upload is aborted")

    # ------------------------------------------------------------------ steps

    def _first_label(self) -> tuple[str | None, str | None]:
        return label_of_job(self.job_id)

    def _show(self, context: Context, delivered: DeliveredFile) -> None:
        """Let the button lead to the first file that is stored, at once: a task that fails at the next one keeps it."""
        name, _ = self.label_parts
        self.label_parts = (name or delivered.job_id, delivered.vendor)
        if self.stored_video_url is None and delivered.console_url is not None:
            self.stored_video_url = delivered.console_url
            context["ti"].xcom_push(key=StoredVideoLink.xcom_key, value=delivered.console_url)

    def _rules(self, hook: VideoHook) -> DeliveryRules:
        from airflow_video_providers.api.links import LinkPolicy
        from airflow_video_providers.delivery.delivery import DeliveryRules
        from airflow_video_providers.delivery.source.patience import DownloadSettings
        from airflow_video_providers.delivery.stores.base import ObjectAttributes

        return DeliveryRules(
            if_exists=self.if_exists,
            max_bytes=None if self.max_bytes is None else int(self.max_bytes),
            checks="length" if self.checks == "length" else "strict",
            attributes=ObjectAttributes(
                content_type=self.content_type or "",
                metadata=dict(self.metadata or {}),
                storage_class=self.storage_class,
                encryption=self.encryption,
                kms_key=self.kms_key,
                acl=self.acl,
            ),
            download=DownloadSettings(
                client=hook.settings,
                streams=self.streams,
                plain_http=hook.base_url.lower().startswith("http:"),
                links=LinkPolicy(hook.base_url, allow_private=hook.settings.allow_private_links),
                store_conn_id=self.source_conn_id,
            ),
        )

    def _check_arguments(self, *, rendered: bool) -> None:
        """Check what is known: everything when rendered, at parse time all that is no template or XCom reference."""
        if rendered or is_final(self.conn_id):
            check_conn_id(self.conn_id)
        if rendered or is_final(self.job_id):
            job_id_of(self.job_id)
        if rendered or is_final(self.destination):
            check_template(self.destination)
        for name, check in (("if_exists", check_if_exists), ("max_bytes", check_max_bytes), ("checks", check_checks)):
            if rendered or is_final(getattr(self, name)):
                check(getattr(self, name))
        if rendered or is_final(self.outputs):
            check_outputs(self.outputs)
        if self.source_conn_id is not None and (rendered or is_final(self.source_conn_id)):
            check_conn_id(self.source_conn_id, "source_conn_id")
        if rendered or is_final(self.content_type):
            check_media_type("content_type", self.content_type)
        for name in ("storage_class", "kms_key", "acl"):
            if rendered or is_final(getattr(self, name)):
                check_text(name, getattr(self, name))
        if self.metadata is not None and (rendered or is_final(self.metadata)):
            check_metadata(self.metadata)
        if (rendered or is_final(self.encryption)) and self.encryption not in ENCRYPTIONS:
            raise VideoConfigurationError(
                f"encryption must be AES256, aws:kms or aws:kms:dsse, not {self.encryption!r}"
            )

    # ------------------------------------------------------------------ what others learn of it

    def _tell_outlets(self, context: Context, files: list[dict[str, Any]]) -> None:
        from airflow.sdk.definitions.asset import Asset, AssetAlias, AssetRef

        for outlet in self.outlets or ():
            if isinstance(outlet, (Asset, AssetAlias, AssetRef)):  # else an entity of lineage, which has no events
                context["outlet_events"][outlet].extra["files"] = files  # type: ignore[assignment]  # plain JSON values

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Name the job at the vendor as input and each stored object as output, with its size."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        inputs = {(delivered.vendor, delivered.job_id) for delivered in self._delivered}
        outputs = []
        for delivered in self._delivered:
            scheme, _, path = delivered.uri.partition("://")
            bucket, _, key = path.partition("/")
            outputs.append(
                OutputDataset(
                    namespace=f"{scheme}://{bucket}" if bucket else scheme,
                    name=key if bucket else f"/{key}",
                    outputFacets={
                        "outputStatistics": OutputStatisticsOutputDatasetFacet(size=delivered.size, fileCount=1)
                    },
                )
            )
        return OperatorLineage(
            inputs=[Dataset(namespace=vendor, name=f"jobs/{job_id}") for vendor, job_id in sorted(inputs)],
            outputs=outputs,
        )
