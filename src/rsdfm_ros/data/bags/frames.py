"""Frames of a mission (data set or simulator) as input messages of the nodes, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsdfm_ros.data.bags.bag import Bag
from rsdfm_ros.data.bags.sensors import Sensors
from rsdfm_ros.data.bags.topic_map import INFO, TRUTH, TopicMap
from rsdfm_ros.data.bags.types import PACKAGE, typestore
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.frame import CameraView, Objects, WorldFrame
from rsdfm_ros.data.messages.stamps import NS, stamp_ns
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.geometry.rotations import quaternion_from_matrix, quaternion_from_yaw

START_NS = 10 * NS
"""Stamps of a mission that counts from 0 are moved there: a ROS time of zero would mean "no time yet"."""


def write_frames(writer: BagWriter, frames: Iterable[WorldFrame], agents: tuple[str, ...]) -> int:
    """Append frames with the topics of config/bags/default.yaml; how many.

    agents: the columns of every frame's visibility. Frames beyond the last images carry truth only. Raises
    RsdfmError for several cameras per UAV: their poses would share a topic.
    """
    number, offset = 0, None
    for frame in frames:
        offset = (START_NS if frame.stamp_ns < NS else 0) if offset is None else offset
        ns = frame.stamp_ns + offset
        if any(len(frame.views_of(agent)) > 1 for agent in frame.agents):
            raise RsdfmError(
                f"frame {frame.index} has several cameras per UAV, which bags are not written with: "
                "export a data set with one camera per UAV"
            )
        for view in frame.views:
            _write_view(writer, view, ns)
        _write(writer, "/ground_truth", TRUTH, ns, _truth(frame, agents, ns))
        number += 1
    return number


def _write_view(writer: BagWriter, view: CameraView, ns: int) -> None:
    t = typestore().types
    here, optical = f"/{view.agent}", f"{view.agent}/camera_optical"
    height, width = view.image.shape[:2]
    K = np.asarray(view.K, np.float64).copy()
    K[:2, 2] -= 0.5  # ROS puts the centre of the first pixel at 0
    info = t[INFO](
        header=_header(ns, optical),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=K.ravel(),
        r=np.eye(3).ravel(),
        p=np.concatenate([K, np.zeros((3, 1))], axis=1).ravel(),
        binning_x=0,
        binning_y=0,
        roi=t["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )
    T = view.T_map_camera
    pose = t["geometry_msgs/msg/PoseWithCovarianceStamped"](
        header=_header(ns, FRAME_ID),
        pose=t["geometry_msgs/msg/PoseWithCovariance"](
            pose=_pose(T[:3, 3], quaternion_from_matrix(T[:3, :3])),
            covariance=np.asarray(view.covariance, np.float64).ravel(),
        ),
    )
    image = t["sensor_msgs/msg/Image"](
        header=_header(ns, optical),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(view.image).ravel(),
    )
    _write(writer, f"{here}/camera/camera_info", INFO, ns, info)
    _write(writer, f"{here}/pose", "geometry_msgs/msg/PoseWithCovarianceStamped", ns, pose)
    _write(writer, f"{here}/camera/image_raw", "sensor_msgs/msg/Image", ns, image)


def _truth(frame: WorldFrame, agents: tuple[str, ...], ns: int) -> Any:
    t, o = typestore().types, frame.objects
    vector = t["geometry_msgs/msg/Vector3"]
    items = [
        t[f"{PACKAGE}/msg/Object3D"](
            class_id=int(o.classes[n]),
            score=1.0,
            pose=t["geometry_msgs/msg/PoseWithCovariance"](
                pose=_pose(o.centres[n], quaternion_from_yaw(float(o.yaws[n]))), covariance=np.zeros(36)
            ),
            size=vector(*(float(v) for v in o.sizes[n])),
            velocity=vector(*(float(v) for v in o.velocities[n]), 0.0),
            id=int(o.ids[n]),
            contributors=[],
        )
        for n in range(len(o))
    ]
    visibility = np.asarray(o.visibility, np.float32)[:, : len(agents)]
    return t[TRUTH](
        header=_header(ns, FRAME_ID),
        frame=frame.index,
        agents=list(agents),
        objects=items,
        visibility=np.ascontiguousarray(visibility).ravel(),
    )


def _write(writer: BagWriter, topic: str, kind: str, ns: int, message: Any) -> None:
    writer.write(topic, kind, ns, typestore().serialize_cdr(message, kind))


def _header(ns: int, frame_id: str) -> Any:
    t = typestore().types
    stamp = t["builtin_interfaces/msg/Time"](sec=ns // NS, nanosec=ns % NS)
    return t["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def _pose(position: NDArray[np.float64], xyzw: NDArray[np.float64]) -> Any:
    t = typestore().types
    return t["geometry_msgs/msg/Pose"](
        position=t["geometry_msgs/msg/Point"](*(float(v) for v in position)),
        orientation=t["geometry_msgs/msg/Quaternion"](*(float(v) for v in xyzw)),
    )


def read_frames(
    bag: Bag,
    topic_map: TopicMap,
    objects_of: Callable[[Any], Objects],
    on_skip: Callable[[str], None] = lambda sentence: None,
) -> Iterator[WorldFrame]:
    """The frames of a bag that has images of all its UAVs and truth of the same stamp, in order.

    objects_of: GroundTruth message → Objects · on_skip: called with a sentence for every frame that is left out. Of a
    UAV with several cameras the first one is used.
    """
    sensors = Sensors(bag, topic_map)
    truths: dict[int, Any] = {}
    waiting: list[tuple[int, tuple[CameraView, ...]]] = []
    index = 0

    def ready(*, final: bool) -> Iterator[WorldFrame]:
        nonlocal index
        while waiting and (final or waiting[0][0] in truths or (truths and max(truths) > waiting[0][0])):
            ns, views = waiting.pop(0)
            truth = truths.get(ns)
            if truth is None:
                on_skip(f"no truth at {ns} ns")
                continue
            columns = list(truth.agents)
            objects = objects_of(truth)
            order = [columns.index(v.agent) if v.agent in columns else -1 for v in views]
            seen = np.concatenate([objects.visibility, np.zeros((len(objects), 1))], axis=1)[:, order]
            # The names of the columns follow the views, as the writer of data sets expects.
            yield WorldFrame(index, ns, views, replace(objects, visibility=seen))
            index += 1
            for old in [s for s in truths if s <= ns]:
                del truths[old]

    for instant in sensors.instants():
        truths.update({stamp_ns(m.header.stamp): m for m in instant.truths})
        if instant.images:
            views = []
            for uav in sensors.uavs:
                matched = instant.images.get(uav)
                found = () if matched is None else sensors.input_of(uav).views(matched)
                views += [CameraView(uav, v.image, v.K, v.T_map_camera, v.covariance) for v in found[:1]]
            if len(views) == len(sensors.uavs):
                waiting.append((instant.stamp_ns, tuple(views)))
            else:
                on_skip(f"images of only {len(views)} of {len(sensors.uavs)} UAVs at {instant.stamp_ns} ns")
        yield from ready(final=False)
    yield from ready(final=True)
