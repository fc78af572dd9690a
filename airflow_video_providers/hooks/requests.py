# SPDX-License-Identifier: Apache-2.0
"""What the models of all vendors' requests have in common: they complete field names, and find wrong types by path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.jobs import JobCost
from airflow_video_providers.text.redaction import redact

_MOST_PROBLEMS = 8

Number = int | float
"""A number that is sent as it is given: a whole one stays whole."""


class VendorRequest(BaseModel):
    """
    A request as a vendor documents it, to be passed in place of a mapping.

    A field of a wrong type, or one that is required and missing, is an error where the model is made: when the DAG is
    parsed. Texts may be templates; a number counts as a text, since ``render_template_as_native_obj`` makes one of an
    id of digits. Fields that are not documented are kept, since vendors add some.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True, protected_namespaces=(), coerce_numbers_to_str=True)

    def to_request(self) -> dict[str, Any]:
        """Return the vendor's JSON body: the fields that were given, by the vendor's names."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def check_request_fields(model: type[VendorRequest], request: Mapping[str, Any], *, vendor: str) -> None:
    """
    Check a request by the model of the vendor's documents.

    :raises VideoConfigurationError: the text names the path of the first field that is wrong; the advice, of each.
    """
    try:
        model.model_validate(dict(request))
    except ValidationError as error:
        problems = [
            f"request.{'.'.join(str(part) for part in item['loc'])}: {redact(item['msg'], longest=200)}"
            for item in error.errors(include_url=False, include_input=False, include_context=False)[:_MOST_PROBLEMS]
        ]
        raise VideoConfigurationError(
            f"The request is not what {vendor} documents: {problems[0]}",
            advice=[*problems[1:], f"Nothing was sent. The model of this request is {model.__name__}."],
        ) from None


class RequestChecks:
    """What a hook can tell of a request before it is paid; part of the contract ``VideoHook``."""

    hook_name: ClassVar[str]

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest] | None:
        """
        Return the model of the vendor's documents that a request is checked by before it is sent; None: there is none.

        Fields that the model does not know are passed on, since vendors add some; one of a wrong type is refused.

        :raises VideoConfigurationError: it is no request of any form that the vendor documents.
        """
        return None

    def check_request(self, request: Mapping[str, Any]) -> str:
        """
        Have the vendor check a request, which costs nothing and submits nothing; return what it says, in one line.

        :raises VideoConfigurationError: the vendor would refuse it; or it documents no such check (the default).
        """
        raise VideoConfigurationError(f"{self.hook_name} documents no free check of a request.")

    def estimate_cost(self, request: Mapping[str, Any]) -> JobCost | None:
        """
        Return what a request will cost at the most, told or documented by the vendor; None: not for this request.

        Nothing is submitted. Default: the vendor tells no price before.
        """
        return None

    def estimates_at_submission(self, request: Mapping[str, Any]) -> bool:
        """
        Tell whether the response to the submission of a request names the most that it may cost (``VideoJob.cost``).

        A render above ``max_cost`` is then cancelled at once, so the vendor must be able to cancel. Default: False.
        """
        return False
