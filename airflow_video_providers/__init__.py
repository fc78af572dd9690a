# SPDX-License-Identifier: Apache-2.0
"""Airflow provider for video APIs: submit a render once, wait for it cheaply, store the whole file."""

from __future__ import annotations

__version__ = "0.2.0"
