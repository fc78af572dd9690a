# SPDX-License-Identifier: Apache-2.0
"""The one door for texts of a vendor: redacted, cleaned, bounded. Imports nothing of the package. Internal."""
