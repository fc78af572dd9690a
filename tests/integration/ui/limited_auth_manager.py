# SPDX-License-Identifier: Apache-2.0
"""Airflow's simple auth manager, with a user who may see some DAGs only: its own roles know no single DAG."""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


def _may_see(user: Any, dag_id: str) -> bool:
    limits = json.loads(os.environ["LIMITED_USERS"])
    return user.username not in limits or dag_id in limits[user.username]


class LimitedAuthManager(SimpleAuthManager):
    """``LIMITED_USERS`` is JSON: the name of each limited user, and the DAGs that they may see."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        """Refuse a DAG that the user may not see."""
        if details is not None and details.id is not None and not _may_see(user, details.id):
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: Any, method: Any = "GET", team_name: str | None = None
    ) -> set[str]:
        """Leave out the DAGs that the user may not see."""
        return {dag_id for dag_id in dag_ids if _may_see(user, dag_id)}
