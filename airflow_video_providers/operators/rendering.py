# SPDX-License-Identifier: Apache-2.0
"""The one place that steps in where Airflow renders the templates of a task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from jinja2 import Environment

    _Task = BaseOperator
else:
    _Task = object


class RenderedTask(_Task):
    """Tells a task that its fields are rendered. To be put before ``BaseOperator`` among the bases of an operator."""

    def after_rendering(self, context: Context) -> None:
        """Do what has to be done with the rendered fields, before Airflow goes on; the bases come first."""

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: Environment,
        seen_oids: set[int],
    ) -> None:
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)
        if parent is self:
            self.after_rendering(context)
