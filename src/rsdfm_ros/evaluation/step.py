"""One frame of a scene during an evaluation, with what all methods and egos share of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.heads import Thresholds, answer
from rsdfm_ros.evaluation.messages import Sent
from rsdfm_ros.evaluation.protocol import HISTORY
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception


class SoloHistory:
    """The fused maps of every agent without peers, over the last frames."""

    def __init__(self) -> None:
        self._maps: dict[int, list[FusedMap]] = {}

    def push(self, agent: int, fused: FusedMap) -> list[FusedMap]:
        """Append a map and return the history, newest last."""
        history = [*self._maps.get(agent, []), fused][-HISTORY:]
        self._maps[agent] = history
        return history


def mirrored(frame: WorldFrame) -> WorldFrame:
    """The frame with every picture flipped left to right, but all poses as they are: well formed, and false."""
    views = tuple(replace(v, image=np.ascontiguousarray(v.image[:, ::-1])) for v in frame.views)
    return replace(frame, views=views)


class Step:
    """Encodes every view once, and computes every agent's own answer at most once.

    Methods: bev(agent), pose(agent) as the agent believes it, own(agent); late: what is sent now arrives after the
    frame is fused. Safe from several threads.
    """

    def __init__(
        self,
        perception: Perception,
        thresholds: Thresholds,
        frame: WorldFrame,
        scene: int,
        disturbance: Disturbance,
        solo: SoloHistory,
    ) -> None:
        self.index = frame.index
        self.stamp_ns = frame.stamp_ns
        self.late = disturbance.age_s > 0
        self.agents = tuple(v.agent for v in frame.views)
        self._perception = perception
        self._thresholds = thresholds
        self._views = frame.views
        self._poses = [
            disturbance.noisy_pose(v.T_map_camera, v.covariance, scene=scene, frame=frame.index, agent=a)
            for a, v in enumerate(frame.views)
        ]
        self._solo = solo
        self._locks = [threading.Lock() for _ in frame.views]
        self._bevs: dict[int, AgentBev] = {}
        self._histories: dict[int, list[FusedMap]] = {}
        self._answers: dict[int, FramePrediction] = {}

    def pose(self, agent: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """T_map_camera (4, 4) and covariance (6, 6) that the agent believes in."""
        return self._poses[agent]

    def encode(self, agent: int) -> None:
        """Encode the agent's view and append its map to the solo history; call once per agent and frame."""
        T, covariance = self._poses[agent]
        view = self._views[agent]
        bev = self._perception.perceive(view.image, view.K, T, covariance)
        self._bevs[agent] = bev
        self._histories[agent] = self._solo.push(agent, self._perception.fuse(bev, [], []))

    def bev(self, agent: int) -> AgentBev:
        """The agent's own BEV map."""
        return self._bevs[agent]

    def history(self, agent: int) -> list[FusedMap]:
        """The agent's last maps fused with nobody's, newest last."""
        return self._histories[agent]

    def own(self, agent: int) -> FramePrediction:
        """What the agent answers without any peer."""
        with self._locks[agent]:
            if agent not in self._answers:
                self._answers[agent] = answer(self._perception, self._histories[agent], self._thresholds)
            return self._answers[agent]

    def sent(self, sender: int, payloads: Sequence[bytes], message_bytes: int) -> Sent:
        """The record of what a sender sends at this frame."""
        T, covariance = self._poses[sender]
        return Sent(sender, self.index, tuple(payloads), message_bytes, T, covariance)
