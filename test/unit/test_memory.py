"""Processes of nodes have one pool of memory, whatever the environment says."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from rsdfm_ros import memory

CHILD = """
import ctypes, sys, threading
from rsdfm_ros.memory import keep_for_next_image
if sys.argv[1] == "kept":
    assert keep_for_next_image()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(4)
def use():
    barrier.wait()
    libc.malloc(100_000)
    barrier.wait()
threads = [threading.Thread(target=use) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def pools(how: str) -> int:
    """Number of pools of a process with four threads that need memory at the same time."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": "8"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, how], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not the C library of GNU")
def test_all_threads_of_a_node_share_one_pool() -> None:
    assert pools("usual") > 1 == pools("kept")


def test_other_systems_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert not memory.keep_for_next_image()
