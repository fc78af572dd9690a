# SPDX-License-Identifier: Apache-2.0
"""What the models of all vendors' payloads have in common: strict about what is required, tolerant about the rest."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from datetime import datetime, timezone
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

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


# What the validation under way has mended, by model and payload: a model with an odd field is validated twice, and what
# it holds would be twice again at each level. The payload is kept, so that its id is not given to another.
_Mended = dict[tuple[type, int], tuple[Any, Any]]
_mended: ContextVar[_Mended | None] = ContextVar("mended", default=None)


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

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """Return a payload in the form that the fields have, for a model whose vendor writes it in another one."""
        return data

    @model_validator(mode="wrap")
    @classmethod
    def _tolerate_optional(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # One for the model, not one for each field: a shared poll reads lists of thousands of items.
        mended = _mended.get()
        if mended is None:
            token = _mended.set(mended := {})
            try:
                return cls._validate_tolerantly(data, handler, mended)
            finally:
                _mended.reset(token)
        known = mended.get((cls, id(data)))
        return cls._validate_tolerantly(data, handler, mended) if known is None else known[1]

    @classmethod
    def _validate_tolerantly(cls, came: Any, handler: ModelWrapValidatorHandler[Self], mended: _Mended) -> Self:
        data = cls.prepare(came)
        try:
            return handler(data)
        except ValidationError as error:
            if not isinstance(data, dict):
                raise
            found = error.errors(include_url=False, include_input=False, include_context=False)
            odd = {str(item["loc"][0]) if item["loc"] else "" for item in found}
            optional = {name: field for name, field in cls.model_fields.items() if not field.is_required()}
            if any(item["type"] == "missing" for item in found) or not odd <= optional.keys():
                raise
            defaults = {name: optional[name].get_default(call_default_factory=True, validated_data={}) for name in odd}
            for name in sorted(odd):
                _warn_once(cls.__name__, name, type(data[name]).__name__)
            model = handler({**data, **defaults})  # such a field counts as given
            mended[cls, id(came)] = came, model
            return model


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
