"""Errors of the middleware that rclpy raises and does not export.

`rclpy.exceptions` has InvalidHandle and no RCLError, which publishing raises when the middleware does not take a
message. Its nearest public base, RuntimeError, would hide errors of our own. Nothing else reaches into `rclpy.impl`.
"""

from __future__ import annotations

from rclpy.impl.implementation_singleton import rclpy_implementation

RCLError: type[RuntimeError] = rclpy_implementation.RCLError
