# SPDX-License-Identifier: Apache-2.0
"""
Directives that write pages from the code: an operator's arguments, the fields of a model, the example DAGs.

Each makes Markdown, which MyST parses as if it stood on the page.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FIELD = re.compile(r"^:(param|raises|return)(?: ([^:]+))?: ?(.*)$")
DAGS = Path(__file__).resolve().parents[2] / "dags"


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


class MarkdownDirective(SphinxDirective):
    """A directive that makes Markdown."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Parse the Markdown."""
        lines = StringList(self.lines(), self.env.docname)
        node = nodes.container()
        self.state.nested_parse(lines, 0, node, match_titles=True)
        return node.children

    def lines(self) -> list[str]:
        """Return the Markdown."""
        raise NotImplementedError


class Operator(MarkdownDirective):
    """``{operator} path.to.Class``: what it does, its arguments with defaults, what it returns and raises."""

    required_arguments: ClassVar[int] = 1

    def lines(self) -> list[str]:
        """Return the Markdown."""
        operator = load(self.arguments[0])
        body, fields = split_docstring(operator.__doc__ or "")
        rows = (
            (f"`{name}`", default, "yes" if jinja else "", text)
            for name, default, jinja, text in arguments_of(operator)
        )
        lines = [f"`from {operator.__module__} import {operator.__name__}`", "", *body.splitlines(), ""]
        lines += table(("argument", "default", "meaning"), rows)
        for kind, title in (("return", "Returns"), ("raises", "Raises")):
            for _, name, text in (field for field in fields if field[0] == kind):
                lines += ["", f"**{title}** {f'`{name}`: ' if name else ''}{text}"]
        return lines


class Fields(MarkdownDirective):
    """``{fields} path.to.Model``: the fields of a model, as its docstring has them."""

    required_arguments: ClassVar[int] = 1

    def lines(self) -> list[str]:
        """Return the Markdown."""
        fields = split_docstring(load(self.arguments[0]).__doc__ or "")[1]
        rows = ((f"`{name}`", text) for kind, name, text in fields if kind == "param")
        return table(("field", "meaning"), rows)


class ExampleDags(MarkdownDirective):
    """``{example-dags}``: every example DAG, with what its file says of it."""

    def lines(self) -> list[str]:
        """Return the Markdown."""
        lines = []
        for path in sorted(DAGS.glob("*.py")):
            self.env.note_dependency(str(path))
            code = path.read_text("utf-8")
            said = to_markdown(ast.get_docstring(ast.parse(code)) or "")
            shown = code[code.index("from airflow.sdk") :] if "from airflow.sdk" in code else code
            lines += [f"({path.stem})=", f"## {path.stem}", "", *said.splitlines(), "", "````python"]
            lines += [*shown.rstrip().splitlines(), "````", ""]
        return lines


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("operator", Operator)
    app.add_directive("fields", Fields)
    app.add_directive("example-dags", ExampleDags)
    return {"parallel_read_safe": True}
