# SPDX-License-Identifier: Apache-2.0
"""
Checks of operators' arguments: when the DAG is parsed where a value is final, when the task runs for the rest.

A template or a reference to another task's output is not final. Airflow makes no operator of ``.partial()`` arguments
before the task runs, so those of a mapped task are checked then.

``render_template_as_native_obj`` makes a number of a text of digits, and of ``True``, ``None`` and dates what they
are in Python. :class:`TextFields` takes them for the text again where that is sure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_video_providers.delivery.formats import plain_media_type
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.operators.rendering import RenderedTask

if TYPE_CHECKING:
    from airflow.sdk import Context

_METADATA_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_PRINTABLE_ASCII = re.compile(r"[ -~]*")
_OWN_METADATA = ("videovendor", "videojobid", "videooutput", "videomd5", "videosha256", "videochecks")
"""Names by which a later run knows a stored file. Some stores tell no capital letters apart."""
_MOST_BITS = 3000  # of a number that is a text: about 900 digits

_LONGEST_FIND_WAIT = 86400

IF_EXISTS = ("skip", "overwrite", "fail")
CHECKS = ("strict", "length")
DEEPEST = 100
AS_TEXT = "Where render_template_as_native_obj is set, quotes keep a rendered template a text: \"'{{ ... }}'\"."
"""Advice on a value that should be a text."""
TOO_DEEP = f"an argument is nested deeper than {DEEPEST} levels, or holds itself"


class TextFields(RenderedTask):
    """
    Gives the fields of a task that are texts the text of what they were rendered to.

    To be put before ``BaseOperator`` among the bases of an operator, whose ``__init__`` calls :meth:`take_texts`.

    :cvar text_fields: the names of the templated fields that are texts, or mappings of texts.
    """

    text_fields: ClassVar[Sequence[str]] = ()

    def take_texts(self) -> None:
        """Replace what :func:`as_text` makes a text of; the checks refuse what is none then."""
        for name in self.text_fields:
            value = getattr(self, name)
            if isinstance(value, Mapping):
                setattr(self, name, {key: as_text(item) for key, item in value.items()})
            else:
                setattr(self, name, as_text(value))

    def after_rendering(self, context: Context) -> None:
        """Take the texts of what was rendered."""
        super().after_rendering(context)
        self.take_texts()


def as_text(value: Any) -> Any:
    """
    Return the text that a template had before native rendering: of a whole number, of True and False, of a date.

    Anything else is returned as it is: ``1.10`` and ``1e5`` cannot be told from the number that they became.
    """
    if isinstance(value, date) or (isinstance(value, int) and value.bit_length() <= _MOST_BITS):
        return str(value)
    return value


def is_jinja(text: str) -> bool:
    """Tell whether Airflow has still to render the text."""
    return "{{" in text or "{%" in text


def is_final(value: Any, *, depth: int = 0) -> bool:
    """
    Tell whether a value is what the task will see: no template, no reference to another task's output.

    :raises VideoConfigurationError: it is nested deeper than 100 levels, or holds itself.
    """
    if isinstance(value, str):
        return not is_jinja(value)
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if depth >= DEEPEST:
            raise VideoConfigurationError(TOO_DEEP)
        items = value.values() if isinstance(value, Mapping) else value
        return all(is_final(item, depth=depth + 1) for item in items)
    return value is None or isinstance(value, (int, float, bytes))


def check_if_exists(value: Any) -> None:
    """Refuse what says nothing of an object that is there already."""
    if value not in IF_EXISTS:
        raise VideoConfigurationError(f"if_exists must be one of {', '.join(IF_EXISTS)}, not {value!r}")


def check_checks(value: Any) -> None:
    """Refuse what is no strictness of the checks of a file."""
    if value not in CHECKS:
        raise VideoConfigurationError(f"checks must be one of {', '.join(CHECKS)}, not {value!r}")


def check_max_bytes(value: Any) -> None:
    """Refuse what is no number of bytes, or a text of one, as a rendered template is; None: the default."""
    if value is not None:
        text = str(value)
        check_count("max_bytes", int(text) if text.isdecimal() else value, least=1)


def check_conn_id(value: Any, name: str = "conn_id") -> None:
    """Refuse what cannot name a connection."""
    if not isinstance(value, str) or not value.strip():
        raise VideoConfigurationError(
            f"{name} must name an Airflow connection, not {_shown(value)}", advice=_advice_on(value)
        )


def check_text(name: str, value: Any) -> None:
    """Refuse what is no text; None: it is not given."""
    if value is not None and not isinstance(value, str):
        raise VideoConfigurationError(f"{name} must be a text, not {_shown(value)}", advice=_advice_on(value))


def check_media_type(name: str, value: Any) -> None:
    """Refuse what is no media type; an empty text or None: it is not given."""
    check_text(name, value)
    if value and (plain_media_type(value) is None or not _PRINTABLE_ASCII.fullmatch(value)):
        raise VideoConfigurationError(f"{name} must be a media type such as video/mp4, not {value!r}")


def job_id_of(value: Any) -> str:
    """
    Return the id of a job that is given by its id, or by the XCom ``video_job`` of the task that submitted it.

    A whole number becomes text, as in :func:`as_text`.

    :raises VideoConfigurationError: it is neither.
    """
    job_id = value.get("job_id") if isinstance(value, Mapping) else value
    if isinstance(job_id, int) and not isinstance(job_id, bool):
        job_id = as_text(job_id)
    if not isinstance(job_id, str) or job_id.strip() in ("", "None"):  # "None": a template wrote it
        shown = "a mapping without `job_id`" if isinstance(value, Mapping) else _shown(value)
        raise VideoConfigurationError(
            f"job_id must be the id of a job, or the XCom `video_job` of the task that submitted it, not {shown}. If "
            "that task was marked as success by hand, give it the XCom `return_value` with the job id, or see 'When "
            "the user decides' in the provider's documentation of submissions; then clear this task.",
            advice=_advice_on(job_id),
        )
    return job_id


def _advice_on(value: Any) -> Sequence[str]:
    return () if value is None or isinstance(value, (str, Mapping)) else (AS_TEXT,)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or a list of lists
        return f"this {type(value).__name__}"


def as_seconds(name: str, value: Any) -> float:
    """Return a number of seconds above 0 that is given as a number or as a timedelta."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds <= 0:
        raise VideoConfigurationError(f"{name} must be a number of seconds above 0 or a timedelta, not {value!r}")
    return float(seconds)


