# SPDX-License-Identifier: Apache-2.0
"""The control API under ``/_simulator``: faults, counts, jobs, settings, reset."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_video_providers.simulator.callbacks import RECEIVERS, is_receiver
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.faults import CALLBACK, Fault
from airflow_video_providers.simulator.jobs import Job, job_as_json
from airflow_video_providers.simulator.same_origin import check_same_origin
from airflow_video_providers.simulator.vendor import describe, json_answer
from airflow_video_providers.simulator.vendors import VENDORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_video_providers.simulator.vendor import Vendor
    from airflow_video_providers.simulator.world import World


_VENDORS = (*VENDORS, "*")


MOST_FAULTS = 1000
SHARED = frozenset({"delay", "malformed"})
CALLBACK_EFFECTS = SHARED | {"lost", "duplicates", "wrong_signature", "signed_ago"}


_OF_A_HEADER = re.compile(r"[ -~]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Body(BaseModel):
    """The body of a request: nothing in it breaks a response that shows it later."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def check_values(cls, value: Any) -> Any:
        """Refuse what no JSON document in UTF-8 holds."""
        if isinstance(value, dict):  # else it is no body at all: a request without the header that says JSON
            check_values(value)
        return value


def check_values(value: Any) -> None:
    """
    Refuse what no JSON document in UTF-8 holds.

    :raises ValueError: says what that is.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise ValueError("A text holds half of a character (a lone surrogate)") from None
    except ValueError:
        raise ValueError("A number is not a finite number") from None


class FaultRequest(Body):
    """A fault as a user asks for it."""

    vendor: Literal[_VENDORS] = "*"  # type: ignore[valid-type]  # they are found at run time
    operation: str = "*"
    times: int | None = Field(1, ge=1)
    after: int = Field(0, ge=0)

    status: int | None = Field(None, ge=200, le=599)
    retry_after: float | int | str | None = None
    message: str | None = None
    delay: float | None = Field(None, ge=0)
    lose_answer: bool | None = None
    answer_status_after_effect: int | None = Field(None, ge=200, le=599)
    cut_after: int | None = Field(None, ge=0)
    expired_link: bool | None = None
    html: bool | None = None
    bytes_per_second: float | None = Field(None, gt=0)
    malformed: bool | None = None

    lost: bool | None = None
    duplicates: int | None = Field(None, ge=1, le=100)
    wrong_signature: bool | None = None
    signed_ago: float | None = Field(None, ge=-1e9, le=1e9)

    @field_validator("retry_after")
    @classmethod
    def check_header(cls, value: float | str | None) -> float | str | None:
        """Refuse what no header holds."""
        if isinstance(value, str) and not _OF_A_HEADER.fullmatch(value):
            raise ValueError("A header holds printable ASCII only")
        return value

    @field_validator("message")
    @classmethod
    def check_message(cls, value: str | None) -> str | None:
        """Refuse what the XML of an object store cannot hold."""
        if value is not None and _CONTROL.search(value):
            raise ValueError("A message holds no control characters but tabs and line feeds")
        return value


class WebhookRequest(Body):
    """An address for the webhooks of an account."""

    vendor: Literal[VENDORS]  # type: ignore[valid-type]  # they are found at run time
    url: str


class JobMove(Body):
    """How a job is moved by hand."""

    status: str | None = None
    error: Any = None
    progress: Any = None
    finish: bool | None = None
    fail: str | None = None
    delete: bool | None = None


def create_app(world: World, contents: Contents, vendors: Mapping[str, Vendor]) -> FastAPI:
    """The control application."""
    guard = [Depends(check_same_origin)]
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=guard)

    async def refuse(_: Request, error: Exception) -> Response:
        # In words: a value that JSON cannot hold, such as NaN, cannot be sent back.
        if isinstance(error, RequestValidationError):
            return json_answer({"detail": describe(error)}, 422)
        return json_answer({"detail": "The request cannot be read"}, 400)

    for kind in (RequestValidationError, UnicodeError, RecursionError):
        app.add_exception_handler(kind, refuse)

    @app.post("/faults")
    async def add_fault(body: FaultRequest) -> Response:
        place = body.model_dump(include={"vendor", "operation", "times", "after"})
        effect = body.model_dump(exclude=set(place), exclude_none=True)
        if not effect:
            raise HTTPException(422, "A fault needs an effect, for example status=503")
        of_callbacks = CALLBACK_EFFECTS if body.operation == CALLBACK else effect.keys() - (CALLBACK_EFFECTS - SHARED)
        if misplaced := effect.keys() - of_callbacks:
            raise HTTPException(422, f"Not an effect on operation {body.operation!r}: {', '.join(sorted(misplaced))}")
        if len(world.faults) >= MOST_FAULTS:
            raise HTTPException(422, f"There are {MOST_FAULTS} faults already: DELETE /faults")
        fault = Fault(**place, effect=effect)
        world.faults[fault.id] = fault
        world.save_faults()
        return json_answer({"id": fault.id})

    @app.get("/faults")
    async def list_faults() -> Response:
        listed = [
            {"id": f.id, "vendor": f.vendor, "operation": f.operation, "times": f.times, "after": f.after, **f.effect}
            for f in world.faults.values()
        ]
        return json_answer(listed)

    @app.delete("/faults")
    async def clear_faults() -> Response:
        world.faults.clear()
        world.save_faults()
        return json_answer({})

    @app.delete("/faults/{fault_id}")
    async def remove_fault(fault_id: str) -> Response:
        if world.faults.pop(fault_id, None) is None:
            raise HTTPException(404, "No such fault; it may have struck for the last time")
        world.save_faults()
        return json_answer({})

    @app.get("/counts")
    async def get_counts() -> Response:
        return json_answer(world.all_counts())

    @app.get("/jobs")
    async def list_jobs(vendor: str | None = None) -> Response:
        now = time.time()
        wanted = [vendor] if vendor in VENDORS else VENDORS if vendor is None else ()
        jobs = sorted((job for name in wanted for job in world.jobs[name].values()), key=lambda job: job.sequence)
        return json_answer([job_as_json(job, vendors[job.vendor].lifecycle, now) for job in jobs])

    @app.get("/jobs/{job_id:path}")
    async def get_job(job_id: str) -> Response:
        job = find(job_id)
        return json_answer(job_as_json(job, vendors[job.vendor].lifecycle))

    @app.post("/jobs/{job_id:path}")
    async def move_job(job_id: str, body: JobMove) -> Response:
        job, changes = find(job_id), body.model_dump(exclude_unset=True)
        vendors[job.vendor].lifecycle.move(job, time.time(), changes)
        world.save_job(job)
        return json_answer(job_as_json(job, vendors[job.vendor].lifecycle))

    @app.get("/connections")
    async def get_connections(request: Request) -> Response:
        url = f"{request.url.scheme}://{request.url.netloc}"
        return json_answer({f"{name}_default": vendor.connection_to(url) for name, vendor in vendors.items()})

    @app.get("/examples")
    async def get_examples(text: str = "Example") -> Response:
        return json_answer({name: vendor.request(text) for name, vendor in vendors.items()})

    @app.get("/vendors")
    async def get_vendors() -> Response:
        return json_answer({name: vendor.summary() for name, vendor in vendors.items()})

    @app.post("/webhooks")
    async def register_webhook(body: WebhookRequest) -> Response:
        register = vendors[body.vendor].register_webhook
        if register is None:
            raise HTTPException(422, f"{body.vendor} knows no webhook of an account")
        if not is_receiver(body.url):
            raise HTTPException(422, RECEIVERS)
        secret = register(world, body.url)
        world.watch_active(body.vendor)
        return json_answer({"secret": secret})

    @app.get("/uploads")
    async def list_uploads() -> Response:
        kept = {
            name: list(world.resources[vendor.uploads].values())
            for name, vendor in vendors.items()
            if vendor.uploads in world.resources
        }
        return json_answer(kept)

    @app.get("/settings")
    async def get_settings() -> Response:
        return json_answer(world.settings.as_json())

    @app.patch("/settings")
    async def change_settings(request: Request) -> Response:
        try:
            changes = await request.json()
        except (ValueError, RecursionError):
            raise HTTPException(422, "Settings are JSON") from None
        if not isinstance(changes, dict):
            raise HTTPException(422, "Settings are an object")
        sizes = [changes.get("file_bytes")]
        sizes += [part.get("file_bytes") for part in changes.values() if isinstance(part, dict)]
        try:
            for size in sizes:
                # One that is beyond all limits is refused as a setting.
                await contents.check_size(size if isinstance(size, int) and size < 1 << 63 else None)
            check_values(changes)
            world.settings.patch(changes)
        except ValidationError as error:
            reasons = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            raise HTTPException(422, "; ".join(reasons)) from None
        except ValueError as error:  # also TooSmallError
            raise HTTPException(422, str(error)) from None
        world.save_settings()
        return json_answer(world.settings.as_json())

    @app.post("/reset")
    async def reset() -> Response:
        world.reset()
        contents.studio.clear()
        return json_answer({})

    def find(job_id: str) -> Job:
        for name in VENDORS:
            if job_id in world.jobs[name]:
                return world.jobs[name][job_id]
        for jobs in world.jobs.values():
            for job in jobs.values():
                if job_id in (job.client_id, job.video_id):
                    return job
        raise HTTPException(404, "No job with this id was ever created")

    return app
