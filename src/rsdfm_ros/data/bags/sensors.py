"""Sensor data of the UAVs of a bag, instant by instant: images matched with poses by the nodes' own rules, truth,
packets.

Poses, transforms and camera_info are read ahead of the images that wait for them (order/): a bag has them
however late they were recorded.

Instants come in the order of their stamps. One is returned when every UAV has an image at or after it, or
PATIENCE_S of recorded time after it arrived (always so where recorded packets are wanted, which come later than the
images, or recorded heights of the ground): the result depends on the bag alone, and little of it is in memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from rsdfm_ros.data.bags.bag import Bag, BagMessage
from rsdfm_ros.data.bags.geo.settings import geo_settings
from rsdfm_ros.data.bags.order.pending import PATIENCE_S, InstantInputs, Packet, PendingInstants
from rsdfm_ros.data.bags.order.read_ahead import Due, ReadAhead, first_of_each
from rsdfm_ros.data.bags.pose_frames import pose_frames
from rsdfm_ros.data.bags.topic_map import (
    ATTITUDES,
    FEATURES,
    IMAGES,
    INFO,
    POINT,
    POSES,
    STATIC,
    STATUS,
    TF,
    TRANSFORMS,
    TRUTH,
    TopicMap,
    UavTopics,
)
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.ground_heights import MAX_AGE_S, Heights
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.data.messages.stamps import stamp_ns

HEIGHTS_KEPT = 4096
MAX_PACKETS = 4096
"""Recorded packets that wait for an instant at most."""
MAX_FIXED = 1000
"""Messages of /tf_static that are read before everything else."""

Handler = Callable[[Any, BagMessage], None]


class Sensors:
    """The sensors of a bag. features: also hand out the recorded packets.

    uavs: those that the map finds · rejects: what was left out, by (UAV or topic, reason); reasons: the first sentence
    of each · doubts: sentences on what was used and looks wrong · images, expected: images by UAV, read so far and as
    the files promise. Raises: BagError for poses in frames that contradict each other.
    """

    def __init__(self, bag: Bag, topic_map: TopicMap, *, features: bool = False) -> None:
        self.rejects: Counter[tuple[str, str]] = Counter()
        self.reasons: dict[tuple[str, str], str] = {}
        self.doubts: dict[tuple[str, str], str] = {}
        self.images: Counter[str] = Counter()
        self._bag, self._map, self._features = bag, topic_map, features
        self._handlers: dict[str, list[Handler]] = {}
        self._ahead: dict[str, list[tuple[str, Handler]]] = {}
        self._frames = pose_frames(bag, topic_map)
        self._geo = geo_settings(bag, topic_map)
        self._muted = False
        self._now_ns = 0
        self._found = topic_map.found(bag.topics)
        self.uavs = tuple(self._found)
        self._inputs: dict[str, Inputs] = {}
        self._pending = PendingInstants(self.uavs)
        self._packets: list[tuple[int, Packet]] = []
        self._truths: list[Any] = []
        self._statuses: list[tuple[str, Any]] = []
        self._heights: dict[str, Heights] = {}
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
        ahead = ReadAhead(self._bag.messages(list(self._ahead)), self._split)
        for message in self._bag.messages(list(self._handlers)):
            self._now_ns = message.log_ns
            for due in ahead.due(message.log_ns):
                due.take()
            content = self._decoded(message)
            for handle in self._handlers[message.topic] if content is not None else ():
                self._guarded(handle, content, message)
            for uav, inputs in self._inputs.items():
                while inputs.waiting and (found := ahead.ahead(uav, message.log_ns)) is not None:
                    found.take()
            yield from self._ready(message.log_ns)
        for due in ahead.due(None):
            due.take()
        for uav in self._inputs:
            self._take(uav, self._inputs[uav].due(math.inf))
        yield from self._ready(None)
        if self._truths or self._statuses:
            yield self._filled(InstantInputs(-1))

    def reject(self, where: str, reason: str, text: str) -> None:
        """Count what is left out; the first sentence of every kind is kept."""
        if self._muted:
            return
        self.rejects[where, reason] += 1
        self.reasons.setdefault((where, reason), text)

    def _decoded(self, message: BagMessage) -> Any:
        """The content of a message, None if it is refused."""
        try:
            return self._bag.decode(message)
        except MessageError as error:
            self.reject(message.topic, error.reason, str(error))
            return None

    def _guarded(self, handle: Handler, content: Any, message: BagMessage) -> None:
        try:
            handle(content, message)
        except MessageError as error:
            self.reject(message.topic, error.reason, str(error))

    def _split(self, message: BagMessage) -> list[tuple[str, Due]]:
        """What a message that may be read ahead is for each UAV."""
        content = self._decoded(message)
        if content is None:
            return []
        return [
            (uav, Due(message.log_ns, partial(self._guarded, handle, content, message)))
            for uav, handle in self._ahead[message.topic]
        ]

    def _prime(self) -> None:
        """Read what holds from the beginning, whenever it was recorded: the first camera_info of every camera, and
        transforms of /tf_static, of which the first of a frame counts until another comes."""
        self._muted = True  # everything comes again in its time
        firsts = {t for t in self._ahead if self._bag.topics[t].type_name == INFO}
        fixed = self._bag.messages([STATIC] if STATIC in self._ahead else [])
        for message in (*first_of_each(self._bag, firsts), *reversed(list(islice(fixed, MAX_FIXED)))):
            for _, due in self._split(message):
                due.take()
        self._muted = False

    # --- routing --------------------------------------------------------------------------------------------------

    def _route(self, topic: str, kinds: tuple[str, ...], handler: Handler, ahead: str = "") -> bool:
        """Hand messages of these types on this topic to `handler`; whether there are such. ahead: the UAV for whose
        images they may be read before their time."""
        known = self._bag.topics.get(topic)
        if known is None or known.type_name not in kinds or known.problem:
            return False
        if ahead:
            self._ahead.setdefault(topic, []).append((ahead, handler))
        else:
            self._handlers.setdefault(topic, []).append(handler)
        return known.messages > 0

    def _route_uav(self, uav: str, topics: UavTopics, features: bool) -> None:
        pose = self._bag.topics.get(topics.pose)
        pose_type = TF if topics.pose == TF else POSES.get("" if pose is None else pose.type_name, "pose")
        given = dict(self._map.inputs)
        if uav in self._frames.own:
            given |= {"pose_frame_id": self._frames.own[uav], "pose_origin": self._map.pose_origins[uav]}
        given |= self._geo.get(uav, {})
        config = InputConfig(
            agent=uav,
            cameras=tuple(topics.cameras),
            extrinsics=tuple(v for c in topics.cameras.values() for v in c.extrinsics),
            frame_id=self._frames.world,
            pose_type=pose_type,
            **given,
        )
        inputs = self._inputs[uav] = Inputs(
            config,
            lambda reason, text: self.reject(uav, reason, text),
            lambda kind, text: self.doubts.setdefault((uav, kind), text),
        )
        self._route(topics.pose, tuple(POSES), lambda m, _: self._take(uav, inputs.add_pose(m)), uav)
        if uav in self._geo:
            self._route(
                topics.attitude, tuple(ATTITUDES), lambda m, _: self._take(uav, inputs.add_attitude(m)), uav
            )
        for camera, of in enumerate(topics.cameras.values()):
            if of.intrinsics is not None:
                inputs.add_info(camera, of.intrinsics.info())
            self._route_camera(uav, camera, of.image, of.info)
        if config.needs_tf:
            for topic, fixed in (("/tf", False), (STATIC, True)):
                self._route(
                    topic,
                    (TRANSFORMS,),
                    lambda m, _, f=fixed: self._take(uav, inputs.add_transforms(m, fixed=f)),  # type: ignore[misc]
                    uav,
                )
        if features:
            self._route(topics.features, (FEATURES,), lambda m, r: self._on_packet(uav, m, r))
        heights = Heights(HEIGHTS_KEPT)
        if self._route(topics.ground, (POINT,), lambda m, _: heights.add_point(m, self._map.frame_id)):
            self._heights[uav] = heights
        self._route(topics.status, (STATUS,), lambda m, _: self._statuses.append((uav, m)))

    def _route_camera(self, uav: str, camera: int, image: str, info: str) -> None:
        inputs = self._inputs[uav]

        def on_image(m: Any, r: BagMessage) -> None:
            self.images[uav] += 1
            self._take(uav, inputs.add_image(camera, m, r.log_ns / 1e9, r.log_ns))

        self._route(info, (INFO,), lambda m, _: self._take(uav, inputs.add_info(camera, m)), uav)
        self._route(image, IMAGES, on_image)

    # --- collecting -----------------------------------------------------------------------------------------------

    def _on_packet(self, uav: str, message: Any, record: BagMessage) -> None:
        store = self._bag.types.store(record.type_name)
        assert store is not None
        # Not len(record.raw): DDS pads messages to whole words.
        size = len(store.serialize_cdr(message, record.type_name))
        self._packets.append((stamp_ns(message.header.stamp), Packet(uav, message, size)))
        del self._packets[: max(0, len(self._packets) - MAX_PACKETS)]

    def _take(self, uav: str, matched: list[Matched]) -> None:
        for one in matched:
            if not self._pending.add(uav, one, self._now_ns):
                self.reject(
                    uav,
                    "late_picture",
                    f"an image came more than {PATIENCE_S} s after others of its instant",
                )

    def _ready(self, log_ns: int | None) -> Iterator[InstantInputs]:
        """Instants that need not wait any longer at this time of the recording; all if None."""
        patient = self._features or bool(self._heights)  # for messages that are recorded after the image
        yield from map(self._filled, self._pending.due(log_ns, patient=patient))

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
