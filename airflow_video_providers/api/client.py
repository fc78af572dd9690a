# SPDX-License-Identifier: Apache-2.0
"""
One HTTP session for one connection: what every vendor's hook sends its calls through.

- A call that may be repeated (GET, HEAD, or one that the caller marks ``repeatable``) is tried again on 429, 5xx and
  connection errors, with exponential backoff, jitter and the vendor's Retry-After, until ``retry_deadline`` is over.
- Any other call is tried again only when it provably had no effect: the connection was never made, or the vendor
  refused it (429, 503 with Retry-After).
- Each cause has its own exception; its text is the vendor's, with secrets removed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar, cast, overload

import requests
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from tenacity import Retrying, retry_if_exception, stop_before_delay

from airflow_video_providers.api.errors import LONGEST_MESSAGE, has_effect
from airflow_video_providers.api.exchange import Exchange
from airflow_video_providers.api.paths import endpoint_text, fill_path, query_of
from airflow_video_providers.api.retries import is_worth_repeating, log_retry, pause_before_retry
from airflow_video_providers.exceptions import VideoApiUnreadableAnswerError
from airflow_video_providers.text.redaction import clean_document

T = TypeVar("T")

_CALL_OPTIONS = frozenset({"json", "data", "files", "headers", "repeatable", "once"})
_MOST_PROBLEMS = 20  # of a response are named


class VideoApiClient(Exchange):
    """
    The HTTP session of one connection, for calls that are repeated where that is safe, and read into models.

    Its arguments are those of :class:`~airflow_video_providers.api.exchange.Exchange`.
    """

    @overload
    def fetch(self, model: type[T], method: str, path: str, /, **options: Any) -> T: ...

    @overload
    def fetch(self, model: None, method: str, path: str, /, **options: Any) -> None: ...

    def fetch(
        self,
        model: type[T] | None,
        method: str,
        path: str,
        /,
        *,
        envelope: str | None = None,
        params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> T | None:
        """
        Send one call and return its response, validated as ``model``.

        :param model: a pydantic model, or any type that pydantic knows, e.g. ``list[Voice]`` or ``dict[str, Any]``;
            None: the response's content is not read, and None is returned.
        :param path: below the base URL, or a full URL; ``{name}`` is filled by the keyword of that name, as one segment
            of the path (``{name:path}``: with its slashes). With the method it names the call in messages.
        :param envelope: the field of the response that holds what ``model`` describes, e.g. ``data``.
        :param params: the query; a parameter that is None is left out.
        :param kwargs: the ids of the path, and what :meth:`call` takes: ``json data files headers repeatable once``.
        :raises VideoApiError: the subclass is the cause; ``outcome_unknown``: the call may have had its effect.
        """
        options = {name: kwargs.pop(name) for name in _CALL_OPTIONS & kwargs.keys()}
        endpoint = endpoint_text(method, path)
        path = fill_path(path, kwargs)
        if model is None:
            self.call(method, path, endpoint=endpoint, params=query_of(params), **options)
            return None
        data = self.call_json(method, path, endpoint=endpoint, params=query_of(params), **options)
        if data is None and (envelope or _takes_fields(model)):
            data = {}  # so that the error names the field that is missing, if one is needed at all
        unknown = has_effect(method)
        if envelope:
            data = self.parse(dict[str, Any], data, endpoint=endpoint, outcome_unknown=unknown)
            if envelope not in data:
                raise VideoApiUnreadableAnswerError(
                    f"the response lacks what the vendor documents ({envelope}: Field required)",
                    vendor=self.vendor,
                    endpoint=endpoint,
                    outcome_unknown=unknown,
                )
            data = data[envelope]
        return self.parse(model, data, endpoint=endpoint, outcome_unknown=unknown)

    def get_json(self, path: str, *, endpoint: str, params: Mapping[str, Any] | None = None) -> Any:
        """GET ``path`` and return the decoded JSON."""
        return self.call_json("GET", path, endpoint=endpoint, params=params)

    def call_json(self, method: str, path: str, *, endpoint: str, with_secrets: bool = False, **kwargs: Any) -> Any:
        """
        Send one call and return the decoded JSON, cleaned; None for a response without content.

        :param with_secrets: the response may repeat a secret that is needed, such as a token: none is taken out.
        """
        response = self.call(method, path, endpoint=endpoint, **kwargs)
        if response.status_code == HTTPStatus.NO_CONTENT or not response.content:
            return None
        try:
            content, hidden = response.content, () if with_secrets else self.hidden
            return clean_document(self.decoder(content), hidden, written=content)
        except ValueError as error:
            raise self.unreadable(response, error, method, endpoint) from None

    def call(
        self,
        method: str,
        path: str,
        *,
        endpoint: str,
        repeatable: bool | None = None,
        once: bool = False,
        redirect_expected: bool = False,
        **kwargs: Any,
    ) -> requests.Response:
        """
        Send one call and return the 2xx response (or the 3xx one, where ``redirect_expected``).

        :param path: below the base URL, or a full URL. Credentials are added for the API's origin only.
        :param endpoint: how messages name the call, e.g. ``GET /jobs/{id}``.
        :param repeatable: whether a second call does no harm; default: GET and HEAD only. A DELETE is not: between two
            tries a running job may finish, and deleting a finished one can delete its files.
        :param once: never try again, not even after a refusal: the body is a stream that has been read, or the caller
            must poll before it tries again.
        :param kwargs: ``params json data files headers`` as in ``requests``.
        :raises VideoApiError: the subclass is the cause; ``outcome_unknown``: the call may have had its effect.
        """
        if repeatable is None:
            repeatable = method in ("GET", "HEAD")
        if once:
            return self.send(method, path, endpoint, redirect_expected, kwargs)
        retrying = Retrying(
            reraise=True,
            retry=retry_if_exception(lambda error: is_worth_repeating(error, repeatable=repeatable)),
            wait=pause_before_retry,
            stop=stop_before_delay(self.settings.retry_deadline),
            before_sleep=log_retry,
        )
        return retrying(self.send, method, path, endpoint, redirect_expected, kwargs)

    def parse(self, model: type[T], data: Any, *, endpoint: str, outcome_unknown: bool = False) -> T:
        """
        Validate ``data`` as ``model``, a pydantic model or any type that pydantic knows.

        :raises VideoApiUnreadableAnswerError: a field is missing or wrong; it is named.
        """
        try:
            return cast(T, _adapter(cast(Hashable, model)).validate_python(data))
        except ValidationError as error:
            name = getattr(model, "__name__", str(model))
            problems = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or name}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False, include_context=False)[:_MOST_PROBLEMS]
            )
            raise VideoApiUnreadableAnswerError(
                f"the response lacks what the vendor documents ({self.redact(problems, longest=LONGEST_MESSAGE)})",
                vendor=self.vendor,
                endpoint=endpoint,
                outcome_unknown=outcome_unknown,
            ) from None


@lru_cache(maxsize=256)
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _takes_fields(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel) and not issubclass(model, RootModel)
