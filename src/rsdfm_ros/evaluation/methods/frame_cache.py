"""Cache of the UAVs' views at one frame of a scene, shared by all cases that are evaluated in one pass."""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor

from rsdfm_ros.data.frame import WorldFrame
from rsdfm_ros.evaluation.attacks.covariance import misplaced
from rsdfm_ros.evaluation.attacks.kinds import IMAGE_KINDS, MIRRORED
from rsdfm_ros.evaluation.attacks.mirrored import mirrored
from rsdfm_ros.evaluation.disturb import Disturbance
from rsdfm_ros.evaluation.methods.answers import Thresholds
from rsdfm_ros.evaluation.methods.evaluation_frame import EvaluationFrame, OwnHistories
from rsdfm_ros.evaluation.scene_source import SceneSource
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.faults.attack import COVARIANCE


class FrameCache:
    """The evaluation frames of one scene, one after another.

    A frame is encoded once for all cases with the same noisy poses and thresholds; earlier frames (of staggered
    peers) and false ones (of attackers) likewise.
    """

    def __init__(self, perception: Perception, scene: SceneSource, pool: ThreadPoolExecutor) -> None:
        self._perception, self._scene, self._pool = perception, scene, pool
        self._histories: dict[Hashable, OwnHistories] = {}
        self._encoded: dict[Hashable, EvaluationFrame] = {}
        self._frames: dict[float, WorldFrame | None] = {}
        self._k = 0

    def advance(self, k: int, frame: WorldFrame) -> None:
        """Go on to frame k; call for every frame in order."""
        self._k, self._frames, self._encoded = k, {0.0: frame}, {}

    def frame(
        self, thresholds: Thresholds, disturbance: Disturbance, lead_s: float = 0.0, *, false: bool = False
    ) -> EvaluationFrame | None:
        """The frame as a case has it, or as it was `lead_s` earlier (None before the scene began); false: as attackers
        see it, if their kind falsifies images or poses. Not from several threads."""
        if lead_s not in self._frames:
            self._frames[lead_s] = self._scene.earlier(self._k, lead_s)
        frame = self._frames[lead_s]
        if frame is None:
            return None
        kind = disturbance.attack_kind if false and disturbance.attack_kind in IMAGE_KINDS else ""
        seed = disturbance.attack_seed(self._scene.number)
        key = (lead_s, kind, seed if kind == COVARIANCE else (), thresholds, disturbance.believed_poses)
        if key not in self._encoded:
            histories = self._histories.setdefault(key, OwnHistories())
            seen = frame
            if kind == MIRRORED:
                seen = mirrored(frame)
            elif kind == COVARIANCE:
                seen = misplaced(frame, seed)
            scene = self._scene.number
            encoded = EvaluationFrame(self._perception, thresholds, seen, scene, disturbance, histories)
            list(self._pool.map(encoded.encode, range(len(seen.agents))))
            self._encoded[key] = encoded
        return self._encoded[key].under(disturbance)
