"""Maps of a UAV and its peers at one instant to a fused map."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from rsdfm_ros.agent.decoding import FrameDecoder
from rsdfm_ros.agent.options import EVERYBODY, PreFusionOptions
from rsdfm_ros.agent.prefusion.consistency import ConsistencyCheck
from rsdfm_ros.agent.prefusion.prepare import Prepared, prepare
from rsdfm_ros.agent.prefusion.views import View
from rsdfm_ros.agent.receiver import PeerImage
from rsdfm_ros.agent.types import Fused, OwnFeatures
from rsdfm_ros.model.maps import FusedMap
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.boxes import SideBoxes
from rsdfm_ros.wire.errors import NonFinite, WireError

OnError = Callable[[str, WireError], None]
"""Called with a peer and the error of its image, which is left out."""


class FusionFailed(WireError):
    """An image of a peer that decoding, preparation or fusion does not get through."""

    reason = "fusion_failed"

    def __init__(self, peer: str, error: Exception) -> None:
        self.peer, self.error = peer, error
        super().__init__(f"the map of {peer} cannot be fused: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class FusionResult:
    """map: the fused map · prepared: the fused views and the steps before · prepare_s, fuse_s: time it took."""

    map: FusedMap
    prepared: Prepared
    prepare_s: float = 0.0
    fuse_s: float = 0.0


class Fusion:
    """Pre-fusion and interaction of one UAV, with what its consistency check learns over time. Offline methods subclass
    it: `merge` makes one map of several."""

    def __init__(self, options: PreFusionOptions) -> None:
        self.options = options
        self._check = ConsistencyCheck()

    def fuse(
        self,
        model: Perception,
        own: View,
        peers: Sequence[View],
        own_boxes: Callable[[], SideBoxes | None],
        alone: Callable[[], FusedMap] | None = None,
        *,
        with_dominant: bool = False,
    ) -> FusionResult:
        """The fused map, on the region and ground of `model`.

        own_boxes: detections without peers, called only if poses are aligned · alone: the map without peers, if it
        is computed elsewhere too · with_dominant: also the agent with the largest weight in every cell.
        """
        start = time.perf_counter()
        believed = partial(self._believed, model, alone or (lambda: model.fuse(own.bev, [], [])))
        ready = prepare(
            own, peers, model.window, self.options, own_boxes, ground=model.ground, believed=believed
        )
        prepared = time.perf_counter()
        if alone is not None and not ready.peers and ready.own.bev is own.bev and not with_dominant:
            fused = alone()
        else:
            fused = self.merge(model, ready, with_dominant)
        return FusionResult(fused, ready, prepared - start, time.perf_counter() - prepared)

    def _believed(
        self, model: Perception, alone: Callable[[], FusedMap], own: View, peers: Sequence[View]
    ) -> list[View]:
        at_least = self.options.map_consistency
        if at_least <= EVERYBODY:
            return list(peers)
        return self._check.believed(model, own, peers, at_least, alone)

    def merge(self, model: Perception, ready: Prepared, with_dominant: bool) -> FusedMap:
        """One map of prepared views: the trained interaction."""
        bevs, ages_s = [v.bev for v in ready.peers], [v.age_s for v in ready.peers]
        return model.fuse(ready.own.bev, bevs, ages_s, with_dominant=with_dominant)


def peer_views(
    model: Perception,
    images: Sequence[PeerImage],
    stamp_ns: int,
    decoder: FrameDecoder,
    on_error: OnError,
    on_concealed: Callable[[int], None] = lambda tiles: None,
) -> list[View]:
    """Maps of peers with pose, boxes and age, on the region and ground of `model`.

    stamp_ns: of the own image, from which their ages count · on_error: called for images that do not decode to a finite
    map · on_concealed: called with the number of tiles of every image that are taken from
    the image before.
    """
    views = []
    for image in images:
        try:
            decoded = decoder.decode(model, image.frame, image.before)
            if not (is_finite(decoded.bev.values) and is_finite(decoded.bev.sigma)):
                raise NonFinite("features and position uncertainty of the decoded map")
        except Exception as error:  # whatever a peer's bytes cause ends with its image
            on_error(image.peer, _typed(image.peer, error))
            continue
        on_concealed(decoded.concealed_tiles)
        first = image.frame.first
        age_s = (stamp_ns - first.stamp_ns) / 1e9
        views.append(
            View(
                decoded.bev,
                first.T_map_camera,
                first.covariance,
                image.frame.boxes,
                age_s,
                image.peer,
                image.publisher,
            )
        )
    return views


def fuse_possible(
    fuse: Callable[[Sequence[View]], FusionResult], views: Sequence[View], on_error: OnError
) -> FusionResult:
    """The fused map of all peers that fusion gets through with; on_error: called for the others.

    fuse: raises, or gives a map that is not finite, if it fails. If it fails with all, peers are added one by one,
    and those that it fails with are left out: at most len(views) + 2 tries, the last one without any peer. Raises what
    the try without peers raises; no peer is reported then.
    """

    def attempt(peers: Sequence[View]) -> FusionResult:
        result = fuse(peers)
        if peers and not is_finite(result.map.features):
            raise NonFinite("the fused map")
        return result

    try:
        return attempt(views)
    except Exception as error:  # of any kind: peers must not stop the UAV's own answers
        if not views:
            raise
        failed = error
    result: FusionResult | None = None
    good: list[View] = []
    culprits: list[tuple[str, Exception]] = [(views[0].name, failed)] if len(views) == 1 else []
    for view in views if len(views) > 1 else ():
        try:
            result = attempt([*good, view])
        except Exception as found:
            culprits.append((view.name, found))
        else:
            good.append(view)
    if result is None:
        result = attempt(())
    for name, cause in culprits:
        on_error(name, _typed(name, cause))
    return result


def is_finite(values: Tensor) -> bool:
    """Whether all values are finite. The sum tells it in a fraction of the time, unless it is too large itself."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def _typed(peer: str, error: Exception) -> WireError:
    return error if isinstance(error, WireError) else FusionFailed(peer, error)


