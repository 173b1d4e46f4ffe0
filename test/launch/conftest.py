"""Tests with launch_testing, which a ROS installation brings; without it they are skipped and say so."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """The mark of launch_testing's plugin, for machines without that plugin."""
    config.addinivalue_line("markers", "launch_test: a launch description to test")
