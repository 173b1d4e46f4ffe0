"""One frame of a scene during an evaluation, with the computations that all methods and egos share."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from rsdfm_ros.agent.encoder import Encoder
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.evaluation.attacks.maps import AgentMap
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.frames import FramePrediction
from rsdfm_ros.evaluation.methods.answers import Thresholds, answer
from rsdfm_ros.evaluation.methods.radio import Sent
from rsdfm_ros.model.perception import AgentBev, FusedMap, Perception
from rsdfm_ros.wire.boxes import SideBoxes, side_boxes


class OwnHistories:
    """The own maps of every agent over the last frames."""

    def __init__(self) -> None:
        self._encoders: dict[int, Encoder] = {}

    def encoder(self, agent: int, history: int) -> Encoder:
        """The encoder of an agent, whose history has so many maps."""
        return self._encoders.setdefault(agent, Encoder(history))


class EvaluationFrame:
    """Encodes every view once, and computes every agent's own answer at most once.

    Methods: bev(agent), pose(agent) with the pose noise, own(agent); late: messages sent now arrive after the frame is
    fused; sees(agent): it has an image. The views of one agent become one map before anything is sent
    (Perception.combine); an agent without an image has an empty map. Safe from several threads.
    """

    def __init__(
        self,
        perception: Perception,
        thresholds: Thresholds,
        frame: WorldFrame,
        scene: int,
        disturbance: Disturbance,
        histories: OwnHistories,
    ) -> None:
        self.index = frame.index
        self.stamp_ns = frame.stamp_ns
        self.late = disturbance.age_s > 0
        self.agents = frame.agents
        self._believed_poses = disturbance.believed_poses
        self._perception = perception
        self._thresholds = thresholds
        self._views = [frame.views_of(agent) for agent in self.agents]
        self._poses = [
            [
                disturbance.noisy_pose(v.T_map_camera, v.covariance, scene=scene, frame=frame.index, agent=a)
                for v in views
            ]
            for a, views in enumerate(self._views)
        ]
        self._encoders = histories
        self._locks = [threading.Lock() for _ in self.agents]
        self._own: dict[int, OwnFeatures] = {}
        self._answers: dict[int, FramePrediction] = {}
        self._priorities: dict[int, NDArray[np.float32]] = {}

    def under(self, disturbance: Disturbance) -> EvaluationFrame:
        """The same frame with its computations, in a case of other delays; ValueError for other poses."""
        if disturbance.believed_poses != self._believed_poses:
            raise ValueError("an EvaluationFrame holds for one set of noisy poses")
        other = copy.copy(self)
        other.late = disturbance.age_s > 0
        return other

    def falsified(self, maps: Mapping[int, AgentMap]) -> EvaluationFrame:
        """The same frame where some agents send other maps and boxes than their own."""
        other = copy.copy(self)
        other._own = self._own | {a: replace(self._own[a], bev=m.bev) for a, m in maps.items()}
        other._answers = self._answers | {a: replace(self.own(a), boxes=m.boxes) for a, m in maps.items()}
        other._priorities = {a: m.priority for a, m in maps.items() if m.priority is not None}
        return other

    def sees(self, agent: int) -> bool:
        """Whether the agent has an image of this instant."""
        return bool(self._views[agent])

    def pose(self, agent: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """T_map_camera (4, 4) and covariance (6, 6) that the agent uses: of its first camera; the origin, from which
        nothing is sent, without any image.
        """
        return self._poses[agent][0] if self._poses[agent] else (np.eye(4), np.zeros((6, 6)))

    def position(self, agent: int) -> NDArray[np.float64] | None:
        """True position of the agent, (2,) m over ground; None without an image."""
        views = self._views[agent]
        return views[0].T_map_camera[:2, 3] if views else None

    def encode(self, agent: int) -> None:
        """Encode the agent's views and append their map to its history; call once per agent and frame."""
        model = self._perception
        encoder = self._encoders.encoder(agent, model.config.history)
        views = [
            replace(view, T_map_camera=pose, covariance=covariance)
            for view, (pose, covariance) in zip(self._views[agent], self._poses[agent], strict=True)
        ]
        if views:
            own = encoder.observe(model, views, self.stamp_ns, frame=self.index)
        else:
            own = encoder.take(model, self._nothing(), *self.pose(agent), self.stamp_ns, frame=self.index)
        own.solo.fused()  # now, by one thread; methods ask from several
        self._own[agent] = own

    def _nothing(self) -> AgentBev:
        config, device = self._perception.config, self._perception.device
        shape = self._perception.window.shape
        return AgentBev(
            torch.zeros(config.channels, *shape, device=device),
            torch.zeros(shape, dtype=torch.bool, device=device),
            torch.zeros(shape, device=device),
        )

    def bev(self, agent: int) -> AgentBev:
        """The agent's own BEV map."""
        return self._own[agent].bev

    def priority(self, agent: int) -> NDArray[np.float32] | None:
        """Priority (H, W) in [0, 1] by which an attacker ranks its cells for sending; None for honest agents."""
        return self._priorities.get(agent)

    def history(self, agent: int) -> list[FusedMap]:
        """The agent's last maps without peers, newest last."""
        return self._own[agent].solo.maps()

    def side_boxes(self, agent: int) -> SideBoxes:
        """The agent's own detections as they are sent to peers."""
        boxes = self.own(agent).boxes
        assert boxes is not None
        return side_boxes(boxes)

    def own(self, agent: int) -> FramePrediction:
        """The agent's answer without peers."""
        with self._locks[agent]:
            if agent not in self._answers:
                self._answers[agent] = answer(self._perception, self.history(agent), self._thresholds)
            return self._answers[agent]

    def sent(self, sender: int, payloads: Sequence[bytes], message_bytes: int) -> Sent:
        """The record of a sender's transmission at this frame."""
        T, covariance = self.pose(sender)
        return Sent(sender, self.index, tuple(payloads), message_bytes, T, covariance)
