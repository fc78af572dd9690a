# SPDX-License-Identifier: Apache-2.0
"""
Directives that write pages from the code: an operator's arguments, the fields of a model, the example DAGs.

Each makes Markdown, which MyST parses as if it stood on the page.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, ClassVar

from docstrings import arguments_of, load, split_docstring, table, to_markdown
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DAGS = Path(__file__).resolve().parents[2] / "dags"


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
