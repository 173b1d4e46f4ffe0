"""Checks of command line options that say what was given, and what was expected."""

from __future__ import annotations

from rsdfm_ros.errors import RsdfmError


def require_range(option: str, value: float | None, low: float, high: float, unit: str = "") -> None:
    """Raise RsdfmError unless low ≤ value ≤ high; None is an option that was not given."""
    if value is not None and not low <= value <= high:  # so that nan is refused too
        raise RsdfmError(
            f"{option} {value:g} is out of range: expected {low:g} to {high:g}{unit and f' {unit}'}"
        )
