# SPDX-License-Identifier: Apache-2.0
"""
What importing the DAG author's modules adds to importing ``airflow.sdk``: ``make bench-import``.

Every DAG file that uses the provider pays this at each parse. Each figure is the median over fresh interpreters, the
programs in turn; a peer, the HTTP provider's operator and sensor, is measured in the same run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

ROUNDS = 9

# What every DAG file imports from the SDK anyway, so that its lazy exports are loaded in the base as well.
BASE = "from airflow.sdk import dag, task, BaseOperator, BaseSensorOperator, BaseHook, Context, Variable"

PROGRAMS = {
    "airflow.sdk": "",
    "airflow_video_providers": """
import airflow_video_providers.operators.video_job
import airflow_video_providers.sensors.video_job
import airflow_video_providers.transfers.video_to_object_storage
import airflow_video_providers.transfers.object_storage_to_video
""",
    "peer: airflow.providers.http": """
import airflow.providers.http.operators.http
import airflow.providers.http.sensors.http
""",
}

MEASURE = """
import time
{base}
started = time.perf_counter()
{program}
print(time.perf_counter() - started)
"""


def seconds(program: str) -> float:
    """Return what ``program`` takes after the base imports, in a fresh interpreter."""
    code = MEASURE.format(base=BASE, program=program)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print a table and one JSON line a row."""
    rounds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for number in range(ROUNDS + 1):
        for name, program in PROGRAMS.items():
            value = seconds(program)
            if number:  # the first round warms the file cache
                rounds[name].append(value)
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    peer = medians["peer: airflow.providers.http"]
    print(f"added to importing airflow.sdk, median of {ROUNDS} fresh interpreters")
    for name, median in medians.items():
        print(f"  {name:<32} {median * 1000:7.1f} ms   {median / peer:5.2f} x the peer")
    for name, median in medians.items():
        print(json.dumps({"benchmark": "import", "name": name, "added_ms": round(median * 1000, 1)}))


if __name__ == "__main__":
    main()
