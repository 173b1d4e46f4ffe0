"""The interface of a scene that methods are evaluated on."""

from __future__ import annotations

from typing import Protocol

from rsdfm_ros.data.frame import Objects, WorldFrame
from rsdfm_ros.data.layout_map import LayoutMap
from rsdfm_ros.geometry.ground import Ground


class SceneSource(Protocol):
    """A scene to evaluate: its number of frames, and each frame with the views of the agents in use."""

    @property
    def number(self) -> int:
        """Number of the scene: its seed, or its place in the dataset."""

    @property
    def frames(self) -> int:
        """Number of frames."""

    def ground(self) -> Ground | None:
        """The ground of the scene, where it is not that of the model."""

    def load(self, k: int) -> WorldFrame:
        """Frame k with images."""

    def objects(self, k: int) -> Objects:
        """The objects of frame k."""

    def layout(self) -> LayoutMap | None:
        """The static layout of the scene, where that is known; asked for when a task of the model needs it."""

    def earlier(self, k: int, lead_s: float) -> WorldFrame | None:
        """The scene `lead_s` before frame k, None before its beginning; RsdfmError where that is not known."""
