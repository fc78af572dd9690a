# SPDX-License-Identifier: Apache-2.0
"""Many renders in one task: the items, the ledger, the rolling window, the manifest. Internal."""
