# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub's endpoints, one method each, with every parameter that the manual lists (mediahub.xvid.com/manual)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from typing_extensions import TypedDict, Unpack

from airflow_video_providers.api.paths import query_of
from airflow_video_providers.api.redirects import redirect_target
from airflow_video_providers.exceptions import VideoApiUnavailableError, VideoApiUnreadableAnswerError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.lists import pages
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.schemas import VendorModel
from airflow_video_providers.hooks.xvid import schemas as schema
from airflow_video_providers.hooks.xvid.client import decode
from airflow_video_providers.hooks.xvid.requests import XvidJobRequest, XvidWholeRequest
from airflow_video_providers.text.redaction import clean_document

Model = TypeVar("Model", bound=VendorModel)

PAGE_SIZE = 1000
"""Xvid's own default; it allows 5000."""


class AnswerOptions(TypedDict, total=False):
    """
    What every endpoint takes about the form of its response.

    ``format``: ``json`` (default) or ``xml``; both give the same models. ``human``: a form for people to read; where it
    is not JSON, the call fails. ``show_null``: empty keys too. ``expand``: names of objects to put in place of their
    pointers, e.g. ``("file", "preset")``. ``expand_all``: all of them.
    """

    format: Literal["json", "xml"]
    human: bool
    show_null: bool
    expand: str | Sequence[str]
    expand_all: bool


class ListOptions(AnswerOptions, total=False):
    """
    What every list takes beside: ``start`` (default 0) and ``limit`` (default 1000, at most 5000) cut out a page.

    ``sort`` is the name of a key, e.g. ``created_at``; ``direction`` 1 (default, ascending) or -1.
    """

    start: int
    limit: int
    sort: str
    direction: Literal[1, -1]


