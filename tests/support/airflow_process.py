# SPDX-License-Identifier: Apache-2.0
"""
One process in which Airflow's commands run one after the other: its start takes longer than most DAGs.

Run as a script, it reads a line of JSON for each command (its arguments and its environment), runs ``airflow`` as the
command line does, and writes the exit code into a pipe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class AirflowProcess:
    """
    Runs Airflow's commands in one process.

    :param log: a file for all that they print.
    """

    def __init__(self, log: Path) -> None:
        codes, write = os.pipe()
        self._log = log
        self._codes = os.fdopen(codes)
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(write)],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=(write,),
            )
        os.close(write)

    def run(self, *arguments: str, env: Mapping[str, str]) -> tuple[int, str]:
        """Run ``airflow`` with this environment; return its exit code and what it printed."""
        assert self._process.stdin is not None
        before = self._log.stat().st_size
        print(json.dumps({"arguments": arguments, "env": dict(env)}), file=self._process.stdin, flush=True)
        code = self._codes.readline()
        printed = self._log.read_bytes()[before:].decode(errors="replace")
        assert code, f"Airflow's process has ended: {printed[-5000:]}"
        return int(code), printed

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._codes.close()
        assert self._process.stdin is not None
        self._process.stdin.close()


def _run(arguments: list[str]) -> int:
    from airflow.__main__ import main

    sys.argv = ["airflow", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "w") as codes:
        for line in sys.stdin:
            command = json.loads(line)
            os.environ.clear()
            os.environ.update(command["env"])
            code = _run(command["arguments"])
            sys.stdout.flush()
            print(code, file=codes, flush=True)
