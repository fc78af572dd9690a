# SPDX-License-Identifier: Apache-2.0
"""``@task.video_job``: a function that returns the request, and the task that submits it exactly once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, determine_kwargs, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION
from airflow.sdk.definitions.context import context_merge

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_video_providers.hooks.requests import VendorRequest


class _VideoJobDecoratedOperator(DecoratedOperator, SubmitVideoJobOperator):
    """
    Submits the request that a function returns, as it is: texts in it are data, not templates.

    :param python_callable: the function; a retry calls it again, so let it return the same request each time.
    :param op_args: its positional arguments, ``op_kwargs``: its keyword arguments. (templated)
    """

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *SubmitVideoJobOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **SubmitVideoJobOperator.template_fields_renderers,
    }
    template_ext: Sequence[str] = ()  # its templates are the function's arguments
    custom_operator_name = "@task.video_job"
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Mapping[str, Any] | VendorRequest],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            request=SET_DURING_EXECUTION,
            # The task returns the job id; a function annotated with dict would make Airflow unpack it.
            **{**kwargs, "multiple_outputs": False},
        )

    def execute(self, context: Context) -> str:
        context_merge(context, self.op_kwargs)
        self.request = self.python_callable(
            *self.op_args, **determine_kwargs(self.python_callable, self.op_args, context)
        )
        return str(super().execute(context))


def video_job_task(
    python_callable: Callable[..., Mapping[str, Any] | VendorRequest] | None = None, **kwargs: Any
) -> TaskDecorator:
    """
    Make a task of a function that returns a request: ``@task.video_job(conn_id="acme_default")``.

    :param python_callable: the function; it returns a mapping, or a request model of the vendor's.
    :param kwargs: the arguments of :class:`SubmitVideoJobOperator` but ``request``, and of every task.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=_VideoJobDecoratedOperator,
        **kwargs,
    )
