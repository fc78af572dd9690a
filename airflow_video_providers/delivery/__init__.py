# SPDX-License-Identifier: Apache-2.0
"""Deliver a file: read it, check it, store it, publish it. Internal."""
