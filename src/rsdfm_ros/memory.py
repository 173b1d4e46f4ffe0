"""Memory of a process that runs one network: how much of what it frees it keeps for the next image.

The C library keeps a pool per thread and hands large blocks back after each use. A node has one thread that needs much
memory, the same for every image: one pool for all is smaller, and blocks that are kept are not cleared by the system
again and again.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
POOLS = 1
KEPT_FROM_BYTES = 32 * 2**20
"""Blocks up to this size come from the pool and are kept; the largest value that the C library takes."""
KEPT_BYTES = 64 * 2**20
"""Free memory at the end of the pool that is kept."""


def keep_for_next_image() -> bool:
    """Set this process's C library so; whether it took the settings. Call it before anything has started a thread.
    Replaces what MALLOC_* of the environment says. Has no effect on C libraries other than that of GNU."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    wanted = (
        (_M_ARENA_MAX, POOLS),
        (_M_MMAP_THRESHOLD, KEPT_FROM_BYTES),
        (_M_TRIM_THRESHOLD, KEPT_BYTES),
    )
    taken = [mallopt(option, value) for option, value in wanted]
    return all(taken)


def give_back() -> bool:
    """Hand free memory to the system, also from amid the pool, as after loading a model; whether there was any. Has no
    effect on C libraries other than that of GNU."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    return trim is not None and bool(trim(0))
