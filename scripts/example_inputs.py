# SPDX-License-Identifier: Apache-2.0
"""
What the example DAGs render where the simulator stands for the vendors: the values of their Airflow variables.

No vendor is named here: the simulator tells its connections and an example request for each, and a hook whether its
vendor calls back.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local_run import RunError, control


def catalogue(url: str, *texts: str) -> list[dict[str, Any]]:
    """
    Return an example render for each vendor of the simulator, as the variable ``video_catalogue`` holds it.

    :param texts: the titles of the videos, used in turn.
    """
    examples = [control(url, f"examples?text={quote(text)}") for text in texts]
    return [
        {"conn_id": f"{vendor}_default", "request": examples[number % len(texts)][vendor]}
        for number, vendor in enumerate(examples[0])
    ]


def write_batches(url: str, folder: Path, size: int) -> list[dict[str, str]]:
    """
    Write a file of requests for each vendor, and return what the variable ``video_batches`` holds.

    :param size: how many renders a file has.
    """
    batches = []
    for number in range(size):
        for vendor, request in control(url, f"examples?text=Clip%20{number + 1}").items():
            batch = folder / f"{vendor}.jsonl"
            with batch.open("a", encoding="utf-8") as file:
                print(json.dumps({"id": f"clip-{number + 1}", "request": request}), file=file)
            if not number:
                batches.append({"conn_id": f"{vendor}_default", "requests": batch.as_uri()})
    return batches


def vendor_that_calls_back(home: Path) -> str:
    """
    Return a vendor that a request asks for its callback, and whose callbacks the token of their address proves.

    :param home: where this process's import of Airflow leaves its files.
    """
    os.environ["AIRFLOW_HOME"] = str(home)
    from airflow.sdk.module_loading import import_string

    from airflow_video_providers.get_provider_info import get_provider_info

    for kind in get_provider_info()["connection-types"]:
        hook = import_string(kind["hook-class-name"])
        if hook.takes_callback and not hook.signs_callbacks:
            return str(kind["connection-type"])
    raise RunError("no vendor calls back")


def callback_inputs(url: str, vendor: str, address: str) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """
    Return the id of a connection that takes callbacks, the connection, and what ``video_renders_called_back`` holds.

    :param vendor: the vendor that calls back.
    :param address: of Airflow's API server.
    """
    conn_id = f"{vendor}_calls_back"
    connection = control(url, "connections")[f"{vendor}_default"]
    extra = {"callback_secret": secrets.token_hex(16), "callback_base_url": address}
    connection["extra"] = {**connection.get("extra", {}), **extra}
    render = {"conn_id": conn_id, "request": control(url, "examples?text=Called%20back")[vendor]}
    return conn_id, connection, [render]
