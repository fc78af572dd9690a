# SPDX-License-Identifier: Apache-2.0
"""What the README shows is what runs, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import vendor_index

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_dag_of_the_readme_is_the_file_that_the_tests_run():
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"<!-- begin (\S+) -->\n```python\n(.*?)```\n<!-- end -->", text, flags=re.DOTALL)
    assert blocks
    for name, block in blocks:
        code = (ROOT / name).read_text()
        assert block == code[code.index("from airflow.sdk") :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_table_of_vendors_is_what_make_docs_writes():
    assert vendor_index.INDEX.read_text() == vendor_index.make_page(), "run make docs"
