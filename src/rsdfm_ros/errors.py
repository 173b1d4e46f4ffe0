"""The root of every error that a user of rsdfm_ros is meant to read."""

from __future__ import annotations

import importlib


class RsdfmError(Exception):
    """An error that the user can act on: states the expected and the given value, and a remedy."""


def reason(error: BaseException) -> str:
    """Message of an error in one line: those of parsers have several, those of the system name the file once more."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())


def require_ros(purpose: str) -> None:
    """Raise RsdfmError unless rclpy and the messages of rsdfm_ros can be imported; `purpose` begins the sentence."""
    for name in ("rclpy", "rsdfm_ros.msg"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise RsdfmError(
                f"{purpose} needs ROS 2 and {name} cannot be imported ({error}): run `make setup`, or build rsdfm_ros "
                "in a ROS 2 workspace and source its setup file"
            ) from error
