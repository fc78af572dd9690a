# SPDX-License-Identifier: Apache-2.0
"""HTTP to a vendor: client, session, errors, the connection's settings. Internal."""
