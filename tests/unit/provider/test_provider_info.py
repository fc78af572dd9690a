# SPDX-License-Identifier: Apache-2.0
"""What Airflow sees of the provider: the entry point, the forms, the modules and the classes they name."""

from __future__ import annotations

import importlib
import json
import re
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk.configuration import conf
from airflow.sdk.module_loading import import_string

import airflow_video_providers
from airflow_video_providers.delivery.buffers import shared_pool
from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.hooks.base import VideoHook
from tests.support.vendors import HOOKS

INFO = get_provider_info()


def test_the_entry_point_is_the_one_that_airflow_looks_for():
    (point,) = [p for p in entry_points(group="apache_airflow_provider") if p.dist.name == "airflow-video-providers"]
    assert point.load()() == INFO


def test_the_info_passes_airflows_schema():
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_airflow_finds_the_provider_and_its_hooks():
    manager = ProvidersManager()
    assert "airflow-video-providers" in manager.providers
    for vendor, hook in HOOKS.items():
        assert import_string(manager.hooks[vendor].hook_class_name) is hook


def test_each_folder_of_a_vendor_is_a_connection_type():
    folders = Path(airflow_video_providers.__file__).parent.joinpath("hooks").glob("*/")
    assert {folder.name for folder in folders if (folder / "hook.py").exists()} == set(HOOKS)


@pytest.mark.parametrize("vendor", HOOKS)
def test_a_form_and_its_hook_agree(vendor):
    (form,) = [entry for entry in INFO["connection-types"] if entry["connection-type"] == vendor]
    hook = import_string(form["hook-class-name"])
    assert issubclass(hook, VideoHook)
    assert hook.conn_type == hook.vendor == vendor
    assert hook.default_conn_name == f"{vendor}_default"
    assert hook.hook_name == form["hook-name"]
    assert form["ui-field-behaviour"]["placeholders"]["host"] == hook.default_base_url.rstrip("/")


def test_optional_fields_are_not_shown_as_required():
    for form in INFO["connection-types"]:
        for name, field in form["conn-fields"].items():
            assert "null" in field["schema"]["type"], (form["connection-type"], name)


def test_no_field_is_shown_as_json_or_its_empty_choice_as_null():
    for form in INFO["connection-types"]:
        for name, field in form["conn-fields"].items():
            schema, where = field["schema"], (form["connection-type"], name)
            assert len(set(schema["type"]) - {"null"}) == 1, where
            assert None not in schema.get("enum", []) or schema["values_display"]["null"], where


def test_every_module_and_class_that_is_named_exists():
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in INFO[kind]:
            for module in entry["python-modules"]:
                importlib.import_module(module)
    for entry in INFO["transfers"]:
        importlib.import_module(entry["python-module"])
    for path in [*INFO["extra-links"], *(decorator["class-name"] for decorator in INFO["task-decorators"])]:
        import_string(path)


def test_every_setting_that_is_read_is_declared_and_no_other():
    package = Path(airflow_video_providers.__file__).parent
    read = set()
    for path in package.rglob("*.py"):
        read |= set(re.findall(r'conf\.get\w*\(\s*"video_providers", "(\w+)"', path.read_text()))
    assert read == set(INFO["config"]["video_providers"]["options"])


def test_a_setting_has_the_default_that_is_declared():
    assert conf.getint("video_providers", "transfer_memory_mb") * 2**20 == shared_pool().budget
