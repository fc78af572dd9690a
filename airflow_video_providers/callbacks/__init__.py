# SPDX-License-Identifier: Apache-2.0
"""What a vendor posts to Airflow: checked, kept, and seen by the waits and by the next try."""
