"""Fixtures of the integration tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
if importlib.util.find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def domain() -> int:
    """A ROS domain of this test's own."""
    from harness import new_domain

    return new_domain()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with untrained weights that answer something."""
    from harness import lively_model

    return lively_model(tmp_path_factory.mktemp("model") / "tiny")
