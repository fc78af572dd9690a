# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub's endpoints, one method each, with every parameter that the manual lists (mediahub.xvid.com/manual)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import urljoin

from typing_extensions import TypedDict, Unpack

from airflow_video_providers.api.content import decode_json
from airflow_video_providers.api.redaction import clean_document
from airflow_video_providers.exceptions import VideoApiUnavailableError, VideoApiUnreadableAnswerError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.common import id_in_path
from airflow_video_providers.hooks.schemas import VendorModel
from airflow_video_providers.hooks.xvid import schemas as schema
from airflow_video_providers.hooks.xvid.wire import encoded, links_in
from airflow_video_providers.hooks.xvid.xml import parse_xml

Model = TypeVar("Model", bound=VendorModel)

PAGE_SIZE = 1000
"""Xvid's own default; it allows 5000."""


class AnswerOptions(TypedDict, total=False):
    """
    What every endpoint takes about the form of its answer.

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

    # ------------------------------------------------------------------ jobs

    def create_job(self, job: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.CreatedJob:
        """Buy one render (``POST /jobs/``): ``job`` is the content of the body's ``job``."""
        answer = self._ask(
            schema.CreatedJobAnswer, "POST", "/jobs/", "POST /jobs/", options=options, json={"job": dict(job)}
        )
        return answer.job

    def read_job(self, job_id: str, *, user_data: str | None = None, **options: Unpack[AnswerOptions]) -> schema.Job:
        """Read one job (``GET /jobs/ID``); ``user_data`` filters as in the list."""
        path = f"/jobs/{id_in_path(job_id)}"
        return self._ask(
            schema.JobAnswer, "GET", path, "GET /jobs/{id}", params={"user_data": user_data}, options=options
        ).job

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
        return self._ask(schema.JobPage, "GET", "/jobs/", "GET /jobs/", params=params, options=options)

    def iterate_jobs(self, **filters: Any) -> Iterator[schema.Job]:
        """Yield all jobs that match and can be read, the oldest first; ``filters`` as in :meth:`list_jobs`."""
        for page in self._job_pages(**filters):
            yield from page.jobs

    def _job_pages(self, *, page_size: int = PAGE_SIZE, **filters: Any) -> Iterator[schema.JobPage]:
        """Yield page after page, the oldest job first, each with what it has anew."""
        seen: set[str] = set()
        while True:
            page = self.list_jobs(start=len(seen), limit=page_size, sort="created_at", direction=1, **filters)
            jobs = {job.id: job for job in page.jobs if job.id not in seen}
            unread = {text: item for item in page.unreadable if (text := repr(item)) not in seen}
            yield page.model_copy(update={"jobs": list(jobs.values()), "unreadable": list(unread.values())})
            seen.update(jobs, unread)
            # The server may cap a page below what was asked; one without news is the end, whatever it says.
            length = len(page.jobs) + len(page.unreadable)
            if not (jobs or unread) or length < min(page_size, page.limit or page_size):
                return

    def delete_job(self, job_id: str) -> None:
        """
        Cancel a running job, or delete a finished one TOGETHER WITH ITS FILES (``DELETE /jobs/ID``).

        Sent once, whatever happens. Use :meth:`cancel_job` to end a job: it looks first.

        :raises VideoApiUnavailableError: also where Xvid answers, but not that it succeeded.
        """
        endpoint = "DELETE /jobs/{id}"
        answer = self._ask(schema.DeleteAnswer, "DELETE", f"/jobs/{id_in_path(job_id)}", endpoint, once=True)
        if answer.result is not None and answer.result.status != "SUCCESS":
            raise VideoApiUnavailableError(
                f"the result is {answer.result.status}", vendor=self.vendor, endpoint=endpoint, outcome_unknown=True
            )

    # ------------------------------------------------------------------ job templates

    def create_job_template(self, template: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.Template:
        """Save job settings (``POST /jobs/templates/``): ``name``, ``job_settings``, optionally ``description``."""
        endpoint = "POST /jobs/templates/"
        body = {"template": dict(template)}
        return self._ask(
            schema.TemplateAnswer, "POST", "/jobs/templates/", endpoint, options=options, json=body
        ).template

    def read_job_template(self, template_id: str, **options: Unpack[AnswerOptions]) -> schema.Template:
        """Read one job template (``GET /jobs/templates/ID``)."""
        path = f"/jobs/templates/{id_in_path(template_id)}"
        return self._ask(schema.TemplateAnswer, "GET", path, "GET /jobs/templates/{id}", options=options).template

    def list_job_templates(self, **options: Unpack[ListOptions]) -> schema.TemplatePage:
        """Read one page of the job templates (``GET /jobs/templates/``)."""
        return self._ask(schema.TemplatePage, "GET", "/jobs/templates/", "GET /jobs/templates/", options=options)

    def update_job_template(
        self, template_id: str, template: Mapping[str, Any], **options: Unpack[AnswerOptions]
    ) -> schema.Template:
        """Change a job template (``PUT /jobs/templates/ID``): fields left out stay, fields set to None are emptied."""
        path = f"/jobs/templates/{id_in_path(template_id)}"
        body = {"template": dict(template)}
        return self._ask(
            schema.TemplateAnswer, "PUT", path, "PUT /jobs/templates/{id}", options=options, json=body
        ).template

    # ------------------------------------------------------------------ files

    def read_file(self, file_id: str, **options: Unpack[AnswerOptions]) -> schema.File:
        """Read what is known of one file (``GET /files/ID``)."""
        path = f"/files/{id_in_path(file_id)}"
        return self._ask(schema.FileAnswer, "GET", path, "GET /files/{id}", options=options).file

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
        return self._ask(schema.FilePage, "GET", "/files/", "GET /files/", params=params, options=options)

    def get_download_links(
        self,
        file_id: str | None = None,
        *,
        redirect: bool = True,
        object_key: str | None = None,
        pipeline_id: str | None = None,
        expiry_time: datetime | int | None = None,
        autograph_tag: str | None = None,
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
            the answer's text, whose form the manual does not show: every link in it counts.
        :param expiry_time: when the links shall die, as an aware datetime or in seconds since 1970; default: Xvid's.
        :param autograph_tag: watermark to embed; only for a file whose ``autograph`` is true.
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
            "streaming": streaming,
            "max_parallel_downloads": max_parallel_downloads,
            "anti_fraud": anti_fraud,
            "ip": ip,
            "format": format,
            "human": human,
        }
        response = self.client.call(
            "GET", "/files/downloads/", endpoint=endpoint, params=encoded(params), redirect_expected=True
        )
        if response.is_redirect:
            return [urljoin(response.url, response.headers["Location"])]
        answer = self._decoded(response.content, endpoint, format=format, human=human)
        links = links_in(answer, api=self.client.base_url)
        if not links:
            raise self._unreadable("the answer holds no link", endpoint)
        return links

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
        return self._ask(
            schema.UploadAnswer,
            "POST",
            "/files/uploads/",
            "POST /files/uploads/",
            params=params,
            options=options,
        ).upload

    def complete_upload(self, upload_id: str, *, nb_chunks: int = 1, **options: Unpack[AnswerOptions]) -> schema.Upload:
        """Say that all ``nb_chunks`` parts of an upload have been sent (``PUT /files/uploads/ID``): step 3 of 4."""
        return self._ask(
            schema.UploadAnswer,
            "PUT",
            f"/files/uploads/{id_in_path(upload_id)}",
            "PUT /files/uploads/{id}",
            options=options,
            json={"upload": {"nb_chunks": nb_chunks}},
            repeatable=True,  # it says the same thing again
        ).upload

    def read_upload(self, upload_id: str, **options: Unpack[AnswerOptions]) -> schema.Upload:
        """Look at an upload (``GET /files/uploads/ID``): step 4 of 4, until it is no longer ``COMPLETING``."""
        path = f"/files/uploads/{id_in_path(upload_id)}"
        return self._ask(schema.UploadAnswer, "GET", path, "GET /files/uploads/{id}", options=options).upload

    # ------------------------------------------------------------------ pipelines and presets

    def create_pipeline(self, pipeline: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.Pipeline:
        """Create a pipeline (``POST /pipelines/``): where jobs read and write, and whom they tell."""
        body = {"pipeline": dict(pipeline)}
        return self._ask(
            schema.PipelineAnswer, "POST", "/pipelines/", "POST /pipelines/", options=options, json=body
        ).pipeline

    def read_pipeline(self, pipeline_id: str, **options: Unpack[AnswerOptions]) -> schema.Pipeline:
        """Read one pipeline (``GET /pipelines/ID``)."""
        path = f"/pipelines/{id_in_path(pipeline_id)}"
        return self._ask(schema.PipelineAnswer, "GET", path, "GET /pipelines/{id}", options=options).pipeline

    def list_pipelines(self, **options: Unpack[ListOptions]) -> schema.PipelinePage:
        """Read one page of the pipelines (``GET /pipelines/``)."""
        return self._ask(schema.PipelinePage, "GET", "/pipelines/", "GET /pipelines/", options=options)

    def create_preset(self, preset: Mapping[str, Any], **options: Unpack[AnswerOptions]) -> schema.Preset:
        """Create a preset (``POST /presets/``): how an output is encoded."""
        body = {"preset": dict(preset)}
        return self._ask(schema.PresetAnswer, "POST", "/presets/", "POST /presets/", options=options, json=body).preset

    def read_preset(self, preset_id: str, **options: Unpack[AnswerOptions]) -> schema.Preset:
        """Read one preset (``GET /presets/ID``)."""
        path = f"/presets/{id_in_path(preset_id)}"
        return self._ask(schema.PresetAnswer, "GET", path, "GET /presets/{id}", options=options).preset

    def list_presets(self, **options: Unpack[ListOptions]) -> schema.PresetPage:
        """Read one page of the presets (``GET /presets/``)."""
        return self._ask(schema.PresetPage, "GET", "/presets/", "GET /presets/", options=options)

    # ------------------------------------------------------------------ one call

    def _ask(
        self,
        model: type[Model],
        method: str,
        path: str,
        endpoint: str,
        *,
        params: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Model:
        options = options or {}
        if unknown := options.keys() - ListOptions.__annotations__.keys():
            raise TypeError(f"{endpoint} takes no {', '.join(sorted(unknown))}")
        query = encoded({**(params or {}), **options})
        response = self.client.call(method, path, endpoint=endpoint, params=query, **kwargs)
        sent = method != "GET"
        if not response.content:
            data: Any = {}
        else:
            data = self._decoded(
                response.content,
                endpoint,
                format=options.get("format"),
                human=options.get("human"),
                outcome_unknown=sent,
            )
        return self.client.parse(model, data, endpoint=endpoint, outcome_unknown=sent)

    def _decoded(self, content: bytes, endpoint: str, *, format: Any, human: Any, outcome_unknown: bool = False) -> Any:
        try:
            data = parse_xml(content) if format == "xml" else decode_json(content)
            return clean_document(data, self.client.secrets)
        except (ValueError, RecursionError):
            problem = f"the answer is not {format or 'json'} ({len(content)} bytes)"
            if human:
                problem += "; with human=true Xvid writes for people: leave it out"
            raise self._unreadable(problem, endpoint, outcome_unknown=outcome_unknown) from None

    def _unreadable(
        self, problem: str, endpoint: str, *, outcome_unknown: bool = False
    ) -> VideoApiUnreadableAnswerError:
        return VideoApiUnreadableAnswerError(
            problem, vendor=self.vendor, endpoint=endpoint, outcome_unknown=outcome_unknown
        )
