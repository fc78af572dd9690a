# SPDX-License-Identifier: Apache-2.0
"""What a task has recorded of a stored file, read from its XCom as from a stranger."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

_LONGEST_LIST = 1000

Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


def _or_none(value: Any) -> Any:
    """Return None for what is no text of a bounded length."""
    return value if isinstance(value, str) and 0 < len(value) <= 2048 else None


def _number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 else None


_Optional = Annotated[str | None, BeforeValidator(_or_none)]


class Recorded(BaseModel):
    """
    One stored file, as ``VideoToObjectStorageOperator`` returns it.

    :param store_conn_id: the Airflow connection that it was stored with; None: the cloud's own credentials.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    uri: Text
    kind: Text
    vendor: Text
    job_id: Text
    label: _Optional = None
    media_type: _Optional = None
    sha256: _Optional = None
    store_conn_id: _Optional = None
    size: Annotated[int | None, BeforeValidator(_number)] = None
    duration_seconds: Annotated[float | None, BeforeValidator(_number)] = None


def files_in(value: Any) -> list[Recorded]:
    """Return the files in the return value of a task; none where it is anything else."""
    if not isinstance(value, list):
        return []
    files = []
    for item in value[:_LONGEST_LIST]:
        try:
            files.append(Recorded.model_validate(item))
        except ValidationError:
            continue
    return files
