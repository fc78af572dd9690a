# SPDX-License-Identifier: Apache-2.0
"""
Tests that every :class:`~airflow_video_providers.hooks.base.VideoHook` must pass, a third party's as well.

Subclass :class:`VideoHookConformance` in a test module of your own and name the hook and a fake server of its vendor;
``docs/hooks.md`` shows it. It needs the extra ``[testing]``.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in ("base", "parts", "job_tests", "submission_tests", "account_tests", "callback_tests")
    )
)

from airflow_video_providers.testing.conformance import VideoHookConformance  # noqa: E402  # after its rewrite is asked for
from airflow_video_providers.testing.control import VendorControl, WebhookControl  # noqa: E402  # after its rewrite is asked for
from airflow_video_providers.testing.tap import Tap  # noqa: E402  # after its rewrite is asked for

__all__ = ["Tap", "VendorControl", "VideoHookConformance", "WebhookControl"]
