# SPDX-License-Identifier: Apache-2.0
"""Wait for a render: the schedule and the three ways to wait. Internal."""
