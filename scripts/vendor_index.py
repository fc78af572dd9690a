# SPDX-License-Identifier: Apache-2.0
"""
``make docs``: write ``docs/vendors/index.md``, the table of all vendors.

What a vendor can do is read off its hook's class, the rest off the table "At a glance" of its page. The vendors are
found in the provider info.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

from airflow_video_providers.get_provider_info import get_provider_info
from airflow_video_providers.hooks.base import KeySupport, VideoHook

DOCS = Path(__file__).resolve().parent.parent / "docs"
INDEX = DOCS / "vendors" / "index.md"
ROWS = ("for", "outputs", "files live", "price", "callback", "written from")
COLUMNS = ("vendor", "for", "a lost response", "cancel", "many jobs", *ROWS[1:])
HEAD = """# Vendors

Made by `make docs` of the vendors' pages and hooks; do not edit it.

- *A lost response*: how a retry finds out what became of a submission without one ([submission](../submission.md)).
- *Many jobs*: whether one request polls them all, and how many requests a second the vendor documents.
- *Files live*: how long the vendor keeps them. *Price*: its unit, and whether the API tells it.
- *Callback*: where it is set up, and whether it carries the submission key or names the job alone.
- *Written from*: the vendor's documents that the hook was written from. No call to a live account was made.

"""


TOCTREE = """
```{toctree}
:hidden:
:glob:

*
```
"""


def main() -> int:
    """Write the page; return the exit code."""
    INDEX.write_text(make_page(), "utf-8")
    return 0


def check_index() -> None:
    """
    Refuse a table that is not what the vendors' pages and hooks say.

    :raises SystemExit: it is another one.
    """
    if INDEX.read_text("utf-8") != make_page():
        raise SystemExit("docs/vendors/index.md is not what the vendors' pages and hooks say: run make docs")


def make_page() -> str:
    """Return the page."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(describe, find_hooks())]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows) + TOCTREE


def find_hooks() -> list[type[VideoHook]]:
    """Return the hooks of all vendors, in the order of their names."""
    hooks = []
    for entry in get_provider_info()["connection-types"]:
        module, _, name = entry["hook-class-name"].rpartition(".")
        hooks.append(getattr(import_module(module), name))
    return sorted(hooks, key=lambda hook: hook.hook_name.lower())


def describe(hook: type[VideoHook]) -> tuple[str, ...]:
    """Return one vendor's row."""
    glance = read_glance(hook.conn_type)
    return (
        f"[{hook.hook_name}]({hook.conn_type}.md)",
        glance["for"],
        describe_search(hook),
        "yes" if hook.can_cancel else "no",
        describe_polling(hook),
        *(glance[name] for name in ROWS[1:]),
    )


def describe_search(hook: type[VideoHook]) -> str:
    """Say how a lost response is resolved."""
    ways = [] if hook.replay_seconds is None else [f"sent again with its key, for {hook.replay_seconds / 3600:g} hours"]
    if hook.key_support is KeySupport.EXACT:
        ways.append("found surely")
    elif hook.key_support is KeySupport.BEST_EFFORT:
        ways.append("a likely match is found")
    return "; then ".join(ways) or "the user decides"


def describe_polling(hook: type[VideoHook]) -> str:
    """Say how many jobs are polled."""
    pace = "" if hook.requests_per_second is None else f"; {hook.requests_per_second:g} requests a second"
    return ("one request" if hook.can_list else "one request each") + pace


def read_glance(vendor: str) -> dict[str, str]:
    """Read the table "At a glance" of a vendor's page."""
    text = (DOCS / "vendors" / f"{vendor}.md").read_text("utf-8").partition("## At a glance\n")[2].partition("\n## ")[0]
    glance = dict(re.findall(r"^\| ([^|]+?) \| (.+?) \|$", text, re.MULTILINE))
    if missing := [name for name in ROWS if name not in glance]:
        raise SystemExit(f"docs/vendors/{vendor}.md needs a table '## At a glance' with the rows: {', '.join(missing)}")
    return glance


if __name__ == "__main__":
    sys.exit(main())
