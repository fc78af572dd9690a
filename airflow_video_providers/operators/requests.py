# SPDX-License-Identifier: Apache-2.0
"""
How a task is given its request: a mapping, a model of the vendor's, JSON or YAML text, or a file of these.

Text and files are rendered first and parsed then, so that templates may make numbers and lists of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.operators.arguments import TOO_DEEP, is_final

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from jinja2 import Environment

    _Task = BaseOperator
else:
    _Task = object

EXTENSIONS = (".json", ".yaml", ".yml")


class RequestTask(_Task):
    """
    Takes ``request`` as a file, too: its path, relative to the DAG's file or to ``template_searchpath``.

    To be put before ``BaseOperator`` among the bases of an operator.
    """

    template_ext: Sequence[str] = EXTENSIONS
    request: Any

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """
        Render a value; the request alone can be a file.

        Airflow would take each text within it that ends in ``.json`` for one, such as the link of an animation.
        """
        if isinstance(content, str) and content is not self.request and content.endswith(EXTENSIONS):
            env = jinja_env or self.get_template_env()
            return self._render(env.from_string(content), context)
        return super().render_template(content, context, jinja_env, seen_oids)


def given_request(value: Any) -> Any:
    """
    Return a request as an operator keeps it: a model as a mapping, whose texts may be templates; the rest as it is.

    :raises VideoConfigurationError: it is final, and no vendor's JSON body.
    """
    value = _without_model(value)
    is_file = isinstance(value, str) and value.endswith(EXTENSIONS)
    if not is_file and is_final(value):
        as_request(value)
    return value


def as_request(value: Any) -> dict[str, Any]:
    """
    Return a request as the vendor's JSON body.

    :param value: a mapping, a pydantic model, or JSON or YAML text.
    :raises VideoConfigurationError: it is none of these, it is empty, or it holds what JSON cannot.
    """
    value = _without_model(value)
    if isinstance(value, str):
        value = _parse(value)
    if not isinstance(value, Mapping) or not value:
        what = "an empty one" if isinstance(value, Mapping) else type(value).__name__
        raise VideoConfigurationError(f"request must be the vendor's JSON body as a mapping, not {what}")
    is_final(value)  # raises where it is nested too deep
    try:
        json.dumps(value, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        said = "its keys must be texts" if "not supported between" in str(error) else error
        raise VideoConfigurationError(f"request{_place_of_fault(value)} holds what JSON cannot: {said}") from None
    return dict(value)


def _without_model(value: Any) -> Any:
    from pydantic import BaseModel

    if not isinstance(value, BaseModel):
        return value
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise VideoConfigurationError(TOO_DEEP) from None
    except ValueError as error:
        if text.lstrip().startswith(("{", "[")):
            raise VideoConfigurationError(f"request is text, but not JSON: {error}") from None
        problem = str(error)
    import yaml

    try:
        value = yaml.safe_load(text)
    except RecursionError:
        raise VideoConfigurationError(TOO_DEEP) from None
    except yaml.YAMLError as error:
        raise VideoConfigurationError(f"request is text, but neither JSON nor YAML: {error}") from None
    if not isinstance(value, Mapping):
        raise VideoConfigurationError(f"request is text, but not JSON ({problem}), nor YAML of a mapping")
    return value


def _place_of_fault(value: Any, place: str = "") -> str:
    """Return the path of the first value that JSON cannot hold."""
    named: Any = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, (list, tuple)):
        named = enumerate(value)
    for name, item in named:
        try:
            json.dumps(item, allow_nan=False, sort_keys=True)
        except (TypeError, ValueError):
            return _place_of_fault(item, f"{place}.{name}")
    return place
