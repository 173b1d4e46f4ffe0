"""A test that never returns ends the run with a failure and says where it was, whatever it is stuck in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import ctypes
import pytest

@pytest.fixture
def world():
    yield
    ctypes.PyDLL(None).sleep(3600)

def test_that_waits_in_c():
    ctypes.CDLL(None).sleep(3600)

def test_that_holds_the_lock():
    ctypes.PyDLL(None).sleep(3600)

def test_whose_world_never_ends(world):
    pass
"""


@pytest.mark.parametrize(
    ("test", "where"),
    [
        ("test_that_waits_in_c", "in test_that_waits_in_c"),
        ("test_that_holds_the_lock", "in test_that_holds_the_lock"),
        ("test_whose_world_never_ends", "in world"),
    ],
)
def test_a_test_that_never_returns_ends_the_run(tmp_path: Path, root: Path, test: str, where: str) -> None:
    (tmp_path / "test_endless.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(root / "pyproject.toml"), "-p", "conftest"]
    done = subprocess.run(
        [*command, "--timeout", "2", "-p", "no:cacheprovider", f"{tmp_path / 'test_endless.py'}::{test}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root / 'test'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and where in done.stdout + done.stderr, done.stdout + done.stderr
