# SPDX-License-Identifier: Apache-2.0
"""The object stores that files are delivered to. Internal."""
