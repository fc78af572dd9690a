# SPDX-License-Identifier: Apache-2.0
"""Who may see what: Airflow's own auth manager decides, for the page as for Airflow's REST API."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends

reads_xcoms = Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.XCOM))
"""Refuses who may not read the XComs of the request's ``dag_id``, or of any DAG where it has none."""


def _readable_dag_ids(user: GetUserDep) -> Collection[str]:
    """Return the DAGs that the user may read, as Airflow's list of XComs does."""
    return get_auth_manager().get_authorized_dag_ids(user=user, method="GET")


ReadableDagIds = Annotated[Collection[str], Depends(_readable_dag_ids)]
