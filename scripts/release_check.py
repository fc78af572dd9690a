# SPDX-License-Identifier: Apache-2.0
"""
``make release-check``: what is about to be published is whole, and the README's first video works from it alone.

It builds sdist and wheel, checks their metadata and what they hold, installs the wheel in an empty environment and does
there, in an empty folder, what the README's section "Your first video" says, command by command.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from email.parser import BytesParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INSTALL = "pip install 'airflow-video-providers[simulator]'"


class ReleaseError(Exception):
    """Something must not be published as it is; the text says what."""


def main() -> int:
    """Check a release; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            wheel = build(Path(folder) / "dist")
            check_wheel(wheel)
            check_changelog(wheel)
            follow_readme(wheel, Path(folder) / "empty")
    except ReleaseError as error:
        print(f"\nrelease check failed: {error}", file=sys.stderr)
        return 1
    say(f"all is well, {time.monotonic() - started:.0f} s in all")
    return 0


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"[release-check] {text}", flush=True)


def run(*command: str | Path) -> None:
    """Run a command; raise if it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(map(str, command))}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def build(folder: Path) -> Path:
    """Build sdist and, from it, the wheel; return the wheel."""
    say("building sdist and wheel")
    run(sys.executable, "-m", "build", "--outdir", folder)
    run(sys.executable, "-m", "twine", "check", "--strict", *folder.iterdir())
    (wheel,) = folder.glob("*.whl")
    say(f"{', '.join(sorted(path.name for path in folder.iterdir()))}: metadata and long description are valid")
    return wheel


def check_wheel(wheel: Path) -> None:
    """Refuse a wheel that lacks something, holds too much, or whose description has a link that leads nowhere."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        headers = BytesParser().parsebytes(archive.read(metadata))
    wanted = {f"airflow_video_providers/example_dags/{path.name}" for path in (ROOT / "dags").glob("*.py")}
    tracked = subprocess.run(
        ["git", "ls-files", "airflow_video_providers"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    if missing := sorted((wanted | set(tracked)) - names):
        raise ReleaseError(f"the wheel lacks {', '.join(missing)}")
    top = {name.partition("/")[0] for name in names}
    if strange := {name for name in top if name != "airflow_video_providers" and not name.endswith(".dist-info")}:
        raise ReleaseError(f"the wheel holds {', '.join(sorted(strange))}")
    description = str(headers.get_payload())
    if relative := re.findall(r"\]\((?!https?://|#)([^)]+)\)", description):
        raise ReleaseError(f"the long description has relative links: {', '.join(relative)}")
    say(f"the wheel holds {len(names)} files, {len(wanted)} of them example DAGs")
    (docs,) = [url.split()[-1] for url in headers.get_all("Project-URL") if url.startswith("Documentation")]
    say(f"the links of its description lead to {docs}: publish the docs there first")


def check_changelog(wheel: Path) -> None:
    """Refuse a version that the changelog does not have."""
    version = wheel.name.split("-")[1]
    if f"\n## [{version}]" not in (ROOT / "CHANGELOG.md").read_text("utf-8"):
        raise ReleaseError(f"CHANGELOG.md has no section [{version}]")
    say(f"the changelog has {version}")


def follow_readme(wheel: Path, folder: Path) -> None:
    """Do what the README says in an empty folder, with the wheel in place of the package index."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## Your first video\n")[2].partition("\n## ")[0]
    blocks = BLOCK.findall(section)
    (dag,) = [text for kind, text in blocks if kind == "python"]
    script = "set -euo pipefail\n" + "".join(text for kind, text in blocks if kind == "bash")
    if INSTALL not in script:
        raise ReleaseError(f"the README does not say: {INSTALL}")
    script = script.replace(INSTALL, f"pip install --quiet '{wheel}[simulator]'").replace("8099", str(free_port()))
    folder.mkdir()
    (found,) = re.findall(r"`dags/(\w+\.py)`", section)
    (folder / "dags").mkdir()  # the commands make it, too
    (folder / "dags" / found).write_text(dag)
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV"))
    }
    say("following the README in an empty folder: install, simulator, database, DAG")
    started = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        printed = process.communicate(timeout=1800)[0]
    finally:
        stop_group(process.pid)
    if process.returncode:
        raise ReleaseError(f"the README's commands failed:\n{printed[-5000:]}")
    videos = list((folder / "videos").rglob("*.mp4"))
    if len(videos) != 1 or b"ftyp" not in videos[0].read_bytes()[:16]:
        raise ReleaseError(f"no video was stored:\n{printed[-5000:]}")
    (size, seconds) = (videos[0].stat().st_size, time.monotonic() - started)
    say(f"{videos[0].relative_to(folder)}: {size} bytes, {seconds:.0f} s after the first command")


def stop_group(pid: int) -> None:
    """End the processes that the README's commands left running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
