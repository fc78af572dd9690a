# SPDX-License-Identifier: Apache-2.0
"""
What Airflow reads about the provider: connection types and their forms, modules, links, decorator.

Airflow calls this in every one of its processes, so it imports nothing.
"""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_video_providers"

# Optional fields need the null type, else the form marks them as required.
_OPTIONAL_TEXT = ["string", "null"]
_OPTIONAL_NUMBER = ["number", "null"]


def _field(label: str, description: str, type_: list[str] | str = "string", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": type_, **schema}}


def _common_fields() -> dict[str, Any]:
    """Return the form fields that every vendor's connection has; each is an extra of the same name."""
    return {
        "connect_timeout": _field(
            "Connect timeout", "Seconds to wait for a connection (default 10).", _OPTIONAL_NUMBER, minimum=1
        ),
        "read_timeout": _field(
            "Read timeout", "Seconds to wait for each part of an answer (default 60).", _OPTIONAL_NUMBER, minimum=1
        ),
        "retry_deadline": _field(
            "Retry deadline",
            "Seconds over which a call that may be repeated is tried again (default 120).",
            _OPTIONAL_NUMBER,
            minimum=1,
        ),
        "proxy": _field("Proxy", "URL of a proxy; empty: the environment's.", _OPTIONAL_TEXT),
        "ca_bundle": _field(
            "CA bundle", "Path of a CA bundle on the workers; empty: REQUESTS_CA_BUNDLE or certifi's.", _OPTIONAL_TEXT
        ),
        "verify": _field(
            "Verify TLS", "Turn off only for a test server of your own.", ["boolean", "null"], default=True
        ),
    }


def _connection_type(
    vendor: str,
    hook_class: str,
    name: str,
    *,
    base_url: str,
    hidden: list[str],
    relabel: dict[str, str],
    placeholders: dict[str, str],
    fields: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "connection-type": vendor,
        "hook-class-name": f"{_PACKAGE}.hooks.{vendor}.{hook_class}",
        "hook-name": name,
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "extra", *hidden],
            # No vendor needs a port. It is shown because the test icon of Airflow 3.3.2 refuses a saved connection
            # without one (apache/airflow#73298, fixed after that release): its page sends 0 for a port that is empty.
            "relabeling": {"host": "Base URL (empty: the vendor's)", "port": "Port (unused)", **relabel},
            "placeholders": {"host": base_url, "port": "0 lets the test icon of Airflow 3.3.2 work", **placeholders},
        },
        "conn-fields": {**(fields or {}), **_common_fields()},
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description in the form that Airflow documents for providers."""
    vendors = {
        "Colossyan": ("colossyan", "https://docs.colossyan.com/"),
        "Hour One": ("hourone", "https://hourone.gitbook.io/api-docs/"),
        "Oxolo": ("oxolo", "https://oxolo.com/documentation/"),
        "Xvid MediaHub": ("xvid", "https://mediahub.xvid.com/manual/"),
    }
    return {
        "package-name": "airflow-video-providers",
        "name": "Video providers",
        "description": "Video APIs: submit a render once, wait for it cheaply, land the whole video in object storage.",
        "integrations": [
            {"integration-name": name, "external-doc-url": url, "tags": ["service"]}
            for name, (_, url) in vendors.items()
        ]
        + [{"integration-name": "Video jobs", "tags": ["service"]}],
        "hooks": [
            {"integration-name": name, "python-modules": [f"{_PACKAGE}.hooks.{module}"]}
            for name, (module, _) in vendors.items()
        ]
        + [{"integration-name": "Video jobs", "python-modules": [f"{_PACKAGE}.hooks.base"]}],
        "operators": [
            {
                "integration-name": "Video jobs",
                "python-modules": [f"{_PACKAGE}.operators.video_job", f"{_PACKAGE}.operators.cancel_video_job"],
            }
        ],
        "sensors": [{"integration-name": "Video jobs", "python-modules": [f"{_PACKAGE}.sensors.video_job"]}],
        "triggers": [{"integration-name": "Video jobs", "python-modules": [f"{_PACKAGE}.triggers.video_job"]}],
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
        "extra-links": [f"{_PACKAGE}.links.VideoJobLink"],
        "task-decorators": [
            {"name": "video_job", "class-name": f"{_PACKAGE}.decorators.video_job_task"},
        ],
        "connection-types": [
            _connection_type(
                "colossyan",
                "ColossyanHook",
                "Colossyan",
                base_url="https://app.colossyan.com/api/v1",
                hidden=["login"],
                relabel={"password": "API token"},
                placeholders={"password": "the API token of your workspace"},
            ),
            _connection_type(
                "hourone",
                "HourOneHook",
                "Hour One",
                base_url="https://api.makereals.com/api/v1",
                hidden=["login"],
                relabel={"password": "API key"},
                placeholders={"password": "the active API key"},
                fields={
                    "workspace_id": _field(
                        "Workspace id", "Sent as the workspace-id header when a video is created.", _OPTIONAL_TEXT
                    ),
                    "team_id": _field("Team id", "Sent as the team-id header when a video is created.", _OPTIONAL_TEXT),
                },
            ),
            _connection_type(
                "oxolo",
                "OxoloHook",
                "Oxolo",
                base_url="https://api.oxolo.com/v1/api",
                hidden=["login"],
                relabel={"password": "API key"},
                placeholders={"password": "the API key (the vendor closed on 31 August 2024)"},
            ),
            _connection_type(
                "xvid",
                "XvidHook",
                "Xvid MediaHub",
                base_url="https://api.xvid.com/v1",
                hidden=[],
                relabel={"login": "Client id", "password": "Client secret"},
                placeholders={"login": "client id of the application", "password": "client secret of the application"},
                fields={
                    "scope": _field(
                        "Scope",
                        "Comma-separated, e.g. mediahub_read,mediahub_submit_jobs. Empty: not sent.",
                        _OPTIONAL_TEXT,
                    ),
                    "token_lifetime": _field(
                        "Token lifetime",
                        "Seconds for which a token is asked for. Empty: the vendor's default.",
                        _OPTIONAL_NUMBER,
                        minimum=1,
                    ),
                },
            ),
        ],
    }
