"""Errors of messages."""

from __future__ import annotations

from rsdfm_ros.errors import RsdfmError


class MessageError(RsdfmError):
    """A message whose content cannot be used. `reason` is the slug it is counted by."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)
