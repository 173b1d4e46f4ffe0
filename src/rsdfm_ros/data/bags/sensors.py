"""Sensor data of the UAVs of a bag, instant by instant: images matched with poses by the nodes' own rules, truth,
packets.

Instants come in the order of their stamps. One is returned when every UAV has an image at or after it, or
PATIENCE_S of recorded time after it arrived (always so where recorded packets are wanted, which come later than the
images, or recorded heights of the ground): the result depends on the bag alone, and little of it is in memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from rsdfm_ros.data.bags.bag import Bag, BagMessage
from rsdfm_ros.data.bags.topic_map import (
    FEATURES,
    IMAGES,
    INFO,
    POINT,
    POSES,
    STATUS,
    TF,
    TRANSFORMS,
    TRUTH,
    Intrinsics,
    TopicMap,
    UavTopics,
)
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.ground_heights import MAX_AGE_S, Heights
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.geometry.lattice import FRAME_ID

PATIENCE_S = 2.0
HEIGHTS_KEPT = 4096
MAX_PENDING = 64
"""Instants that wait at most."""

Handler = Callable[[Any, BagMessage], None]


@dataclass(frozen=True)
class Packet:
    """A recorded FeaturePacket. uav: owner of its topic · size_bytes: of the serialised message."""

    uav: str
    message: Any
    size_bytes: int


@dataclass
class InstantInputs:
    """Everything of one stamp. images: by UAV · packets: recorded ones with this stamp or an older one · truths,
    statuses: messages that were recorded since the instant before, whatever their stamps · heights: of the ground, m,
    by UAV with such a topic."""

    stamp_ns: int
    images: dict[str, Matched] = field(default_factory=dict)
    packets: list[Packet] = field(default_factory=list)
    truths: list[Any] = field(default_factory=list)
    statuses: list[tuple[str, Any]] = field(default_factory=list)
    heights: dict[str, float] = field(default_factory=dict)


class Sensors:
    """The sensors of a bag. features: also hand out the recorded packets.

    uavs: those that the map finds · rejects: what was left out, by (UAV or topic, reason); reasons: the first sentence
    of each · images, expected: images by UAV, read so far and as the files promise.
    """

    def __init__(self, bag: Bag, topic_map: TopicMap, *, features: bool = False) -> None:
        self.rejects: Counter[tuple[str, str]] = Counter()
        self.reasons: dict[tuple[str, str], str] = {}
        self.images: Counter[str] = Counter()
        self._bag, self._map, self._features = bag, topic_map, features
        self._handlers: dict[str, list[Handler]] = {}
        self._found = topic_map.found(bag.topics)
        self.uavs = tuple(self._found)
        self._inputs: dict[str, Inputs] = {}
        self._early: dict[str, dict[int, Any]] = {}
        self._newest: dict[str, int] = {}
        self._pending: dict[int, InstantInputs] = {}
        self._arrived_ns: dict[int, int] = {}
        self._packets: list[tuple[int, Packet]] = []
        self._truths: list[Any] = []
        self._statuses: list[tuple[str, Any]] = []
        self._heights: dict[str, Heights] = {}
        self._given_ns = -1
        self.expected = {
            uav: max(
                (bag.topics[c.image].messages for c in of.cameras.values() if c.image in bag.topics),
                default=0,
            )
            for uav, of in self._found.items()
        }
        for uav, topics in self._found.items():
            self._route_uav(uav, topics, features)
        self._route(topic_map.ground_truth, (TRUTH,), lambda m, _: self._truths.append(m))

    def input_of(self, uav: str) -> Inputs:
        """The inputs of a UAV from which its images came."""
        return self._inputs[uav]

    def instants(self) -> Iterator[InstantInputs]:
        """All instants with at least one usable image, in the order of their stamps, then one for what is left."""
        self._prime()
        for message in self._bag.messages(list(self._handlers)):
            self._handle(message)
            yield from self._ready(message.log_ns)
        for uav in self._inputs:
            self._take(uav, self._inputs[uav].due(math.inf), 0)
        yield from self._ready(None)
        if self._truths or self._statuses:
            yield self._filled(InstantInputs(-1))

    def reject(self, where: str, reason: str, text: str) -> None:
        """Count what is left out; the first sentence of every kind is kept."""
        self.rejects[where, reason] += 1
        self.reasons.setdefault((where, reason), text)

    def _handle(self, message: BagMessage) -> None:
        try:
            content = self._bag.decode(message)
            for handle in self._handlers[message.topic]:
                handle(content, message)
        except MessageError as error:
            self.reject(message.topic, error.reason, str(error))

    def _prime(self) -> None:
        """Read the first message on every camera_info topic: recorders note topics in any order, and an image may be
        recorded before its intrinsics."""
        wanted = {t for t in self._handlers if self._bag.topics[t].type_name == INFO}
        if not wanted:
            return
        for message in self._bag.messages(list(wanted)):
            if message.topic in wanted:
                self._handle(message)
                wanted.discard(message.topic)
            if not wanted:
                return

    # --- routing --------------------------------------------------------------------------------------------------

    def _route(self, topic: str, kinds: tuple[str, ...], handler: Handler) -> bool:
        """Hand messages of these types on this topic to `handler`; whether there are such."""
        known = self._bag.topics.get(topic)
        if known is None or known.type_name not in kinds or known.problem:
            return False
        self._handlers.setdefault(topic, []).append(handler)
        return known.messages > 0

    def _route_uav(self, uav: str, topics: UavTopics, features: bool) -> None:
        pose = self._bag.topics.get(topics.pose)
        pose_type = TF if topics.pose == TF else POSES.get("" if pose is None else pose.type_name, "pose")
        config = InputConfig(
            agent=uav,
            cameras=tuple(topics.cameras),
            extrinsics=tuple(v for c in topics.cameras.values() for v in c.extrinsics),
            frame_id=self._map.frame_id,
            pose_type=pose_type,
            **self._map.inputs,
        )
        if self._map.frame_id or topics.pose == TF:
            self._make(uav, config, topics)

        def on_pose(m: Any, r: BagMessage) -> None:
            if uav not in self._inputs:  # the map takes the frame of the first pose
                self._make(uav, _with_frame(config, str(getattr(m, "header", _NO_HEADER).frame_id)), topics)
            self._take(uav, self._inputs[uav].add_pose(m), r.log_ns)

        self._route(topics.pose, tuple(POSES), on_pose)
        for camera, of in enumerate(topics.cameras.values()):
            self._route_camera(uav, camera, of.image, of.info, topics)
        if topics.pose == TF or config.needs_tf:
            for topic, fixed in (("/tf", False), ("/tf_static", True)):
                self._route(
                    topic,
                    (TRANSFORMS,),
                    lambda m, r, f=fixed: self._take(uav, self._of(uav).add_transforms(m, fixed=f), r.log_ns),  # type: ignore[misc]
                )
        if features:
            self._route(topics.features, (FEATURES,), lambda m, r: self._on_packet(uav, m, r))
        heights = Heights(HEIGHTS_KEPT)
        if self._route(topics.ground, (POINT,), lambda m, _: heights.add_point(m, self._map.frame_id)):
            self._heights[uav] = heights
        self._route(topics.status, (STATUS,), lambda m, _: self._statuses.append((uav, m)))

    def _route_camera(self, uav: str, camera: int, image: str, info: str, topics: UavTopics) -> None:
        def on_image(m: Any, r: BagMessage) -> None:
            self.images[uav] += 1
            if uav not in self._inputs:
                self.reject(uav, "no_pose", "images before the first pose")
                return
            self._take(uav, self._inputs[uav].add_image(camera, m, r.log_ns / 1e9), r.log_ns)

        def on_info(m: Any, r: BagMessage) -> None:
            if uav in self._inputs:
                self._take(uav, self._inputs[uav].add_info(camera, m), r.log_ns)
            else:
                self._early.setdefault(uav, {})[camera] = m

        self._route(info, (INFO,), on_info)
        self._route(image, IMAGES, on_image)

    def _make(self, uav: str, config: InputConfig, topics: UavTopics) -> None:
        inputs = Inputs(config, lambda reason, text: self.reject(uav, reason, text))
        for number, camera in enumerate(topics.cameras.values()):
            if camera.intrinsics is not None:
                inputs.add_info(number, info_of(camera.intrinsics))
            elif number in self._early.get(uav, {}):
                inputs.add_info(number, self._early[uav][number])
        self._inputs[uav] = inputs

    def _of(self, uav: str) -> Inputs:
        return self._inputs[uav]

    # --- collecting -----------------------------------------------------------------------------------------------

    def _on_packet(self, uav: str, message: Any, record: BagMessage) -> None:
        store = self._bag.types.store(record.type_name)
        assert store is not None
        # Not len(record.raw): DDS pads messages to whole words.
        size = len(store.serialize_cdr(message, record.type_name))
        self._packets.append((stamp_ns(message.header.stamp), Packet(uav, message, size)))
        del self._packets[: max(0, len(self._packets) - 64 * MAX_PENDING)]

    def _take(self, uav: str, matched: list[Matched], log_ns: int) -> None:
        for one in matched:
            if one.stamp_ns <= self._given_ns:
                self.reject(
                    uav,
                    "late_picture",
                    f"an image came more than {PATIENCE_S} s after others of its instant",
                )
                continue
            self._pending.setdefault(one.stamp_ns, InstantInputs(one.stamp_ns)).images[uav] = one
            self._arrived_ns.setdefault(one.stamp_ns, log_ns)
            self._newest[uav] = max(one.stamp_ns, self._newest.get(uav, -1))

    def _ready(self, log_ns: int | None) -> Iterator[InstantInputs]:
        """Instants that need not wait any longer at this time of the recording; all if None."""
        while self._pending:
            stamp = min(self._pending)
            later = self._features or self._heights  # messages recorded after the image
            seen = not later and all(self._newest.get(uav, -1) >= stamp for uav in self.uavs)
            old = log_ns is None or log_ns - self._arrived_ns[stamp] > PATIENCE_S * 1e9
            if not (seen or old or len(self._pending) > MAX_PENDING):
                return
            self._given_ns = stamp
            del self._arrived_ns[stamp]
            yield self._filled(self._pending.pop(stamp))

    def _filled(self, instant: InstantInputs) -> InstantInputs:
        instant.truths, self._truths = self._truths, []
        instant.statuses, self._statuses = self._statuses, []
        due = [p for p in self._packets if p[0] <= instant.stamp_ns]
        self._packets = [p for p in self._packets if p[0] > instant.stamp_ns]
        instant.packets = [packet for _, packet in sorted(due, key=lambda p: p[0])]
        for uav in self._heights.keys() & instant.images.keys():
            height = self._heights[uav].nearest(instant.stamp_ns, MAX_AGE_S)
            if height is None:
                del instant.images[uav]
                self.reject(
                    uav, "ground_unknown", f"no height of the ground within {MAX_AGE_S} s of an image"
                )
            else:
                instant.heights[uav] = height
        return instant


_NO_HEADER = SimpleNamespace(frame_id="")


def _with_frame(config: InputConfig, frame_id: str) -> InputConfig:
    return replace(config, frame_id=frame_id or FRAME_ID)


def info_of(of: Intrinsics) -> Any:
    """CameraInfo of a camera whose intrinsics are written in the topic map."""
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id=""),
        height=of.height,
        width=of.width,
        distortion_model=of.distortion_model,
        d=list(of.d),
        k=[of.fx, 0.0, of.cx, 0.0, of.fy, of.cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[of.fx, 0.0, of.cx, 0.0, 0.0, of.fy, of.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )
