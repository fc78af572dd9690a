# SPDX-License-Identifier: Apache-2.0
"""fal's endpoints on its three hosts, one method each, the extras of its connections, and its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.api.settings import ClientSettings, HeaderText, Seconds, Truth
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.common import HeaderAuth
from airflow_video_providers.hooks.fal.names import app_of
from airflow_video_providers.hooks.fal.schemas import FalPrice, FalPrices, FalQueued, FalStatus, FalUpload

PLATFORM_URL, STORAGE_URL = "https://api.fal.ai/v1", "https://rest.fal.ai"
LIST_PATH = "/models/requests/by-endpoint"
LIST = f"GET {LIST_PATH}"

PRIORITIES = ("normal", "low")


def _lifetime(value: Any) -> int | None:
    if value == "never":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not (seconds >= 1 and seconds.is_integer()) or isinstance(value, bool):
        raise ValueError("a whole number of seconds, or never")
    return int(seconds)


def _priority(value: Any) -> str:
    if value not in PRIORITIES:
        raise ValueError(" or ".join(PRIORITIES))
    return str(value)


class FalSettings(ClientSettings):
    """
    The extras of a connection of fal, beside those of every vendor.

    :param object_lifetime: seconds for which fal keeps the files of a request; None: for ever (the extra is ``never``);
        0 (default): as the account is set.
    :param priority: ``normal`` or ``low``; empty (default): fal decides.
    :param start_timeout: seconds within which a runner must begin with a request; None (default): no limit.
    :param runner_hint: asks for a runner that has worked for the same hint before; empty (default): not sent.
    :param store_payloads: whether fal keeps the input and the result (default true). Where it does not, a request whose
        response was lost cannot be found again, and its result is not there for a transfer.
    :param queue_retries: whether fal repeats a request whose runner failed, at most 10 times (default true).
    :param platform_url: where requests are listed. :param storage_url: where uploads begin.
    """

    object_lifetime: Annotated[int | None, BeforeValidator(_lifetime)] = 0
    priority: Annotated[str, BeforeValidator(_priority)] = ""
    start_timeout: Seconds | None = None
    runner_hint: HeaderText = ""
    store_payloads: Truth = True
    queue_retries: Truth = True
    platform_url: str = PLATFORM_URL
    storage_url: str = STORAGE_URL

    def headers(self) -> dict[str, str]:
        """Return the headers of a create."""
        lifetime = json.dumps({"expiration_duration_seconds": self.object_lifetime})
        headers = {
            "X-Fal-Object-Lifecycle-Preference": lifetime if self.object_lifetime != 0 else "",
            "X-Fal-Queue-Priority": self.priority,
            "X-Fal-Request-Timeout": f"{self.start_timeout:g}" if self.start_timeout else "",
            "X-Fal-Runner-Hint": self.runner_hint,
            "X-Fal-Store-IO": "" if self.store_payloads else "0",
            "X-Fal-No-Retry": "" if self.queue_retries else "1",
        }
        return {name: value for name, value in headers.items() if value}


class FalEndpoints(VideoHook, abstract=True):
    """What fal's queue, platform API and storage offer; :class:`FalHook` makes a video hook of it."""

    settings_model = FalSettings
    settings: FalSettings

    def make_auth(self) -> HeaderAuth:
        """Return what adds the key to a request."""
        return HeaderAuth("Authorization", f"Key {self.secret()}")

    def parse_error(self, body: Any) -> VendorError:
        """Read fal's two forms: a model's ``detail`` is a list of faults, that of the queue a text with a type."""
        said = parse_error(body)
        if not isinstance(body, Mapping):
            return said
        kind, detail = body.get("error_type"), body.get("detail")
        if isinstance(detail, list) and said.fields:
            texts = "; ".join(f"{name}: {text}" for name, text in said.fields.items())
            return VendorError(message=texts, code=_first_type(detail), fields={})
        return VendorError(message=said.message, code=kind if isinstance(kind, str) else said.code, fields=said.fields)

    @property
    def key_addresses(self) -> list[str]:
        """The key goes to the platform API and the storage too."""
        return [*super().key_addresses, self.settings.platform_url, self.settings.storage_url]

    @cached_property
    def platform(self) -> VideoApiClient:
        """The session of the platform API, where requests are listed."""
        return self._beside(self.settings.platform_url)

    @cached_property
    def storage(self) -> VideoApiClient:
        """The session of the storage, where uploads begin."""
        return self._beside(self.settings.storage_url)

    def close(self) -> None:
        """Close all sessions that were opened; the next call opens others."""
        for name in ("platform", "storage"):
            client: VideoApiClient | None = self.__dict__.pop(name, None)
            if client is not None:
                client.close()
        super().close()

    def _beside(self, base_url: str) -> VideoApiClient:
        client = VideoApiClient(
            vendor=self.vendor,
            base_url=base_url,
            auth=self.make_auth(),
            settings=self.settings,
            secrets=[self.secret()],
        )
        client.error_parser = self.parse_error
        return client

    def create_request(self, endpoint: str, body: Mapping[str, Any], *, webhook: str | None = None) -> FalQueued:
        """``POST /{endpoint}``: put a request for a model into the queue."""
        params = {"fal_webhook": webhook}
        path = "/{endpoint:path}"
        headers = self.settings.headers()
        return self.fetch(FalQueued, "POST", path, endpoint=endpoint, json=dict(body), params=params, headers=headers)

    def get_request_status(self, endpoint: str, request_id: str, *, logs: bool = False) -> FalStatus:
        """
        ``GET /{app}/requests/{id}/status``; the app is owner and name, without the rest of the endpoint.

        :param logs: whether the response holds what the runner wrote.
        """
        path, params = "/{app:path}/requests/{id}/status", {"logs": int(logs)}
        return self.fetch(FalStatus, "GET", path, app=app_of(endpoint), id=request_id, params=params)

    def get_result(self, endpoint: str, request_id: str) -> Any:
        """``GET /{app}/requests/{id}``: what the model gave, in its own form."""
        return self.fetch(dict[str, Any], "GET", "/{app:path}/requests/{id}", app=app_of(endpoint), id=request_id)

    def cancel_request(self, endpoint: str, request_id: str) -> None:
        """``PUT /{app}/requests/{id}/cancel``; a second call does no harm."""
        path = "/{app:path}/requests/{id}/cancel"
        self.fetch(None, "PUT", path, app=app_of(endpoint), id=request_id, repeatable=True)

    def list_requests(
        self,
        endpoint: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        status: str | None = None,
        request_id: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> tuple[list[Any], str | None]:
        """
        ``GET /models/requests/by-endpoint`` of the platform API: one page with the inputs, and where the next begins.

        :param endpoint: one endpoint, or up to 50 of them, separated by commas.
        :param start: default of the vendor: 24 hours ago, with ``request_id`` 90 days ago. :param end: default: now.
        :param status: ``success``, ``error`` or ``user_error``. :param limit: 100 at most.
        """
        params = {
            "endpoint_id": endpoint,
            "start": _utc(start),
            "end": _utc(end),
            "status": status,
            "request_id": request_id,
            "limit": limit,
            "cursor": cursor,
            "expand": "payloads",
        }
        page = self.platform.fetch(dict[str, Any], "GET", LIST_PATH, params=params)
        items = self.platform.parse(list[Any], page.get("items"), endpoint=LIST)
        after = page.get("next_cursor") if page.get("has_more") else None
        return items, after if isinstance(after, str) and after else None

    def get_models(self, *, limit: int = 50, cursor: str | None = None) -> dict[str, Any]:
        """``GET /models`` of the platform API: a page of the models, as the vendor gives it; no key is needed."""
        return self.platform.fetch(dict[str, Any], "GET", "/models", params={"limit": limit, "cursor": cursor})

    def get_price(self, endpoint: str) -> FalPrice | None:
        """``GET /models/pricing`` of the platform API: what a unit of one model costs; None: not told."""
        found = self.platform.fetch(FalPrices, "GET", "/models/pricing", params={"endpoint_id": endpoint})
        return next((price for price in found.prices if price.endpoint_id == endpoint), None)

    def delete_payloads(self, request_id: str) -> None:
        """``DELETE /models/requests/{id}/payloads`` of the platform API, sent once: delete input, result and files."""
        self.platform.fetch(None, "DELETE", "/models/requests/{id}/payloads", id=request_id, once=True)

    def create_upload(self, file_name: str, *, content_type: str) -> FalUpload:
        """``POST /storage/upload/initiate``: ask for a link for one PUT."""
        body, params = {"file_name": file_name, "content_type": content_type}, {"storage_type": "gcs"}
        return self.storage.fetch(FalUpload, "POST", "/storage/upload/initiate", json=body, params=params)


def _utc(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _first_type(detail: list[Any]) -> str | None:
    first = detail[0] if detail else None
    kind = first.get("type") if isinstance(first, Mapping) else None
    return kind if isinstance(kind, str) else None