def check_count(name: str, value: Any, *, least: int) -> None:
    """Refuse what is not a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise VideoConfigurationError(f"{name} must be a whole number, {least} or more, not {value!r}")


def check_metadata(value: Any) -> None:
    """Refuse user metadata that some object store does not take: it travels in headers, its keys are identifiers."""
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and _METADATA_KEY.fullmatch(k) for k in value):
        raise VideoConfigurationError(
            "metadata must map names of ASCII letters and digits, which begin with a letter, to texts of printable "
            f"ASCII, not {_shown(value)}"
        )
    if own := sorted(key for key in value if key.lower() in _OWN_METADATA):
        raise VideoConfigurationError(f"metadata: {', '.join(own)} is a name by which the provider knows its files")
    for key, text in value.items():
        if not isinstance(text, str) or not _PRINTABLE_ASCII.fullmatch(text):
            raise VideoConfigurationError(
                f"metadata: {key} must be a text of printable ASCII, not {_shown(text)}", advice=_advice_on(text)
            )


def check_upload_options(value: Any) -> None:
    """Refuse options of an upload that are no mapping, or that name what the operator has arguments of its own for."""
    if value is None:
        return
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise VideoConfigurationError(f"options must be a mapping with texts as keys, not {value!r}")
    taken = [key for key in ("stream", "size", "name", "media_type") if key in value]
    if taken:
        raise VideoConfigurationError(
            f"options must not hold {' and '.join(taken)}: the operator's own arguments are source, name and media_type"
        )


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False: the text "no" would count as true."""
    if not isinstance(value, bool):
        raise VideoConfigurationError(f"{name} must be True or False, not {value!r}")


def check_max_cost(value: Any) -> None:
    """Refuse what is no amount above 0; None is no limit."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if value is not None and not (is_number and value > 0):
        raise VideoConfigurationError(f"max_cost must be a number above 0 in the vendor's own unit, not {value!r}")


def check_find_wait(value: Any) -> None:
    """Refuse what is no number of seconds from 0 to a day; None is the vendor's own value."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value <= _LONGEST_FIND_WAIT):  # also of nan
        raise VideoConfigurationError(
            f"find_wait must be a number of seconds, 0 or more and a day at most, not {value!r}"
        )
