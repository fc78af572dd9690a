# SPDX-License-Identifier: Apache-2.0
"""Read a file from its link. Internal."""
