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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not the C library of GNU")
def test_free_memory_amid_the_pool_is_given_back() -> None:
    child = """
import re
from pathlib import Path
from rsdfm_ros.memory import give_back, keep_for_next_image
def rss_mb(): return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
keep_for_next_image()
blocks = [bytearray(200_000) for _ in range(400)]
last = bytearray(200_000)
del blocks
before = rss_mb()
assert give_back()
print(before - rss_mb())
"""
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 40  # of the 80 MB, below a block that is used


def test_other_systems_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert not memory.keep_for_next_image() and not memory.give_back()
