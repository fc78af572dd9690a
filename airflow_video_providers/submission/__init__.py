# SPDX-License-Identifier: Apache-2.0
"""Submit a render exactly once, and decide about a paid job. Internal."""
