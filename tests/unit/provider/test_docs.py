# SPDX-License-Identifier: Apache-2.0
"""What the README shows is what runs, and its links lead somewhere."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest

from airflow_video_providers import __version__, testing
from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.hooks import common, lists
from airflow_video_providers.hooks.base import VideoHook
from scripts import vendor_index
from tests.support.vendors import HOOKS

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *(path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts)]


def test_the_dag_of_the_readme_is_the_file_that_the_tests_run():
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"<!-- begin (\S+) -->\n```python\n(.*?)```\n<!-- end -->", text, flags=re.DOTALL)
    assert blocks
    for name, block in blocks:
        code = (ROOT / name).read_text()
        assert block == code[code.index(block.partition("\n")[0]) :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_table_of_vendors_is_what_make_docs_writes():
    assert vendor_index.INDEX.read_text() == vendor_index.make_page(), "run make docs"


def test_included_files_exist():
    for page in PAGES:
        for name in re.findall(r"^```\{(?:literal)?include\} (\S+)$", page.read_text(), re.MULTILINE):
            assert (page.parent / name).is_file(), f"{page.name}: {name}"


def test_each_page_is_in_a_table_of_contents():
    index = (DOCS / "index.md").read_text()
    listed = {line for line in index.splitlines() if re.fullmatch(r"[\w/]+", line)}
    globs = re.findall(r"^\S*[*]\S*$", index, re.MULTILINE)
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in PAGES if path.is_relative_to(DOCS)}
    own = {page for page in pages if not page.startswith("vendors/")} - {"index"}
    assert {page for page in own - listed if not any(fnmatch(page, pattern) for pattern in globs)} == set()


def test_every_argument_of_the_operators_is_described(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    reference = import_module("docstrings")
    page = (DOCS / "reference" / "operators.md").read_text()
    operators = [reference.load(path) for path in re.findall(r"^```\{operator\} (\S+)$", page, re.MULTILINE)]
    assert {operator.__module__ for operator in operators} <= public_modules()
    assert public_modules() <= {operator.__module__ for operator in operators}
    for operator in operators:
        assert [name for name, _, _, text in reference.arguments_of(operator) if not text] == [], operator.__name__


def public_modules():
    """Return the modules of operators, sensors and transfers, as the provider info has them."""
    info = get_provider_info()
    modules = [
        module for kind in ("operators", "sensors") for entry in info[kind] for module in entry["python-modules"]
    ]
    return {*modules, *(entry["python-module"] for entry in info["transfers"])}


def test_the_version_is_in_the_changelog():
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_docs_have_one_address():
    text = (ROOT / "pyproject.toml").read_text()
    (address,) = re.findall(r'^Documentation = "(\S+)/"$', text, re.MULTILINE)
    targets = re.findall(r"^replacement = '\]\((\S+?)/[^/\s]*\)'$", text, re.MULTILINE)
    assert {target.removesuffix("/_images") for target in targets} == {address}
    assert len(targets) == text.count("fancy-pypi-readme.substitutions]]")


def test_the_page_of_hooks_names_all_that_a_hook_of_ones_own_may_use():
    page = (DOCS / "hooks.md").read_text()
    of_airflow = {"close", "conn_name_attr", "connection", "exposures", "extras", "get_conn"}
    bases = [kind for kind in VideoHook.__mro__ if kind.__module__.startswith("airflow_video_providers")]
    names = {name for kind in bases for name in (*vars(kind), *vars(kind).get("__annotations__", {}))}
    names = {name for name in names if not name.startswith("_")} - of_airflow
    names |= {*common.__all__, *lists.__all__, *testing.__all__}
    assert {name for name in names if not re.search(rf"\b{name}\b", page)} == set()


@pytest.mark.parametrize("vendor", HOOKS)
def test_the_page_of_a_vendor_names_each_call_of_its_hook(vendor):
    page = (DOCS / "vendors" / f"{vendor}.md").read_text()
    own = f"airflow_video_providers.hooks.{vendor}."
    calls = [name for kind in HOOKS[vendor].__mro__ if kind.__module__.startswith(own) for name in vars(kind)]
    calls = [name for name in calls if not name.startswith("_") and not hasattr(VideoHook, name)]
    assert {name for name in calls if callable(getattr(HOOKS[vendor], name)) and f"`{name}(" not in page} == set()
