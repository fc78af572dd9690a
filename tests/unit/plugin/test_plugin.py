# SPDX-License-Identifier: Apache-2.0
"""The plugin as Airflow finds it, and what importing it costs every process."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

from airflow_video_providers.plugin import LazyApp, VideoProvidersPlugin


def test_airflow_finds_the_plugin_by_its_entry_point():
    (found,) = [each for each in entry_points(group="airflow.plugins") if each.name == "video_providers"]
    assert found.load() is VideoProvidersPlugin


def test_each_app_can_be_loaded_and_has_a_prefix_of_its_own():
    prefixes = [app["url_prefix"] for app in VideoProvidersPlugin.fastapi_apps]
    assert len(set(prefixes)) == len(prefixes)
    for app in VideoProvidersPlugin.fastapi_apps:
        if isinstance(app["app"], LazyApp):
            assert callable(app["app"]._load())


def test_importing_the_plugin_imports_no_app():
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import airflow_video_providers.plugin; "
        "new = set(sys.modules) - before; "
        "print([name for name in new if name.startswith(('fastapi', 'starlette', 'requests', 'airflow.models'))])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


def test_apps_that_are_loaded_at_once_do_not_wait_for_each_other():
    code = (
        "import threading; from airflow import settings; settings.initialize(); "
        "from airflow_video_providers.plugin import VideoProvidersPlugin; "
        "threads = [threading.Thread(target=app['app']._load) for app in VideoProvidersPlugin.fastapi_apps]; "
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]; print('loaded')"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert seen.stdout.strip().endswith("loaded")
