"""Outputs and inputs that need a ROS package which not every installation has: imported when a node asks for it."""

from __future__ import annotations

import importlib
from typing import Any

from rosidl_generator_py.import_type_support_impl import UnsupportedTypeSupport

from rsdfm_ros.errors import RsdfmError

AUTO, ALWAYS, NEVER = OPTIONAL = ("auto", "always", "never")
"""Handling of an output that needs a package which may be missing."""


class MissingPackage(RsdfmError):
    """An output was asked for whose ROS package is not installed."""


def optional_module(name: str, wish: str, parameter: str) -> Any | None:
    """The module `name`, or None if it is not wanted, or missing and not required.

    wish: `auto`, `always` or `never`, the value of `parameter`. Raises: MissingPackage.
    """
    if wish == NEVER:
        return None
    try:
        module = importlib.import_module(name)
        for kind in vars(module).values():
            if hasattr(kind, "__import_type_support__"):
                kind.__import_type_support__()  # the libraries may be missing although the Python code is installed
        return module
    except (ImportError, UnsupportedTypeSupport) as error:
        if wish == AUTO:
            return None
        package = name.partition(".")[0]
        raise MissingPackage(
            f"{parameter} is `{ALWAYS}`, but the ROS package {package} is not here ({error}): install it "
            f"(apt install ros-$ROS_DISTRO-{package.replace('_', '-')}) and source the workspace, or set it to `{AUTO}`"
        ) from error
