"""Maps before they are fused (agent/prefusion/prepare.py), and the status about that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdfm_ros.agent.inbox import PeerFrame
from rsdfm_ros.agent.peers import Peer
from rsdfm_ros.agent.types import OwnFeatures
from rsdfm_ros.nodes.core.diagnostics import OK, RECENT_S, WARN, Status
from rsdfm_ros.nodes.core.health import Health
from rsdfm_ros.nodes.uav.settings import CollaborationSettings

if TYPE_CHECKING:
    from rsdfm_ros.agent.prefusion.prepare import Prepared
    from rsdfm_ros.agent.solo import SoloHistory
    from rsdfm_ros.geometry.alignment import Correction


@dataclass(frozen=True)
class PeerMap:
    """A peer's decoded image. bev: AgentBev · age_s: how much older it is than the own one."""

    name: str
    frame: PeerFrame
    bev: Any
    age_s: float


def prepared(
    own: OwnFeatures, peers: Sequence[PeerMap], model: Any, settings: CollaborationSettings, agent: str
) -> Prepared:
    """What is to be fused. model: the Perception on the region of the maps."""
    # Imported here: torch takes a second, and only an active node needs it.
    from rsdfm_ros.agent.prefusion.pose_alignment import View
    from rsdfm_ros.agent.prefusion.prepare import prepare

    views = []
    for p in peers:
        first = p.frame.first
        views.append(View(p.bev, first.T_map_camera, first.covariance, p.frame.boxes, p.age_s, p.name))
    return prepare(
        View(own.bev, own.T_map_camera, own.covariance, name=agent),
        views,
        model.window,
        pre_fusion_options(settings, model.thresholds),
        lambda: own.solo.boxes() if own.boxes is None else own.boxes,
        ground=model.ground,
    )


def pre_fusion_options(settings: CollaborationSettings, thresholds: Mapping[str, float]) -> Any:
    """PreFusionOptions of the settings and, where they leave it to the model, of its thresholds."""
    from rsdfm_ros.agent.prefusion.prepare import PreFusionOptions

    resemblance = settings.map_consistency if settings.map_consistency >= 0 else thresholds["resemblance"]
    return PreFusionOptions(settings.move_peers, settings.correct_poses, settings.doubt_peers, resemblance)


def fuse(ready: Prepared, own: OwnFeatures, model: Any, *, with_dominant: bool) -> Any:
    """The FusedMap; without any peer what the UAV made of its map alone, if that was not corrected."""
    if not ready.peers and ready.own.bev is own.bev and not with_dominant:
        return own.solo.fused()
    bevs, ages_s = [v.bev for v in ready.peers], [v.age_s for v in ready.peers]
    return model.fuse(ready.own.bev, bevs, ages_s, with_dominant=with_dominant)


def own_features(
    frame: PeerFrame, bev: Any, model: Any, history: SoloHistory, *, arrived_s: float
) -> OwnFeatures:
    """Own features that came as packets, as from a peer. bev: AgentBev of it, on the region and ground of `model`."""
    first = frame.first
    return OwnFeatures(
        first.stamp_ns,
        first.frame,
        bev,
        arrived_s,
        model.region,
        first.T_map_camera,
        first.covariance,
        history.add(model, first.stamp_ns, bev),
        frame.boxes,
        model.ground,
    )


def note(ready: Prepared, agent: str, peers: Sequence[Peer], health: Health) -> None:
    """Write down whom we fuse and what was done to whom. The caller holds the lock of the peers."""
    ages_s = {v.name: v.age_s for v in ready.peers}
    for peer in peers:
        correction = ready.corrections.get(peer.name)
        peer.age_s, peer.left_out = ages_s.get(peer.name), ready.left_out.get(peer.name, "")
        peer.moved_m, peer.turned_deg = extent_of(correction)
        peer.common = correction.matches if correction is not None else 0
    for why in ready.left_out.values():
        health.count(f"peers_left_out_{why}")
    health.count("poses_corrected", len(ready.corrections))
    health.moved_m, health.turned_deg = extent_of(ready.corrections.get(agent))


def extent_of(correction: Correction | None) -> tuple[float | None, float | None]:
    """By how many metres and degrees a pose was corrected."""
    if correction is None:
        return None, None
    shift, turn = np.linalg.norm(correction.delta[:3]), np.linalg.norm(correction.delta[3:])
    return float(shift), float(np.degrees(turn))


def interaction_status(health: Health, peers: Sequence[Peer]) -> Iterable[tuple[str, Status]]:
    """What was done to maps before the newest fusion, for diagnostics."""
    left_out = {p.name: p.left_out for p in peers if p.left_out}
    counts, _ = health.snapshot()
    values: dict[str, object] = {
        name: counts[name]
        for name in sorted(counts)
        if name.startswith("peers_left_out_") or name == "poses_corrected"
    }
    if health.moved_m is not None:
        values |= {"own_moved_m": f"{health.moved_m:.2f}", "own_turned_deg": f"{health.turned_deg:.2f}"}
    recent = any(health.recent(name, RECENT_S) for name in counts if name.startswith("peers_left_out_"))
    words = ", ".join(f"{name} ({why})" for name, why in left_out.items())
    if words:
        yield "interaction", Status(WARN, f"left out of the newest fusion: {words}", values)
    elif recent:
        yield "interaction", Status(WARN, "peers were left out lately", values)
    elif values:
        yield "interaction", Status(OK, "all peers are believed", values)
