# SPDX-License-Identifier: Apache-2.0
"""
Look at Airflow's UI as ``make ui`` runs it, and make the screenshots of the docs from it.

``python scripts/screenshots.py http://127.0.0.1:8080 FOLDER`` takes the Videos page with its filter and player, the
grid, labels, links and logs of the first run, and each vendor's connection form: filled in by hand, saved and tested.
All of it in light and dark, at 1440 px and at the width of a phone. ``--only forms`` takes a part; ``--only empty`` is
for an Airflow without renders (``make ui ARGS=--no-run``). It needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import TimeoutError, sync_playwright

from airflow_video_providers.get_provider_info import read_vendors

CHROMIUM = "/usr/bin/chromium"
DAG = "render_catalogue"
SIZES = {"wide": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
TALL = 2600
THEMES = ("light", "dark")
PATIENCE = 120_000
SKELETONS = 10_000
INDEX = 3
LINES = {"submit": re.compile("Submitted:"), "wait": re.compile(r"after \d+ s"), "store": re.compile("Stored ")}
"""What the log of each task must show before its picture is taken."""
STANDARD = ("host", "login", "password")


class Photographer:
    """
    Takes screenshots of one look of the UI.

    :param look: e.g. ``wide-dark``: the end of the files' names.
    """

    def __init__(self, page: Any, address: str, folder: Path, look: str) -> None:
        self.page, self.address, self.folder, self.look = page, address, folder, look
        self.size = page.viewport_size

    def open(self, path: str) -> None:
        """Open a page of Airflow."""
        self.page.goto(f"{self.address}/{path}", wait_until="domcontentloaded")

    def read(self, path: str) -> Any:
        """Read from Airflow's REST API as the user."""
        return self.page.request.get(f"{self.address}/api/v2/{path}").json()

    def shoot(self, name: str, what: Any = None, *, rest: int = 1500) -> None:
        """Write one file, when the page, or a part of it, has come to rest."""
        self.page.wait_for_timeout(rest)
        with suppress(TimeoutError):  # Airflow keeps some for ever
            self.page.wait_for_function("() => !document.querySelector('.chakra-skeleton')", timeout=SKELETONS)
        (what or self.page).screenshot(path=self.folder / f"{name}-{self.look}.png")
        print(f"{name}-{self.look}.png", flush=True)

    def shoot_whole(self, name: str, what: Any) -> None:
        """Write one file of a part that may be higher than the window."""
        self.page.set_viewport_size({**self.size, "height": TALL})
        self.shoot(name, what, rest=600)
        self.page.set_viewport_size(self.size)

    # ---------------------------------------------------------------- the Videos page

    def empty(self) -> None:
        """The Videos page of an Airflow without renders."""
        self.open("plugin/videos")
        self.page.frame_locator("iframe[title=Videos]").get_by_text("No renders yet").wait_for()
        self.shoot("videos-empty")

    def videos(self, vendor: str | None) -> None:
        """
        The Videos page, a filter, and a video that plays.

        :param vendor: to filter by, default the first.
        """
        self.open("plugin/videos")
        frame = self.page.frame_locator("iframe[title=Videos]")
        frame.locator(".card canvas, .card img").first.wait_for()
        self.shoot("videos", rest=5000)
        frame.locator(".chip.succeeded").click()
        frame.locator("#vendor").select_option(**({"value": vendor} if vendor else {"index": 1}))
        frame.locator(".card").first.wait_for()
        self.shoot("videos-filter")
        frame.locator(".play").first.click()
        frame.locator("dialog video").wait_for()
        self.shoot("player")

    # ---------------------------------------------------------------- connections

    def forms(self, simulator: str, kinds: list[str] | None) -> None:
        """Each vendor's form, filled in by hand with what the simulator takes; the connection is saved and tested."""
        given = requests.get(f"{simulator}/_simulator/connections", timeout=30).json().values()
        connections = {connection["conn_type"]: connection for connection in given}
        for vendor in read_vendors():
            kind = vendor["connection-type"]
            if kind not in (kinds or connections):
                continue
            self.forget(kind)
            self.form(kind, vendor["hook-name"], connections[kind])
            self.test(kind)
            self.forget(kind)

    def forget(self, kind: str) -> None:
        """Delete the connection that an earlier look has saved."""
        self.page.request.delete(f"{self.address}/api/v2/connections/my_{kind}", timeout=PATIENCE)

    def form(self, kind: str, name: str, connection: dict[str, Any]) -> None:
        """Fill in one form, and save it."""
        self.open("connections")
        self.page.get_by_role("button", name="Add Connection").click()
        dialog = self.page.get_by_role("dialog")
        dialog.locator("input[name=connection_id]").fill(f"my_{kind}")
        dialog.get_by_role("combobox").first.click()
        self.page.keyboard.type(name)
        self.page.get_by_role("option", name=name, exact=True).click()
        dialog.get_by_text("Standard Fields").wait_for()
        dialog.locator("input[name=host]").wait_for()
        self.shoot_whole(f"form-{kind}", dialog)
        for field in STANDARD:
            if connection.get(field):
                dialog.locator(f"input[name={field}]").fill(connection[field])
        dialog.get_by_role("button", name="Extra Fields", exact=True).click()
        for field, value in extras_of(connection).items():
            self.fill_extra(dialog, field, value)
        self.shoot_whole(f"form-{kind}-extras", dialog)
        dialog.get_by_role("button", name=re.compile("^Save")).click()
        dialog.wait_for(state="hidden")

    def fill_extra(self, dialog: Any, field: str, value: Any) -> None:
        """Fill in one of the extra fields, whatever it is shown as."""
        named = dialog.locator(f"[name=element_{field}], [id=element_{field}]")
        inner = dialog.locator(f"[id=element_{field}] input")
        (inner if inner.count() else named).first.fill(str(value))

    def test(self, kind: str) -> None:
        """Test a saved connection by its icon, and print the text of the test."""
        row = self.page.get_by_role("row").filter(has_text=f"my_{kind}")
        with self.page.expect_response(re.compile("/api/v2/connections/test")) as told:
            row.get_by_role("button", name=re.compile("test", re.IGNORECASE)).click()
        self.shoot(f"form-{kind}-test", rest=800)
        print(f"  {kind}: {told.value.status} {told.value.json()}", flush=True)

    # ---------------------------------------------------------------- a run

    def run(self) -> None:
        """The grid of the first run, its mapped tasks, and the links and logs of three of them."""
        self.open(f"dags/{DAG}")
        self.shoot("grid", rest=4000)
        run_id = self.read(f"dags/{DAG}/dagRuns")["dag_runs"][0]["dag_run_id"]
        place = f"dags/{DAG}/runs/{run_id}"
        self.open(place)
        self.shoot("grid-run", rest=4000)
        for task in ("submit", "wait", "store"):
            self.open(f"{place}/tasks/render.{task}/mapped")
            self.shoot(f"mapped-{task}", rest=4000)
            self.open(f"{place}/tasks/render.{task}/mapped/{INDEX}")
            self.page.get_by_text(LINES[task]).first.wait_for()
            self.shoot(f"log-{task}")
            self.open(f"{place}/tasks/render.{task}/mapped/{INDEX}/details")
            self.page.get_by_text("Extra Links").first.wait_for()
            self.shoot(f"links-{task}")