@dataclass(frozen=True)
class Instant:
    """One fusion. prepared: the steps before fusion · peers_late: images of peers were older than the own one
    · stages: time in s of decoding, preparing and fusing."""

    fused: Fused
    prepared: Prepared
    peers_late: bool
    stages: dict[str, float]


def fuse_instant(
    agent: str,
    model: Perception,
    own: OwnFeatures,
    images: Sequence[PeerImage],
    fusion: Fusion,
    decoder: FrameDecoder,
    on_error: OnError,
    on_concealed: Callable[[int], None] = lambda tiles: None,
    *,
    with_single: bool = True,
    with_dominant: bool = False,
) -> Instant:
    """The own map of the UAV `agent` with images of its peers, on the region and ground of the own map. Images of
    peers with which that fails are left out, all of them if need be.

    with_single: also the map without peers · the rest: see peer_views and Fusion.fuse.
    """
    model = model.at(own.region)
    model = model if own.ground is None else model.on_ground(own.ground)
    start = time.perf_counter()
    views = peer_views(model, images, own.stamp_ns, decoder, on_error, on_concealed)
    decode_s = time.perf_counter() - start
    mine = View(own.bev, own.T_map_camera, own.covariance, name=agent, stamp_ns=own.stamp_ns)

    def fuse(peers: Sequence[View]) -> FusionResult:
        return fusion.fuse(model, mine, peers, own.sent_boxes, own.solo.fused, with_dominant=with_dominant)

    result = fuse_possible(fuse, views, on_error)
    ages_s = {v.name: v.age_s for v in result.prepared.peers}
    fused = Fused(
        stamp_ns=own.stamp_ns,
        frame=own.frame,
        collaborative=result.map,
        single=own.solo.fused() if with_single else None,
        contributors=(agent, *ages_s),
        ages_s=(0.0, *ages_s.values()),
        region=own.region,
        arrived_s=own.arrived_s,
        solo=own.solo,
        ground=own.ground,
    )
    stages = {"decode": decode_s, "prepare": result.prepare_s, "fuse": result.fuse_s}
    return Instant(fused, result.prepared, any(v.age_s > 0 for v in views), stages)
