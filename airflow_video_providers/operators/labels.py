# SPDX-License-Identifier: Apache-2.0
"""What the grid shows of a mapped task: the video's name and the vendor, in place of a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_video_providers.operators.rendering import RenderedTask
from airflow_video_providers.text.redaction import clean_label

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from airflow_video_providers.jobs import VideoJob

TEMPLATE = "{{ task.map_label }}"
"""The ``map_index_template`` of a task that has none of its own."""
NATIVE_TEMPLATE = "{{ task.quoted_map_label }}"
"""The same where Airflow renders to native objects: it takes off the quotes, and makes nothing else of the label."""
LONGEST_LABEL = 80
_MOST_UPSTREAM = 3
_NAMES = ("title", "name", "promptText", "prompt")


class LabelledTask(RenderedTask):
    """
    Gives a mapped task the label ``Ada · example`` unless it has a ``map_index_template`` of its own.

    To be put before ``BaseOperator`` among the bases of an operator.

    :ivar label_parts: what the label is made of, as far as it is known: the video's name or the job's id, the vendor.
    """

    label_parts: tuple[str | None, str | None] = (None, None)
    _map_index: int | None = None
    _shown_label: str | None = None

    def after_rendering(self, context: Context) -> None:
        """Set the label, which Airflow renders right afterwards, and again when the task ends."""
        super().after_rendering(context)
        index = getattr(context.get("ti"), "map_index", None)
        if index is not None and index >= 0 and context.get("map_index_template") is None:
            self._map_index = index
            self.label_parts = self._first_label()
            context["map_index_template"] = NATIVE_TEMPLATE if self.dag.render_template_as_native_obj else TEMPLATE
            self._shown_label = self.map_label

    def _first_label(self) -> tuple[str | None, str | None]:
        """Return what is known of the label before the task runs; it must not raise."""
        return (None, None)

    @property
    def map_label(self) -> str:
        """The label: a name (else an id, else the map index), and the vendor."""
        name, vendor = self.label_parts
        shown = clean_label(name, longest=LONGEST_LABEL) if name else ""
        return " · ".join(part for part in (shown or str(self._map_index), vendor) if part)

    @property
    def quoted_map_label(self) -> str:
        """The label as a text of Python: the title ``7 # seven`` would else be the number 7, which Airflow refuses."""
        return repr(self.map_label)

    def label_with(self, job: VideoJob) -> None:
        """
        Show what a poll has told: the video's name.

        Airflow itself sends a new label only when a task succeeds on a worker, not when it defers or is rescheduled.
        """
        before = self.label_parts[0] if self.label_parts[0] != job.job_id else None
        self.label_parts = (job.name or before or job.job_id, job.vendor)
        self._show_label()

    def label_as_upstream(self, context: Context, job_id: str, vendor: str) -> None:
        """
        Show the name of the video that a task right before this one has recorded, in its XCom ``video_job``.

        For a mapped task that polls no job itself.
        """
        if self._map_index is None:
            return
        name = self.label_parts[0]
        if name in (None, job_id):
            name = name_upstream(self, context, job_id) or job_id
        self.label_parts = (name, vendor)
        self._show_label()

    def _show_label(self) -> None:
        if self._shown_label is None or self._shown_label == self.map_label:
            return
        self._shown_label = self.map_label
        try:
            from airflow.sdk.execution_time.comms import SetRenderedMapIndex
            from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

            SUPERVISOR_COMMS.send(msg=SetRenderedMapIndex(rendered_map_index=self._shown_label))
        except Exception:  # a label is no reason to fail: outside of a worker, or in a later Airflow
            return


def name_in(request: Any) -> str | None:
    """Return the name of the video that a request asks for, as far as its fields tell it."""
    if not isinstance(request, Mapping):
        return None
    texts = (request.get(name) for name in _NAMES)
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), None)


def name_upstream(task: BaseOperator, context: Context, job_id: str) -> str | None:
    """
    Return the name of a job's video as a task right before this one has recorded it, in its XCom ``video_job``.

    It asks Airflow once for each of at most 3 such tasks. None: none of them has; a name is no reason to fail.
    """
    for task_id in sorted(task.upstream_task_ids)[:_MOST_UPSTREAM]:
        try:
            ti = context["ti"]
            job = ti.xcom_pull(task_ids=task_id, key="video_job", map_indexes=ti.map_index)
        except Exception:
            return None
        if isinstance(job, Mapping) and job.get("job_id") == job_id and isinstance(job.get("name"), str):
            return clean_label(job["name"], longest=LONGEST_LABEL) or None
    return None


def label_of_job(job_id: Any) -> tuple[str | None, str | None]:
    """Return the label of a job that is given by its id, or by the XCom ``video_job``."""
    if isinstance(job_id, Mapping):
        name, vendor = job_id.get("name") or job_id.get("job_id"), job_id.get("vendor")
        return (str(name) if name else None, str(vendor) if vendor else None)
    return (str(job_id) if job_id else None, None)
