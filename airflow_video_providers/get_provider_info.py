# SPDX-License-Identifier: Apache-2.0
"""
What Airflow reads about the provider: connection types and their forms, modules, links, decorator.

A vendor is a folder of ``hooks`` with a ``connection.yaml``; it is found by itself. Airflow calls this in every one of
its processes, so no module of a vendor is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_PACKAGE = "airflow_video_providers"

# Optional fields need the null type, else the form marks them as required.
_OPTIONAL_TEXT = ["string", "null"]
_OPTIONAL_NUMBER = ["number", "null"]


_CONFIG: dict[str, Any] = {
    "video_providers": {
        "description": "Settings of the video providers, for all connections of an Airflow deployment.",
        "options": {
            "transfer_memory_mb": {
                "description": (
                    "How much memory the buffers of all transfers of one process take together, in MiB. A transfer "
                    "that finds none free waits for it."
                ),
                "version_added": "0.2.0",
                "type": "integer",
                "example": "512",
                "default": "256",
            },
            "callback_base_url": {
                "description": (
                    "Public address of the API server, which video APIs send callbacks to. A connection's extra "
                    "callback_base_url wins; empty: [api] base_url."
                ),
                "version_added": "0.2.0",
                "type": "string",
                "example": "https://airflow.example.com",
                "default": None,
            },
        },
    },
}


def _field(label: str, description: str, type_: list[str] | str = "string", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": type_, **schema}}


def _common_fields() -> dict[str, Any]:
    """Return the form fields that every vendor's connection has; each is an extra of the same name."""
    return {
        "connect_timeout": _field(
            "Connect timeout", "Seconds to wait for a connection (default 10).", _OPTIONAL_NUMBER, minimum=1
        ),
        "read_timeout": _field(
            "Read timeout", "Seconds to wait for each part of a response (default 60).", _OPTIONAL_NUMBER, minimum=1
        ),
        "retry_deadline": _field(
            "Retry deadline",
            "Seconds over which a call that may be repeated is tried again (default 120).",
            _OPTIONAL_NUMBER,
            minimum=1,
        ),
        "proxy": _field("Proxy", "URL of a proxy; empty: the environment's.", _OPTIONAL_TEXT),
        "ca_bundle": _field(
            "CA bundle", "Path of a CA bundle on the workers; empty: the environment's or certifi's.", _OPTIONAL_TEXT
        ),
        "verify": _field(
            "Verify TLS", "Turn off only for a test server of your own.", ["boolean", "null"], default=True
        ),
        "allow_private_links": _field(
            "Allow private links",
            "Let links of the vendor lead into a private network (default: only where its API is there too).",
            ["boolean", "null"],
            default=False,
        ),
        "callback_secret": _field(
            "Callback secret",
            "Lets the vendor call Airflow: the secret of its webhook where it signs, else any random text of 16 "
            "characters or more. Empty: every callback is refused.",
            _OPTIONAL_TEXT,
            format="password",
        ),
        "callback_base_url": _field(
            "Callback base URL",
            "Public address of Airflow's API server, which callbacks are sent to; empty: the deployment's.",
            _OPTIONAL_TEXT,
        ),
    }


def read_vendors() -> list[dict[str, Any]]:
    """Return what the ``connection.yaml`` of each vendor says, in the order of their names."""
    return [_read(path) for path in sorted(Path(__file__).parent.glob("hooks/*/connection.yaml"))]


def connection_type(path: Path, *, package: str) -> dict[str, Any]:
    """
    Return a vendor's connection type, as the provider info of a distribution has it under ``connection-types``.

    The fields that all vendors' connections have are added to the form.

    :param path: a ``connection.yaml``, in the words of Airflow's ``provider.yaml``.
    :param package: the module or package that has the hook's class.
    """
    return _connection_type(_read(path), package)


def _read(path: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast, where there is one
    read: dict[str, Any] = yaml.load(path.read_text("utf-8"), loader)
    return read


def _connection_type(vendor: dict[str, Any], package: str) -> dict[str, Any]:
    form = vendor.get("ui-field-behaviour", {})
    # The form marks no standard field as required by itself: the label does, with the sign that it uses for others.
    relabeling = {"host": "Base URL (optional)", **form.get("relabeling", {})}
    needed = (name for name in ("login", "password") if name in relabeling)
    relabeling |= {name: f"{relabeling[name]}\N{NO-BREAK SPACE}*" for name in needed}
    return {
        "connection-type": vendor["connection-type"],
        "hook-class-name": f"{package}.{vendor['hook-class']}",
        "hook-name": vendor["hook-name"],
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "extra", "port", *form.get("hidden-fields", [])],
            "relabeling": relabeling,
            "placeholders": {"host": vendor["base-url"], **form.get("placeholders", {})},
        },
        "conn-fields": {**vendor.get("conn-fields", {}), **_common_fields()},
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description in the form that Airflow documents for providers."""
    vendors = read_vendors()
    return {
        "package-name": "airflow-video-providers",
        "name": "Video providers",
        "description": "Video APIs: submit once, wait cheaply, store the whole video in object storage.",
        "integrations": [
            {
                "integration-name": vendor["hook-name"],
                "external-doc-url": vendor["external-doc-url"],
                "tags": ["service"],
            }
            for vendor in vendors
        ]
        + [{"integration-name": "Video jobs", "tags": ["service"]}],
        "hooks": [
            {
                "integration-name": vendor["hook-name"],
                "python-modules": [f"{_PACKAGE}.hooks.{vendor['connection-type']}"],
            }
            for vendor in vendors
        ]
        + [{"integration-name": "Video jobs", "python-modules": [f"{_PACKAGE}.hooks.base"]}],
        "operators": [
            {
                "integration-name": "Video jobs",
                "python-modules": [
                    f"{_PACKAGE}.operators.video_job",
                    f"{_PACKAGE}.operators.cancel_video_job",
                    f"{_PACKAGE}.operators.render_videos",
                ],
            }
        ],
        "sensors": [{"integration-name": "Video jobs", "python-modules": [f"{_PACKAGE}.sensors.video_job"]}],
        "triggers": [
            {
                "integration-name": "Video jobs",
                "python-modules": [
                    f"{_PACKAGE}.triggers.finished_videos",
                    f"{_PACKAGE}.triggers.video_job",
                    f"{_PACKAGE}.triggers.video_jobs",
                ],
            }
        ],
        "transfers": [
            {
                "source-integration-name": "Video jobs",
                "target-integration-name": "Object storage",
                "python-module": f"{_PACKAGE}.transfers.video_to_object_storage",
            },
            {
                "source-integration-name": "Object storage",
                "target-integration-name": "Video jobs",
                "python-module": f"{_PACKAGE}.transfers.object_storage_to_video",
            },
        ],
        "extra-links": [
            f"{_PACKAGE}.links.{name}" for name in ("VideoJobLink", "StoredVideoLink", "VideoManifestLink")
        ],
        "task-decorators": [
            {"name": "video_job", "class-name": f"{_PACKAGE}.decorators.video_job_task"},
        ],
        "config": _CONFIG,
        "connection-types": [
            _connection_type(vendor, f"{_PACKAGE}.hooks.{vendor['connection-type']}") for vendor in vendors
        ],
    }