class XvidEndpoints(VideoHook, abstract=True):
    """
    The calls of the API below the contract of :class:`VideoHook`.

    Every method raises :class:`VideoApiError`, whose subclass is the cause. Reading calls are tried again on 429, 5xx
    and connection errors until the connection's ``retry_deadline``; creating and deleting ones are not.
    """

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return XvidWholeRequest if "job" in request else XvidJobRequest

    # ------------------------------------------------------------------ jobs

    def create_job(self, job: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.CreatedJob:
        """Submit one render (``POST /jobs/``): ``job`` is the content of the body's ``job``."""
        return self._ask(schema.CreatedJob, "POST", "/jobs/", options, envelope="job", json={"job": dict(job)})

    def read_job(self, job_id: str, *, user_data: str | None = None, **options: Unpack[AnswerOptions]) -> schema.Job:
        """Read one job (``GET /jobs/ID``); ``user_data`` filters as in the list."""
        params = {"user_data": user_data}
        return self._ask(schema.Job, "GET", "/jobs/{id}", options, id=job_id, envelope="job", params=params)

    def list_jobs(
        self,
        *,
        user_data: str | None = None,
        status: str | None = None,
        inprogress: bool | None = None,
        autograph: bool | None = None,
        pipeline_id: str | None = None,
        input_file_name: str | None = None,
        bin_data: bool | str | None = None,
        **options: Unpack[ListOptions],
    ) -> schema.JobPage:
        """
        Read one page of the jobs (``GET /jobs/``).

        :param user_data: only jobs that carry this text.
        :param status: e.g. ``SUCCESS``.
        :param inprogress: only jobs that run, or that finished in the last 15 minutes.
        :param autograph: only jobs with or without a watermark.
        :param pipeline_id: only jobs of this pipeline.
        :param input_file_name: a part of the input's name, upper and lower case alike.
        :param bin_data: passed on as it is; the manual names it only.
        """
        params = {
            "user_data": user_data,
            "status": status,
            "inprogress": inprogress,
            "autograph": autograph,
            "pipeline.id": pipeline_id,
            "input.file.name": input_file_name,
            "bin_data": bin_data,
        }
        return self._ask(schema.JobPage, "GET", "/jobs/", options, params=params)

    def iterate_jobs(self, **filters: Any) -> Iterator[schema.Job]:
        """Yield all jobs that match and can be read, the oldest first; ``filters`` as in :meth:`list_jobs`."""
        return (job for job in self._listed_jobs(**filters) if isinstance(job, schema.Job))

    def _listed_jobs(self, *, page_size: int = PAGE_SIZE, **filters: Any) -> Iterator[Any]:
        """Yield all jobs that match, the oldest first and each once: read, or as they came where they cannot be."""
        seen: set[str] = set()

        def read(start: int | None) -> tuple[list[Any], int | None]:
            start = start or 0
            page = self.list_jobs(start=start, limit=page_size, sort="created_at", direction=1, **filters)
            items = [*page.jobs, *page.unreadable]
            end = start + len(items)
            # The server may cap a page below what was asked for, and say so; a page with nothing new is the end.
            more = len(items) >= min(page_size, page.limit or page_size) or end < (page.total or 0)
            fresh = [item for item in items if _name(item) not in seen]
            seen.update(map(_name, fresh))
            return fresh, end if more and fresh else None

        return pages(read, vendor=self.vendor, endpoint="GET /jobs/")

    def delete_job(self, job_id: str) -> None:
        """
        Cancel a running job, or delete a finished one TOGETHER WITH ITS FILES (``DELETE /jobs/ID``).

        Sent once, whatever happens. Use :meth:`cancel_job` to end a job: it polls first.

        :raises VideoApiUnavailableError: also where Xvid answers, but not that it succeeded.
        """
        deletion = self.fetch(schema.Deletion, "DELETE", "/jobs/{id}", id=job_id, once=True)
        if deletion.result is not None and deletion.result.status != "SUCCESS":
            raise VideoApiUnavailableError(
                f"the result is {deletion.result.status}",
                vendor=self.vendor,
                endpoint="DELETE /jobs/{id}",
                outcome_unknown=True,
            )

    # ------------------------------------------------------------------ job templates

    def create_job_template(self, template: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.Template:
        """Save job settings (``POST /jobs/templates/``): ``name``, ``job_settings``, optionally ``description``."""
        body = {"template": dict(template)}
        return self._ask(schema.Template, "POST", "/jobs/templates/", options, envelope="template", json=body)

    def read_job_template(self, template_id: str, **options: Unpack[AnswerOptions]) -> schema.Template:
        """Read one job template (``GET /jobs/templates/ID``)."""
        return self._ask(schema.Template, "GET", "/jobs/templates/{id}", options, id=template_id, envelope="template")

    def list_job_templates(self, **options: Unpack[ListOptions]) -> schema.TemplatePage:
        """Read one page of the job templates (``GET /jobs/templates/``)."""
        return self._ask(schema.TemplatePage, "GET", "/jobs/templates/", options)

    def update_job_template(
        self, template_id: str, template: Mapping[str, Any], **options: Unpack[AnswerOptions]
    ) -> schema.Template:
        """Change a job template (``PUT /jobs/templates/ID``): fields left out stay, fields set to None are emptied."""
        body, path = {"template": dict(template)}, "/jobs/templates/{id}"
        return self._ask(schema.Template, "PUT", path, options, id=template_id, envelope="template", json=body)

    # ------------------------------------------------------------------ files

    def read_file(self, file_id: str, **options: Unpack[AnswerOptions]) -> schema.File:
        """Read what is known of one file (``GET /files/ID``)."""
        return self._ask(schema.File, "GET", "/files/{id}", options, id=file_id, envelope="file")

    def list_files(
        self,
        *,
        job_id: str | None = None,
        pipeline_id: str | None = None,
        type: Literal["file", "folder", "archive"] | None = None,
        **options: Unpack[ListOptions],
    ) -> schema.FilePage:
        """Read one page of the files (``GET /files/``), of one job, pipeline or type where given."""
        params = {"job.id": job_id, "pipeline.id": pipeline_id, "type": type}
        return self._ask(schema.FilePage, "GET", "/files/", options, params=params)

    def get_download_links(
        self,
        file_id: str | None = None,
        *,
        redirect: bool = True,
        object_key: str | None = None,
        pipeline_id: str | None = None,
        expiry_time: datetime | int | None = None,
        autograph_tag: str | None = None,
        expert_mode: bool | None = None,
        streaming: bool | None = None,
        max_parallel_downloads: int | None = None,
        anti_fraud: bool | None = None,
        ip: int | None = None,
        format: Literal["json", "xml"] | None = None,
        human: bool | None = None,
    ) -> list[str]:
        """
        Mint the temporary links of a file (``GET /files/downloads/``): one, or one for each item of an archive.

        A link needs no token and must not be sent one. It is a credential: keep it out of logs and XCom.

        :param file_id: the file; or else ``object_key`` with ``pipeline_id``.
        :param redirect: ask for a redirect, which is not followed, and take its target. Else the links are taken from
            the response's text, whose form the manual does not show: every link in it counts.
        :param expiry_time: when the links shall die, as an aware datetime or in seconds since 1970; default: Xvid's.
        :param autograph_tag: names the viewer of the copy; only for a file whose ``autograph`` is true.
        :param expert_mode: in place of a tag for such a file, as the vendor's own tools send it.
        :param streaming: play in the browser in place of a download.
        :param max_parallel_downloads: further downloads by the same user are refused.
        :param anti_fraud: Xvid's checks against shared links.
        :param ip: address of the downloader as an integer.
        :raises VideoApiNotFoundError: the file is gone; by default Xvid keeps outputs for 7 days.
        """
        endpoint = "GET /files/downloads/"
        params = {
            "file_id": file_id,
            "redirect": redirect,
            "object_key": object_key,
            "pipeline_id": pipeline_id,
            "expiry_time": int(expiry_time.timestamp()) if isinstance(expiry_time, datetime) else expiry_time,
            "autograph_tag": autograph_tag,
            "expert_mode": expert_mode,
            "streaming": streaming,
            "max_parallel_downloads": max_parallel_downloads,
            "anti_fraud": anti_fraud,
            "ip": ip,
            "format": format,
            "human": human,
        }
        response = self.client.call(
            "GET", "/files/downloads/", endpoint=endpoint, params=query_of(params), redirect_expected=True
        )
        if response.is_redirect:
            try:
                return [redirect_target(response.url, response.headers["Location"])]
            except ValueError:
                raise self._unreadable("its redirect leads to no address", endpoint) from None
        try:
            answer = clean_document(decode(response.content), self.client.secrets)
            links = links_in(answer, api=self.client.base_url)
        except ValueError as error:  # also a ContentError
            raise self._unreadable(str(error), endpoint) from None
        if not links:
            raise self._unreadable("it holds no link", endpoint)
        return links

    def _unreadable(self, problem: str, endpoint: str) -> VideoApiUnreadableAnswerError:
        return VideoApiUnreadableAnswerError(
            f"the response cannot be used: {problem}", vendor=self.vendor, endpoint=endpoint
        )

    # ------------------------------------------------------------------ uploads

    def create_upload(
        self,
        object_key: str,
        *,
        pipeline_id: str,
        expires_at: int | None = None,
        ip: int | None = None,
        **options: Unpack[AnswerOptions],
    ) -> schema.Upload:
        """
        Open an upload (``POST /files/uploads/``): step 1 of 4; :meth:`upload_media` does all.

        :param object_key: the name by which a job then reads the file, below the pipeline's root.
        :param expires_at: seconds since 1970 when an unused upload is deleted; 0: never; default: after 7 days.
        :param ip: address of the uploader as an integer, for a server nearby.
        """
        params = {"object_key": object_key, "pipeline_id": pipeline_id, "expires_at": expires_at, "ip": ip}
        return self._ask(schema.Upload, "POST", "/files/uploads/", options, envelope="upload", params=params)

    def complete_upload(self, upload_id: str, *, nb_chunks: int = 1, **options: Unpack[AnswerOptions]) -> schema.Upload:
        """Say that all ``nb_chunks`` parts of an upload have been sent (``PUT /files/uploads/ID``): step 3 of 4."""
        return self._ask(
            schema.Upload,
            "PUT",
            "/files/uploads/{id}",
            options,
            id=upload_id,
            envelope="upload",
            json={"upload": {"nb_chunks": nb_chunks}},
            repeatable=True,  # it says the same thing again
        )

    def read_upload(self, upload_id: str, **options: Unpack[AnswerOptions]) -> schema.Upload:
        """Poll an upload (``GET /files/uploads/ID``): step 4 of 4, until it is no longer ``COMPLETING``."""
        return self._ask(schema.Upload, "GET", "/files/uploads/{id}", options, id=upload_id, envelope="upload")

    # ------------------------------------------------------------------ pipelines and presets

    def create_pipeline(self, pipeline: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.Pipeline:
        """Create a pipeline (``POST /pipelines/``): where jobs read and write, and whom they tell."""
        body = {"pipeline": dict(pipeline)}
        return self._ask(schema.Pipeline, "POST", "/pipelines/", options, envelope="pipeline", json=body)

    def read_pipeline(self, pipeline_id: str, **options: Unpack[AnswerOptions]) -> schema.Pipeline:
        """Read one pipeline (``GET /pipelines/ID``)."""
        return self._ask(schema.Pipeline, "GET", "/pipelines/{id}", options, id=pipeline_id, envelope="pipeline")

    def list_pipelines(self, **options: Unpack[ListOptions]) -> schema.PipelinePage:
        """Read one page of the pipelines (``GET /pipelines/``)."""
        return self._ask(schema.PipelinePage, "GET", "/pipelines/", options)

    def create_preset(self, preset: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.Preset:
        """Create a preset (``POST /presets/``): how an output is encoded."""
        body = {"preset": dict(preset)}
        return self._ask(schema.Preset, "POST", "/presets/", options, envelope="preset", json=body)

    def read_preset(self, preset_id: str, **options: Unpack[AnswerOptions]) -> schema.Preset:
        """Read one preset (``GET /presets/ID``)."""
        return self._ask(schema.Preset, "GET", "/presets/{id}", options, id=preset_id, envelope="preset")

    def list_presets(self, **options: Unpack[ListOptions]) -> schema.PresetPage:
        """Read one page of the presets (``GET /presets/``)."""
        return self._ask(schema.PresetPage, "GET", "/presets/", options)

    # ------------------------------------------------------------------ one call

    def _ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        options: Mapping[str, Any],
        *,
        params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Model:
        """Send one call with the options that are common to all."""
        if unknown := options.keys() - ListOptions.__annotations__.keys():
            raise TypeError(f"{method} {path} takes no {', '.join(sorted(unknown))}")
        # Lists are written with commas, not as a parameter that is repeated.
        query = {
            name: ",".join(value) if isinstance(value, (list, tuple)) else value for name, value in options.items()
        }
        return self.fetch(model, method, path, params={**(params or {}), **query}, **kwargs)


def _name(item: Any) -> str:
    return item.id if isinstance(item, schema.Job) else repr(item)


def links_in(value: Any, *, api: str) -> list[str]:
    """Return every link in a decoded response, but for those that point back into the API: they want a token."""
    links: list[str] = []
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str):
            if value.startswith(("https://", "http://")) and not value.startswith(f"{api}/"):
                links.append(value)
        elif isinstance(value, dict):
            left += reversed(value.values())
        elif isinstance(value, list):
            left += reversed(value)
    return links
