# SPDX-License-Identifier: Apache-2.0
"""What the models of all vendors' payloads have in common: strict about what is required, tolerant about the rest."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

log = logging.getLogger(__name__)


def _as_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


Timestamp = Annotated[datetime, AfterValidator(_as_utc)]
"""A date and time in a form that pydantic reads (ISO 8601, seconds since 1970); without an offset, taken as UTC."""


class VendorModel(BaseModel):
    """
    A payload as a vendor documents it.

    Fields that are not documented are kept. A number where a text is documented is read as a text. An optional field
    of an unexpected form becomes its default, with one warning: a paid job must not become unreadable because the
    vendor changed the form of its title. A required field that is missing or wrong is an error, at any depth.
    """

    model_config = ConfigDict(
        extra="allow", frozen=True, populate_by_name=True, coerce_numbers_to_str=True, protected_namespaces=()
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _tolerate_optional(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            name = info.field_name
            assert name is not None  # a field validator always has one
            field = cls.model_fields[name]
            if field.is_required() or any(item["type"] == "missing" for item in error.errors()):
                raise
            _warn_once(cls.__name__, name, type(value).__name__)
            return field.get_default(call_default_factory=True, validated_data={})


@lru_cache(maxsize=256)
def _warn_once(model: str, name: str, found: str) -> None:
    # The value is left out: it may be a signed link.
    log.warning("%s.%s came in a form that the vendor does not document (%s); it is ignored", model, name, found)
