# SPDX-License-Identifier: Apache-2.0
"""
The conformance suite: what every ``VideoHook`` must do, tried over HTTP on a fake server of its vendor.

Which tests apply is read off the hook's class (``key_support``, ``replay_seconds``, ``can_cancel``, ``can_list``,
``takes_callback``); the others are not collected.
"""

from __future__ import annotations

from airflow_video_providers.testing.account_tests import AccountTests
from airflow_video_providers.testing.callback_tests import CallbackTests
from airflow_video_providers.testing.job_tests import JobTests
from airflow_video_providers.testing.submission_tests import SubmissionTests


class VideoHookConformance(JobTests, SubmissionTests, AccountTests, CallbackTests):
    """
    Subclass it as ``Test...``, set ``hook_class``, and override the fixture ``control``.

    The fixture gives a server without jobs; every test leaves its jobs behind.
    """