def extras_of(connection: dict[str, Any]) -> dict[str, Any]:
    """Return the extras of a connection as the simulator gives it."""
    extra = connection.get("extra") or {}
    return dict(json.loads(extra) if isinstance(extra, str) else extra)


def simulator_of(address: str) -> str:
    """Return the address of the simulator beside an Airflow: the connections of ``make ui`` lead there."""
    session = requests.Session()
    session.trust_env = False
    token = session.get(f"{address}/auth/token", timeout=60).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    found = session.get(f"{address}/api/v2/connections", headers=headers, timeout=60).json()["connections"]
    for connection in found:
        if match := re.match(r"http://127\.0\.0\.1:\d+", connection["host"] or ""):
            return match.group()
    raise SystemExit(f"{address} has no connection to a simulator: is it the one of `make ui`?")


def main(arguments: list[str] | None = None) -> int:
    """Take the screenshots."""
    parser = argparse.ArgumentParser(description="Screenshots of Airflow's UI as `make ui` runs it.")
    parser.add_argument("address", help="of the UI, as `make ui` prints it")
    parser.add_argument("folder", type=Path, help="where the files go")
    parser.add_argument("--only", choices=("videos", "run", "forms", "empty"), help="take one part alone")
    parser.add_argument("--looks", nargs="*", help="some looks alone, such as wide-light phone-dark")
    parser.add_argument("--vendors", nargs="*", help="the forms of these alone; the filter is by the first")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    address = options.address.rstrip("/")
    simulator = simulator_of(address)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for size, viewport in SIZES.items():
            for theme in THEMES:
                look = f"{size}-{theme}"
                if options.looks and look not in options.looks:
                    continue
                context = browser.new_context(viewport=viewport, color_scheme=theme)
                context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
                context.set_default_timeout(PATIENCE)
                page = context.new_page()
                photographer = Photographer(page, address, options.folder, look)
                parts: dict[str, Callable[[], None]] = {
                    "videos": lambda taken=photographer: taken.videos((options.vendors or [None])[0]),
                    "run": photographer.run,
                    "forms": lambda taken=photographer: taken.forms(simulator, options.vendors),
                    "empty": photographer.empty,
                }
                for name in [options.only] if options.only else ["videos", "run", "forms"]:
                    parts[name]()
                context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
