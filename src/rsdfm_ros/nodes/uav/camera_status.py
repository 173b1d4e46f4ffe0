"""Diagnostics of the cameras: how they look at the ground, and whether the weights were trained for that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rsdfm_ros.agent.camera_range import CameraRange, CameraUse, camera_range_of, unlike, use_of
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.model.manifest import read_manifest
from rsdfm_ros.nodes.core.diagnostics import OK, WARN, Status


class CameraStatus:
    """The newest images' cameras against those of the training."""

    def __init__(self) -> None:
        self._trained = CameraRange()
        self._uses: tuple[CameraUse, ...] = ()

    def start(self, model: str) -> None:
        """Read what the weights of a model folder were trained with; untrained ones know nothing.

        Raises: ModelStoreError.
        """
        self._trained = camera_range_of(read_manifest(model)) if Path(model).is_dir() else CameraRange()
        self._uses = ()

    def note(self, views: Sequence[CameraView], ground: Ground) -> None:
        """Take the views of an instant. Called in the worker."""
        self._uses = tuple(use_of(v.K, v.image.shape[1], v.T_map_camera, ground) for v in views)

    def clear(self) -> None:
        """Forget the views."""
        self._uses = ()

    def statuses(self) -> Iterable[tuple[str, Status]]:
        """The concern `camera`; nothing before the first image."""
        uses = self._uses
        if not uses:
            return
        several = len(uses) > 1
        values: dict[str, object] = {}
        wrong: list[str] = []
        for number, use in enumerate(uses):
            mark = f"{number}_" if several else ""
            values |= {
                f"{mark}pitch_deg": f"{use.pitch_deg:.1f}",
                f"{mark}altitude_m": f"{use.altitude_m:.1f}",
                f"{mark}fov_deg": f"{use.fov_deg:.1f}",
            }
            wrong += [f"camera {number}: {text}" if several else text for text in unlike(use, self._trained)]
        if wrong:
            yield "camera", Status(WARN, "; ".join(wrong), values)
        elif self._trained == CameraRange():
            yield "camera", Status(OK, "the model does not say which cameras it was trained with", values)
        else:
            yield "camera", Status(OK, "like the cameras of the training", values)
