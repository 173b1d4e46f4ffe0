"""Plan of a replay: the topics that a bag is played to, and the parameters that encoder_node needs for it. Free of
ROS."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rsdfm_ros.data.bags.bag import Bag, BagMessage
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.geo.settings import geo_settings
from rsdfm_ros.data.bags.info import header_stamp_ns
from rsdfm_ros.data.bags.pose_frames import PoseFrames, pose_frames
from rsdfm_ros.data.bags.topic_map import (
    ATTITUDES,
    FEATURES,
    FIXES,
    IMAGES,
    INFO,
    POINT,
    POSES,
    TF,
    TRANSFORMS,
    TRUTH,
    Intrinsics,
    TopicMap,
    UavTopics,
)
from rsdfm_ros.data.bags.types import has_header, typestore
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.words import counted

#: image_transport of encoder_node by type, and the end of its topic below image_raw.
TRANSPORTS = dict(zip(IMAGES, ("raw", "compressed", "ffmpeg", "foxglove"), strict=True))
IMAGE_TOPICS = {"raw": "", "compressed": "/compressed", "ffmpeg": "/ffmpeg", "foxglove": "/video"}
IMAGE, OTHER, GROUND_TRUTH, PACKETS = "image", "other", "truth", "packets"


@dataclass(frozen=True)
class Output:
    """Topic that messages of a recorded topic are published on. topic: relative to the fleet, or absolute · role:
    `image`, `truth`, `packets` of features, or `other` for what belongs to images · uav: "" for what all share."""

    topic: str
    type_name: str
    role: str
    uav: str = ""


@dataclass(frozen=True)
class ReplayPlan:
    """outputs: by recorded topic · infos: intrinsics that are only in the map, by published topic · parameters: for the
    encoder_node of every UAV · frames: most images of any camera · notes: what is missing · packets: recorded packets
    of UAVs, by recorded topic: outputs for those that are not run."""

    outputs: dict[str, Output]
    infos: dict[str, Intrinsics]
    parameters: dict[str, dict[str, Any]]
    frames: int
    has_truth: bool
    notes: list[str] = field(default_factory=list)
    packets: dict[str, Output] = field(default_factory=dict)

    def chosen(self, agents: Collection[str] = ()) -> ReplayPlan:
        """The plan in which only these UAVs are run, by default all: packets that the others have sent are played as
        they are. Raises: RsdfmError for one that the bag does not have."""
        unknown = sorted(set(agents) - set(self.uavs))
        if unknown:
            raise RsdfmError(f"the bag has no {', '.join(unknown)}: it has {', '.join(self.uavs)}")
        run = set(agents or self.uavs)
        outputs = {t: o for t, o in self.outputs.items() if not o.uav or o.uav in run}
        return replace(
            self,
            outputs=outputs | {t: o for t, o in self.packets.items() if o.uav not in run},
            infos={t: i for t, i in self.infos.items() if t.partition("/")[0] in run},
            parameters={u: p for u, p in self.parameters.items() if u in run},
            packets={},
        )

    @property
    def uavs(self) -> tuple[str, ...]:
        """Names of the UAVs, in order."""
        return tuple(self.parameters)


def replay_plan(bag: Bag, topic_map: TopicMap) -> ReplayPlan:
    """The plan for a bag. Raises: BagError if the map finds no UAV with images and poses in it, or poses in frames that
    contradict each other."""
    outputs: dict[str, Output] = {}
    infos: dict[str, Intrinsics] = {}
    parameters: dict[str, dict[str, Any]] = {}
    packets: dict[str, Output] = {}
    notes: list[str] = []
    frames = 0
    posed, geo = pose_frames(bag, topic_map), geo_settings(bag, topic_map)
    for uav, topics in topic_map.found(bag.topics).items():
        if heard := _is(bag, topics.features, (FEATURES,)):
            packets[topics.features] = Output(f"{uav}/bev/features", FEATURES, PACKETS, uav)
        lacking = _lacking(bag, topics)
        if lacking:
            what = f"of {uav} only the recorded packets are played" if heard else f"{uav} is left out"
            notes.append(f"{what}: {', '.join(lacking)}")
            continue
        parameters[uav] = _parameters(bag, topic_map, uav, topics, posed) | _lists(geo.get(uav, {}))
        for camera, of in topics.cameras.items():
            transport = TRANSPORTS[bag.topics[of.image].type_name]
            name = f"{uav}/{camera_name(camera, topics)}"
            image = f"{name}/image_raw" + IMAGE_TOPICS[transport]
            outputs[of.image] = Output(image, bag.topics[of.image].type_name, IMAGE, uav)
            if of.intrinsics is None:
                outputs[of.info] = Output(f"{name}/camera_info", INFO, OTHER, uav)
            else:
                infos[f"{name}/camera_info"] = of.intrinsics
            frames = max(frames, bag.topics[of.image].messages)
        if uav in geo:
            outputs[topics.pose] = Output(f"{uav}/fix", bag.topics[topics.pose].type_name, OTHER, uav)
            kind = bag.topics[topics.attitude].type_name
            outputs[topics.attitude] = Output(f"{uav}/attitude", kind, OTHER, uav)
        elif topics.pose != TF:
            outputs[topics.pose] = Output(f"{uav}/pose", bag.topics[topics.pose].type_name, OTHER, uav)
        if _is(bag, topics.ground, (POINT,)):
            outputs[topics.ground] = Output(f"{uav}/ground/height", POINT, OTHER, uav)
    if not parameters:
        raise BagError(
            bag.path,
            "; ".join([f"the map {topic_map.name!r} finds no UAV that could be played", *notes]),
            "`rsdfm bag info` shows the topics; write a map for them (docs/bags.md)",
        )
    for topic in ("/tf", "/tf_static"):
        if _is(bag, topic, (TRANSFORMS,)):
            outputs[topic] = Output(topic, TRANSFORMS, OTHER)
    has_truth = _is(bag, topic_map.ground_truth, (TRUTH,))
    if has_truth:
        outputs[topic_map.ground_truth] = Output("/ground_truth", TRUTH, GROUND_TRUTH)
    else:
        notes.append("no ground truth: the answers cannot be scored")
    return ReplayPlan(outputs, infos, parameters, frames, has_truth, notes, packets)


def part_ns(first_ns: int, start_s: float, duration_s: float) -> tuple[int, int | None]:
    """Log times of the beginning and the end of a part of a bag whose first message is of `first_ns`; None: its end."""
    begin_ns = first_ns + round(start_s * 1e9)
    return begin_ns, begin_ns + round(duration_s * 1e9) if duration_s else None


def stamp_of(message: BagMessage) -> int:
    """Stamp of a message with a header, in ns; 0 where there is none or it was left at zero."""
    return max(header_stamp_ns(message.raw) or 0, 0) if has_header(message.type_name) else 0


def first_stamp_ns(bag: Bag, plan: ReplayPlan, start_s: float) -> int:
    """The first stamp of the part of a bag from `start_s` on, where mission time begins."""
    begin_ns = None
    for message in bag.messages(sorted(plan.outputs)):
        begin_ns = part_ns(message.log_ns, start_s, 0.0)[0] if begin_ns is None else begin_ns
        if message.log_ns >= begin_ns and (stamp := stamp_of(message)):
            return stamp
    return 0


def check_part(bag: Bag, plan: ReplayPlan, start_s: float, duration_s: float) -> None:
    """Raise BagError unless an image with a stamp lies in this part of the bag; reads it up to there."""
    first = next(bag.messages(sorted(plan.outputs)), None)
    if first is None:
        raise BagError(bag.path, "nothing in it can be read", "record it anew, or give another bag")
    begin_ns, end_ns = part_ns(first.log_ns, start_s, duration_s)
    last_ns, unstamped = first.log_ns, 0
    for message in bag.messages([t for t, o in plan.outputs.items() if o.role == IMAGE]):
        last_ns = message.log_ns
        if last_ns >= begin_ns and message.type_name == plan.outputs[message.topic].type_name:
            if end_ns is not None and last_ns > end_ns:
                break
            if stamp_of(message):
                return
            unstamped += 1
    if unstamped:
        raise BagError(
            bag.path,
            f"the stamps of all {counted(unstamped, 'image')} in the chosen part are zero",
            "the camera driver must fill in header.stamp, the time of exposure: record anew",
        )
    at_s = (last_ns - first.log_ns) / 1e9
    where = f"its last image is {at_s:.3f} s" if last_ns < begin_ns else f"the next image is {at_s:.3f} s"
    part = f"of {duration_s:g} s from {start_s:g} s on" if duration_s else f"from {start_s:g} s on"
    raise BagError(
        bag.path,
        f"no image lies in the chosen part ({part}): {where} after its beginning",
        "choose another start or duration",
    )


def check_types(bag: Bag, plan: ReplayPlan) -> None:
    """Raise BagError unless messages of the plan are, byte by byte, of our types."""
    for kind in sorted({output.type_name for output in plan.outputs.values()}):
        if bag.types.store(kind) is not typestore():
            why = next(
                (d for d in bag.types.differences if d.startswith(kind)), bag.types.unknown.get(kind, kind)
            )
            raise BagError(bag.path, f"cannot be played: its bytes are not those of our messages: {why}")


def camera_name(camera: str, topics: UavTopics) -> str:
    """Name of a camera in encoder_node: a single one is `camera`."""
    return camera if len(topics.cameras) > 1 else "camera"


def _parameters(
    bag: Bag, topic_map: TopicMap, uav: str, topics: UavTopics, posed: PoseFrames
) -> dict[str, Any]:
    """Only values that differ from the defaults of encoder_node, so that a replay of our own bags is a plain fleet."""
    out = _lists(topic_map.inputs)
    if len(topics.cameras) > 1:
        out["cameras"] = list(topics.cameras)
    extrinsics = [v for c in topics.cameras.values() for v in c.extrinsics]
    if extrinsics != [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]:
        out["extrinsics"] = extrinsics
    pose_type = TF if topics.pose == TF else POSES[bag.topics[topics.pose].type_name]
    if pose_type != "pose_with_covariance":
        out["pose_type"] = pose_type
    kinds = {bag.topics[c.image].type_name for c in topics.cameras.values()}
    if len(kinds) == 1 and kinds != {IMAGES[0]}:
        out["image_transport"] = TRANSPORTS[kinds.pop()]
    frame = posed.own.get(uav, posed.world)
    if frame not in ("", FRAME_ID):
        out["pose_frame_id"] = frame
    if uav in posed.own:
        out["pose_origin"] = list(topic_map.pose_origins[uav])
    if _is(bag, topics.ground, (POINT,)):
        out["ground_model"] = "topic"
    elif topic_map.ground_height_m:
        out["ground_height_m"] = topic_map.ground_height_m
    return out


def _lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _lacking(bag: Bag, topics: UavTopics) -> list[str]:
    lacking = []
    for camera, of in topics.cameras.items():
        if not _is(bag, of.image, IMAGES):
            lacking.append(f"no images of {camera} on {of.image}")
        if of.intrinsics is None and not _is(bag, of.info, (INFO,)):
            lacking.append(f"no camera_info of {camera} on {of.info}")
    if topics.pose != TF and not _is(bag, topics.pose, tuple(POSES)):
        lacking.append(f"no poses on {topics.pose}")
    if _is(bag, topics.pose, tuple(FIXES)) and not _is(bag, topics.attitude, tuple(ATTITUDES)):
        lacking.append(f"no attitudes on {topics.attitude or '(no topic in the map)'}")
    if topics.pose == TF and not _is(bag, "/tf", (TRANSFORMS,)):
        lacking.append("no transforms on /tf")
    return lacking


def _is(bag: Bag, topic: str, kinds: tuple[str, ...]) -> bool:
    known = bag.topics.get(topic)
    return known is not None and known.type_name in kinds and known.messages > 0 and not known.problem
