"""Set-up of every test: no display, no traffic outside this machine, and a time limit.

pytest-timeout ends a run whose test takes too long, with the stacks of all threads; its thread needs the interpreter
lock. A test may be stuck in C code that holds the lock, such as the destruction of a publisher: then a thread of
faulthandler, which needs no lock, does the same a little later.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from rsdfm_ros.ending import TimeLimit
from support.places import TEST

# Before anything imports MuJoCo, OpenMP or DDS.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# Processes that tests start import test/support as the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join([str(TEST), *filter(None, [os.environ.get("PYTHONPATH")])])

# A busy machine is slow, which is no failure.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


GRACE = 1.1
"""Time limit of faulthandler, as a multiple of pytest-timeout's, which has its own report to write."""
END_S = 60.0
"""Time that Python may take to end after the last test, s."""
_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the stderr that nothing captures."""
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Setup, call and teardown of a test end, whatever holds the interpreter lock."""
    marker = item.get_closest_marker("timeout")
    limit_s = float(marker.args[0] if marker and marker.args else item.config.getini("timeout") or 0)
    option = item.config.getoption("timeout")
    limit_s = float(option) if option is not None and not marker else limit_s
    if limit_s > 0:
        faulthandler.dump_traceback_later(GRACE * limit_s, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Limit the end of Python, which may wait for the middleware; the verdict stands."""
    TimeLimit(END_S, int(exitstatus)).now("the end of the tests' process")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return Path(__file__).resolve().parents[1]
