# SPDX-License-Identifier: Apache-2.0
"""What the models of all vendors' payloads have in common: strict about what is required, tolerant about the rest."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timezone
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from airflow_video_providers.text.redaction import redact

log = logging.getLogger(__name__)


_LONGEST_REPR = 2000
_LINKS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s\"'<>]*")
_EARLIEST_YEAR = 2000  # before all of these vendors; an earlier time is a number that means something else


def _digits_as_time(value: Any) -> Any:
    """Read ``YYYYMMDDhhmmss``; a day without a time is no time, since it could not be told what was before it."""
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    if re.fullmatch(r"\d{14}", text):
        return datetime.strptime(text, "%Y%m%d%H%M%S")
    if re.fullmatch(r"\d{8}|\d{4}-\d{2}-\d{2}", text):
        raise ValueError("a day without a time")
    return value


def _as_utc(value: datetime) -> datetime:
    try:
        value = value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError("not a time of our days") from None
    if value.year < _EARLIEST_YEAR:
        raise ValueError("not a time of our days")
    return value


Timestamp = Annotated[datetime, BeforeValidator(_digits_as_time), AfterValidator(_as_utc)]
"""
A date and time: ISO 8601, seconds or milliseconds since 1970, or 14 digits; without an offset, taken as UTC.

A day alone and a time before 2000 are refused, so that a number of another meaning is not read as 1970.
"""


class VendorModel(BaseModel):
    """
    A payload as a vendor documents it.

    Fields that are not documented are kept. A number where a text is documented is read as a text. An optional field
    of an unexpected form becomes its default, with one warning: a paid job must not become unreadable because the
    vendor changed the form of its title. A required field that is missing or wrong is an error, at any depth. ``repr``
    shows no query of a link.
    """

    model_config = ConfigDict(
        extra="allow", frozen=True, populate_by_name=True, coerce_numbers_to_str=True, protected_namespaces=()
    )

    def __repr_args__(self) -> Any:
        # Also a field that nobody documents can hold a signed link.
        for name, value in super().__repr_args__():
            yield name, _Shown(value)

    @field_validator("*", mode="wrap")
    @classmethod
    def _tolerate_optional(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            name = info.field_name
            assert name is not None  # a field validator always has one
            field = cls.model_fields[name]
            found = error.errors(include_url=False, include_input=False, include_context=False)
            if field.is_required() or any(item["type"] == "missing" for item in found):
                raise
            _warn_once(cls.__name__, name, type(value).__name__)
            return field.get_default(call_default_factory=True, validated_data={})


class _Shown:
    """Shows a value without its links and at a bounded length."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return _LINKS.sub(lambda match: f"{match[1]}***", redact(repr(self._value), longest=_LONGEST_REPR))


@lru_cache(maxsize=256)
def _warn_once(model: str, name: str, found: str) -> None:
    # The value is left out: it may be a signed link.
    log.warning("%s.%s came in a form that the vendor does not document (%s); it is ignored", model, name, found)
