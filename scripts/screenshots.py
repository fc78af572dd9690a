# SPDX-License-Identifier: Apache-2.0
"""
Make the screenshots of the docs from a real Airflow: the one that ``make ui`` runs.

``python scripts/screenshots.py http://127.0.0.1:8080 docs/images`` takes the Videos page, the form of each vendor's
connection, the grid and a log, in light and dark, at 1440 px and at the width of a phone. It needs playwright and
Chromium.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from airflow_video_providers.get_provider_info import read_vendors

CHROMIUM = "/usr/bin/chromium"
DAG = "render_catalogue"
SIZES = {"wide": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
THEMES = ("light", "dark")
PATIENCE = 120_000


class Photographer:
    """
    Takes screenshots of one look of the UI.

    :param look: e.g. ``wide-dark``: the end of the files' names.
    """

    def __init__(self, page: Any, address: str, folder: Path, look: str) -> None:
        self.page, self.address, self.folder, self.look = page, address, folder, look

    def open(self, path: str) -> None:
        """Open a page of Airflow."""
        self.page.goto(f"{self.address}/{path}", wait_until="domcontentloaded")

    def shoot(self, name: str) -> None:
        """Write one file, when the page has come to rest."""
        self.page.wait_for_timeout(2500)
        self.page.screenshot(path=self.folder / f"{name}-{self.look}.png")
        print(f"{name}-{self.look}.png", flush=True)

    def videos(self) -> None:
        """The Videos page, and a video that plays."""
        self.open("plugin/videos")
        frame = self.page.frame_locator("iframe[title=Videos]")
        frame.locator(".card canvas, .card img").first.wait_for()
        self.shoot("videos")
        frame.locator(".play").first.click()
        frame.locator("dialog video").wait_for()
        self.shoot("player")

    def form(self, vendor: str, name: str) -> None:
        """The form of a new connection, with the extra fields open."""
        self.open("connections")
        self.page.get_by_role("button", name="Add Connection").click()
        dialog = self.page.get_by_role("dialog")
        dialog.locator("input[name=connection_id]").fill(f"my_{vendor}")
        dialog.get_by_role("combobox").first.click()
        self.page.keyboard.type(name)
        self.page.get_by_role("option", name=name, exact=True).click()
        dialog.get_by_text("Standard Fields").wait_for()
        self.shoot(f"form-{vendor}")
        dialog.get_by_role("button", name="Extra Fields", exact=True).click()
        self.shoot(f"form-{vendor}-extras")

    def run(self) -> None:
        """The grid of the first run, and the log of a task that has waited."""
        self.open(f"dags/{DAG}")
        self.shoot("grid")
        runs = self.page.request.get(f"{self.address}/api/v2/dags/{DAG}/dagRuns").json()["dag_runs"]
        self.open(f"dags/{DAG}/runs/{runs[0]['dag_run_id']}/tasks/render.wait/mapped/0")
        self.page.get_by_text(re.compile("Task|Log|log")).first.wait_for()
        self.shoot("log")


def main(arguments: list[str] | None = None) -> int:
    """Take all screenshots."""
    parser = argparse.ArgumentParser(description="Screenshots of Airflow's UI as `make ui` runs it.")
    parser.add_argument("address", help="of the UI, as `make ui` prints it")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--forms", choices=("all", "one"), default="all", help="which connection forms are taken")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    vendors = {vendor["connection-type"]: vendor["hook-name"] for vendor in read_vendors()}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for size, viewport in SIZES.items():
            for theme in THEMES:
                context = browser.new_context(viewport=viewport, color_scheme=theme)
                context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
                page = context.new_page()
                page.set_default_timeout(PATIENCE)
                photographer = Photographer(page, options.address.rstrip("/"), options.folder, f"{size}-{theme}")
                photographer.videos()
                photographer.run()
                every = options.forms == "all" and size == "wide" and theme == "light"
                for vendor, name in vendors.items() if every else list(vendors.items())[:1]:
                    photographer.form(vendor, name)
                context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
