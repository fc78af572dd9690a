# SPDX-License-Identifier: Apache-2.0
"""The house: its rooms are described, its modules small, and a vendor's name stands in the vendor's own files alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import airflow_video_providers
from tests.support.vendors import HOOKS

ROOT = Path(__file__).parents[3]
PACKAGE = Path(airflow_video_providers.__file__).parent
FOLDERS = ("airflow_video_providers", "benchmarks", "dags", "docs", "scripts", "tests", ".ci", ".github")
MADE = {"__pycache__", "_build"}
TEXTS = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".txt", ".cfg", ""}


def test_the_rooms_are_those_of_the_page():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {room for room in rooms if f"`{room}/`" not in page} == set()


def test_few_modules_lie_at_the_root():
    assert len([path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]) <= 10


def files():
    """Return the project's own texts, as paths below its root."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file() and not MADE & set(path.parts)]
    return [path.relative_to(ROOT) for path in found if path.suffix in TEXTS]


ALLOWED = {
    "README.md": "names what the package offers",
    "CHANGELOG.md": "names what was added",
    "docs/vendors/index.md": "is made by make docs",
    "benchmarks/bench_vendor_sdks.py": "measures the SDKs that these vendors publish",
    "constraints.txt": "pins the names of their SDKs",
    "pyproject.toml": "has them as keywords, and their SDKs",
}


def names_of(vendor):
    """Return the pattern of a vendor's names: its connection type and its name, also within an identifier."""
    hook = HOOKS[vendor]
    names = {vendor, hook.hook_name, hook.__name__.removesuffix("Hook")}
    return re.compile(rf"(?<![A-Za-z.])(?i:{'|'.join(map(re.escape, names))})(?![a-z])")


@pytest.mark.parametrize("vendor", HOOKS)
def test_a_vendor_is_named_in_its_own_files_alone(vendor):
    pattern, named = names_of(vendor), []
    for path in files():
        if str(path) in ALLOWED or vendor in re.split(r"[/_.]", str(path)):
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                named.append(f"{path}:{number}: {line.strip()[:100]}")
    assert named == []
