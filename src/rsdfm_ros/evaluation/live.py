"""A simulated scene at times between its frames, rendered when asked for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rsdfm_ros.data.frame import FRAME_PERIOD_S, WorldFrame
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.disturb import STAGGER_S
from rsdfm_ros.sim.config import SimConfig

POSE_TOLERANCE = 1e-3


@dataclass
class LiveWorld:
    """The world of a seed as `agents` UAVs see it, simulated as `config` says, in steps of STAGGER_S; one thread
    renders, because a renderer belongs to the thread that made it. Close it to free the renderer."""

    seed: int
    agents: int
    config: SimConfig = field(default_factory=SimConfig)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _thread: ThreadPoolExecutor | None = field(default=None, repr=False)
    _world: Any = field(default=None, repr=False)

    def before(self, frame: WorldFrame, lead_s: float) -> WorldFrame | None:
        """The views of the UAVs of `frame` `lead_s` earlier; None before the beginning.

        Raises: RsdfmError if the frame is not of this world as it is simulated now, or too late.
        """
        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "live-world")
            return self._thread.submit(self._before, frame, lead_s).result()

    def close(self) -> None:
        """Free the renderer."""
        with self._lock:
            if self._thread is not None:
                self._thread.submit(self._free).result()
                self._thread.shutdown()
                self._thread = None

    def _before(self, frame: WorldFrame, lead_s: float) -> WorldFrame | None:
        from rsdfm_ros.sim.world import World

        steps = round(FRAME_PERIOD_S / STAGGER_S)
        if self._world is None:
            frames = self.config.max_frames * steps
            config = replace(self.config, frame_rate_hz=1 / STAGGER_S, max_frames=frames)
            self._world = World(self.seed, self.agents, config)
        present = frame.index * steps
        k = present - round(lead_s / STAGGER_S)
        if k < 0:
            return None
        for view, T in zip(frame.views, self._world.poses(present), strict=False):
            if np.abs(view.T_map_camera - T).max() > POSE_TOLERANCE:
                raise RsdfmError(
                    f"the scene of seed {self.seed} was simulated otherwise than this version does: delete it, "
                    "so that it is made anew, or evaluate without staggered=1"
                )
        found: WorldFrame = self._world.frame(k)
        return replace(found, index=frame.index, views=found.views[: len(frame.views)], agents=frame.agents)

    def _free(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None
