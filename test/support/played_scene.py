"""Camera images of a Gazebo world, rendered by MuJoCo: moving vehicles stand where Gazebo plays their scripts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.sim.world import World
from support.actor_player import Actor

_MADE = re.compile(r"seed=(\d+) uavs=(\d+) frames=\d+ start_s=([\d.]+)")
_GONE_M = -50.0


class PlayedScene:
    """A written world. start_ms: simulation time of its frame 0 · models: its UAVs, by name."""

    def __init__(self, sdf: Path) -> None:
        text = sdf.read_text()
        made, world = _MADE.search(text), ET.fromstring(text).find("world")
        assert made is not None and world is not None
        self.start_ms = round(1000 * float(made[3]))
        self.models = {str(m.get("name")): m for m in world.findall("model") if m.find("plugin") is not None}
        self.actors = {int(str(a.get("name")).split("_")[0][7:]): Actor(a) for a in world.findall("actor")}
        self.world = World(int(made[1]), int(made[2]))
        self._planned = self.world._population

    def frame(self, sim_ms: int, cameras: Sequence[NDArray[np.float64]]) -> WorldFrame:
        """The images of all UAVs at a simulation time from cameras at these poses (T_map_optical)."""
        period_ms = 1000 / self.world.config.frame_rate_hz
        k = min(max(0, round((sim_ms - self.start_ms) / period_ms)), self.world.config.max_frames - 1)
        poses, ids = self._planned.poses.copy(), self._planned.ids.copy()
        for index, actor in self.actors.items():
            x, y, z, yaw = actor.at(sim_ms)
            poses[k, index] = x, y, yaw
            ids[k, index] = 0 if z < _GONE_M else index + 1
        self.world._population = replace(self._planned, poses=poses, ids=ids)
        return self.world.frame(k, poses=cameras)

    def off_m(self, sim_ms: int) -> float:
        """Largest distance of a moving vehicle from its place in the traffic at the frame of this time, m."""
        k = round((sim_ms - self.start_ms) * self.world.config.frame_rate_hz / 1000)
        there = [i for i in self.actors if self._planned.ids[k, i] > 0]
        places = np.array([self.actors[i].at(sim_ms)[:2] for i in there])
        return float(np.linalg.norm(places - self._planned.poses[k, there, :2], axis=1).max())

    def close(self) -> None:
        """Free the renderer."""
        self.world.close()
