"""The root of every error that a user of rsdfm_ros is meant to read."""

from __future__ import annotations


class RsdfmError(Exception):
    """Something the user can act on: says what was expected, what came, and what to do."""
