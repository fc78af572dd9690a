# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the docs: ``make docs``. A warning is an error."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
# The operators' modules read Airflow's configuration: a home of its own, so that the build touches nobody's.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="docs-airflow-"))

from airflow_video_providers import __version__  # noqa: E402
from scripts.vendor_index import check_index  # noqa: E402

check_index()

project = "airflow-video-providers"
author = "the contributors of airflow-video-providers"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx_copybutton", "reference"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_ext", "examples"]
nitpicky = True

myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"airflow-video-providers {release}"
html_show_sourcelink = False
html_show_copyright = False

copybutton_prompt_text = "$ "

linkcheck_anchors = False
linkcheck_timeout = 20
# Examples of addresses, and the pages that are published with a release.
linkcheck_ignore = [r"http://127\.0\.0\.1", r"https://[^/]*\.example(/|$)", r"https://airflow-video-providers\."]
