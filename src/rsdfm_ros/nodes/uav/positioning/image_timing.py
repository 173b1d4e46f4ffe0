"""How far the stamps of images are from those of poses: estimated in flight, told in the diagnostics."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from time import monotonic

from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.data.messages.timing.monitor import OffsetMonitor
from rsdfm_ros.data.messages.timing.offset import LEAST_PAIRS, TimeOffset
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.nodes.core.diagnostics import OK, WARN, Status

KEPT_PAIRS = 150
PERIOD_S = 10.0
"""Between two estimates; each takes some tenths of a second in a thread of its own."""
TOLERATED_S = 0.01
"""Offsets below are not warned of."""


class ImageTiming:
    """sample: in the thread that receives poses · follow: in the worker · statuses: in any."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._monitors: dict[int, OffsetMonitor] = {}
        self._found: dict[int, TimeOffset] = {}
        self._last_s = monotonic()
        self._thread: threading.Thread | None = None

    def clear(self) -> None:
        """Forget everything that has a stamp."""
        for monitor in list(self._monitors.values()):
            monitor.clear()

    def sample(self) -> None:
        """Take the poses that have become known."""
        for monitor in list(self._monitors.values()):
            monitor.sample()

    def follow(self, matched: Matched, views: Sequence[CameraView], ground: Ground) -> None:
        """Take the images of an instant with their views, all of them usable."""
        if len(views) != len(matched.images):
            return
        for posed, view in zip(matched.images, views, strict=True):
            camera = posed.image.camera
            if camera not in self._monitors:
                pose_at = partial(self._inputs.camera_pose, posed.image)
                self._monitors[camera] = OffsetMonitor(pose_at, keep=KEPT_PAIRS)
            self._monitors[camera].add(posed.image.stamp_ns, view.image, view.K)
        busy = self._thread is not None and self._thread.is_alive()
        if monotonic() - self._last_s >= PERIOD_S and not busy:
            self._last_s = monotonic()
            ground_z = float(ground.elevation(views[0].T_map_camera[:2, 3]))
            self._thread = threading.Thread(target=self._estimate, args=(ground_z,), daemon=True)
            self._thread.start()

    def statuses(self) -> Iterable[tuple[str, Status]]:
        """One status for all cameras."""
        if not self._monitors:
            return
        config, values, wrong = self._inputs.config, {}, []
        for camera, monitor in sorted(self._monitors.items()):
            name, found = config.cameras[camera], self._found.get(camera)
            values[f"{name}_pairs"] = str(monitor.pairs)
            if found is None:
                continue
            values[f"{name}_offset_ms"] = f"{1e3 * found.offset_s:.1f}"
            values[f"{name}_sigma_ms"] = f"{1e3 * found.sigma_s:.1f}"
            if abs(found.offset_s) > max(TOLERATED_S, 3 * found.sigma_s):
                given = config.image_time_offset_s[camera] if config.image_time_offset_s else 0.0
                wrong.append(
                    f"images of {name} were exposed {1e3 * found.offset_s:+.0f} ms from their time: set "
                    f"image_time_offset_s to {given + found.offset_s:.3f}"
                )
        words = "; ".join(wrong) or ("agree with the poses" if self._found else "not known yet")
        yield "image time", Status(WARN if wrong else OK, words, values)

    def _estimate(self, ground_z: float) -> None:
        for camera, monitor in list(self._monitors.items()):
            if monitor.pairs < 2 * LEAST_PAIRS:
                continue
            try:
                self._found[camera] = monitor.estimate(ground_z)
            except RsdfmError:
                self._found.pop(camera, None)  # too few poses: the diagnostics say that nothing is known
