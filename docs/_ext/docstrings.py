# SPDX-License-Identifier: Apache-2.0
"""What docstrings and signatures say, as Markdown. It needs nothing of Sphinx, so that the tests can read it, too."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

FIELD = re.compile(r"^:(param|raises|return)(?: ([^:]+))?: ?(.*)$")


def split_docstring(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Return what a docstring says before its fields, and the fields as (kind, name, text), in Markdown."""
    body, fields = [], []
    for line in inspect.cleandoc(text).splitlines():
        if found := FIELD.match(line):
            fields.append([found[1], found[2] or "", found[3]])
        elif fields and line.strip():
            fields[-1][2] += f" {line.strip()}"
        elif not fields:
            body.append(line)
    return to_markdown("\n".join(body)).strip(), [(kind, name, to_markdown(said)) for kind, name, said in fields]


def to_markdown(text: str) -> str:
    """Turn the literals and roles of a docstring into Markdown."""
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text)
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def arguments_of(operator: type) -> Iterator[tuple[str, str, bool, str]]:
    """
    Yield name, default, whether it is templated, and meaning of each argument of an operator's own.

    Those of a base class are among them where the docstring describes them.
    """
    fields = split_docstring(operator.__doc__ or "")[1]
    said = {name: text.replace(" (templated)", "") for kind, name, text in fields if kind == "param"}
    own = signature_of(operator)
    for name in [*own, *(name for name in said if name not in own)]:
        default = next(known[name].default for known in map(signature_of, operator.__mro__) if name in known)
        shown = "required" if default is inspect.Parameter.empty else show_default(default)
        yield name, shown, name in operator.template_fields, said.get(name, "")


def signature_of(operator: type) -> dict[str, inspect.Parameter]:
    """Return the named arguments of a class."""
    parameters = inspect.signature(operator.__init__).parameters
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name: parameter for name, parameter in parameters.items() if name != "self" and parameter.kind in named}


def show_default(value: Any) -> str:
    """Return a default as code."""
    if isinstance(value, timedelta):
        hours, rest = divmod(value.total_seconds(), 3600)
        return f"`timedelta(seconds={value.total_seconds():.0f})`" if rest else f"`timedelta(hours={hours:.0f})`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value!r}`"


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def load(path: str) -> Any:
    """Return what a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
