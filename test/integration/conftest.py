"""Fixtures of the integration tests."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path

import pytest

# The nodes' environment keeps large freed blocks for the next image. Fast DDS clears its pools when it gets such a
# block again: the second domain participant of one process would take half a minute. Tests make many of them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, USUAL = -1, -3, 128 * 1024
if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
    for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        ctypes.CDLL(None).mallopt(option, USUAL)

if importlib.util.find_spec("rclpy") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def domain() -> int:
    """A ROS domain of this test's own."""
    from support.own_domains import new_domain

    return new_domain()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with untrained weights that answer something."""
    from support.harness import lively_model

    return lively_model(tmp_path_factory.mktemp("model") / "tiny")
