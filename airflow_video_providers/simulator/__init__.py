# SPDX-License-Identifier: Apache-2.0
"""The video APIs as their vendors document them, with faults on demand, for developing and testing DAGs.

Start it with ``python -m airflow_video_providers.simulator --port 8099``; it needs the extra ``[simulator]``. It is
an independent witness: written from the vendors' public documents alone, it imports nothing of the provider.
"""

from __future__ import annotations
