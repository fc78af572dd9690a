# SPDX-License-Identifier: Apache-2.0
"""The Videos page: what the tasks of this provider have recorded, and the files that they have stored."""
