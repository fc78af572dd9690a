# SPDX-License-Identifier: Apache-2.0
"""The app as the API server serves it; importing this module makes it ready, which takes seconds."""

from __future__ import annotations

import contextlib

from sqlalchemy.orm import configure_mappers

from airflow_video_providers.callbacks import store
from airflow_video_providers.callbacks.app import make_app
from airflow_video_providers.callbacks.connections import find_hook, warm_up
from airflow_video_providers.callbacks.events import Teller

_teller = Teller(find_hook)
app = make_app(_teller)
warm_up()
# Here, not in the thread: it reads Airflow's models, and would wait for ever for a module whose import waits for it.
configure_mappers()
with contextlib.suppress(Exception):  # a database that is away now; what matters is that its models are read
    store.forget_old_news()
_teller.start()
