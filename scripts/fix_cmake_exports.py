"""Point the CMake exports of ROS wheels at this environment's Python and NumPy headers.

The wheels were exported on their build machine, so their message packages name that machine's include folders.
Rewrites them in place; running it again changes nothing. Usage: python fix_cmake_exports.py [prefix]
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

_NUMPY = re.compile(r"/opt/python/[^\";]*/numpy/[^\";]*include")
_PYTHON = re.compile(r"/opt/python/[^\";]*/include/python3\.\d+")


def fix_text(text: str, *, python_include: str, numpy_include: str) -> str:
    """The same export file with the build machine's include folders replaced."""
    text = _NUMPY.sub(lambda _: numpy_include, text)
    return _PYTHON.sub(lambda _: python_include, text)


def fix_prefix(prefix: Path) -> int:
    """Fix all exports below `prefix`; returns how many files were rewritten."""
    python_include, numpy_include = sysconfig.get_path("include"), np.get_include()
    changed = 0
    for path in sorted(prefix.glob("share/*/cmake/export_*__rosidl_generator_pyExport.cmake")):
        before = path.read_text()
        after = fix_text(before, python_include=python_include, numpy_include=numpy_include)
        if after != before:
            path.write_text(after)
            changed += 1
    return changed


if __name__ == "__main__":
    print(f"{fix_prefix(Path(sys.argv[1] if len(sys.argv) > 1 else sys.prefix))} CMake exports pointed here")
