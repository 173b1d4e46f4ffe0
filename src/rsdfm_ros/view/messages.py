"""Messages of a fleet to the scene: topics by UAV, and their views. Free of ROS.

The same for a live fleet (nodes/mission/view_node.py hands over what it receives) and for a bag. A topic map names the
topics of images, poses, features and status; answers have the names that our nodes give them, below the UAV's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rsdfm_ros.data.bags.geo.settings import geo_types
from rsdfm_ros.data.bags.topic_map import (
    FEATURES,
    IMAGES,
    INFO,
    POSES,
    STATUS,
    TF,
    TRANSFORMS,
    TRUTH,
    TopicMap,
    UavTopics,
)
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.messages import ORIGIN_TOPIC, origin_of
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.inputs import Inputs, Matched
from rsdfm_ros.data.messages.poses import GEO
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.data.messages.tasks import (
    boxes_from_message,
    percent_from_message,
    tracks_from_message,
    truth_from_message,
)
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.view.maps import tile_cells
from rsdfm_ros.view.scene import COLLABORATIVE, SINGLE, Scene
from rsdfm_ros.wire.body import FeaturePart
from rsdfm_ros.wire.boxes import carries_boxes
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.packet import decode_packet

#: Answers by their name below the UAV's: type.
ANSWERS = {
    "detections": "rsdfm_ros/msg/ObjectArray",
    "occupancy": "nav_msgs/msg/OccupancyGrid",
    "trajectories": "rsdfm_ros/msg/TrajectoryArray",
}
CONTRIBUTORS = "bev/contributors"
FLEET_TRUTH = "/ground_truth"
_ANSWER = re.compile(
    r".*?/(?P<uav>[A-Za-z][A-Za-z0-9_]{0,63})/(?P<single>single/)?"
    rf"(?P<name>{'|'.join([*ANSWERS, CONTRIBUTORS])})"
)
_SAYS = re.compile(r".*?/(?P<uav>[A-Za-z][A-Za-z0-9_]{0,63})/(?P<name>status|bev/features)")
MAX_GRID_CELLS = 4_000_000
MAX_TOPICS = 2000
MAX_EARLY = 100
"""Transforms that wait for the first pose, which names the frame of everything."""

Handler = Callable[[Any, int, float], None]


class Router:
    """Passes messages to a scene. `rejects` counts unusable ones, by topic and reason."""

    def __init__(
        self,
        scene: Scene,
        topic_map: TopicMap,
        on_reject: Callable[[str, str, str], None] = lambda topic, reason, text: None,
    ) -> None:
        """on_reject(topic, reason, sentence): called for everything that is left out."""
        self.scene, self.rejects = scene, Counter[tuple[str, str]]()
        self.reasons: dict[tuple[str, str], str] = {}
        self.shown: Counter[str] = Counter()
        self._map, self._on_reject = topic_map, on_reject
        self._handlers: dict[str, list[Handler]] = {}
        self._uavs: dict[str, UavTopics] = {}
        self.infos: list[str] = []
        """Topics with intrinsics: a reader of bags hands over the first of them before any image."""

    @property
    def topics(self) -> list[str]:
        """The topics that are shown, sorted."""
        return sorted(self._handlers)

    def learn(self, topics: Mapping[str, str]) -> list[str]:
        """Take the topics that exist (name → type, such as sensor_msgs/msg/Image); returns the new ones to subscribe
        to."""
        before = set(self._handlers)
        said = [
            m["uav"] for t, kind in topics.items() if (m := _SAYS.fullmatch(t)) and kind in (STATUS, FEATURES)
        ]
        self.scene.expect(sorted({*self._map.found(topics), *said}))
        for uav, of in self._map.found(topics).items():
            if uav not in self._uavs and (of.pose == TF or of.pose in topics):
                self._uavs[uav] = of
                self._route_cameras(uav, of, topics)
        for topic, kind in list(topics.items())[:MAX_TOPICS]:
            if topic not in self._handlers:
                self._route_answer(topic, kind)
        return sorted(set(self._handlers) - before)

    def take(self, topic: str, message: Any, size_bytes: int, arrived_s: float) -> None:
        """Show a message; no message raises an error."""
        for handle in self._handlers.get(topic, ()):
            try:
                handle(message, size_bytes, arrived_s)
                self.shown[topic] += 1
            except (MessageError, WireError) as error:
                self.reject(topic, error.reason, str(error))
            except Exception as error:  # another definition of our type's name, with other fields
                self.reject(topic, "content", f"{type(error).__name__}: {error}")

    def reject(self, topic: str, reason: str, text: str) -> None:
        """Count what is left out; the first sentence of every kind is kept."""
        self.rejects[topic, reason] += 1
        self.reasons.setdefault((topic, reason), text)
        self._on_reject(topic, reason, text)

    # --- images -------------------------------------------------------------------------------------------------

    def _route_cameras(self, uav: str, of: UavTopics, topics: Mapping[str, str]) -> None:
        config = InputConfig(
            agent=uav,
            cameras=tuple(of.cameras),
            extrinsics=tuple(v for c in of.cameras.values() for v in c.extrinsics),
            frame_id=self._map.frame_id,
            pose_type=TF if of.pose == TF else POSES.get(topics[of.pose], "pose"),
            **{**self._map.inputs, **geo_types(topics, of)},
        )
        cameras = _Cameras(
            config, self.scene, lambda reason, text: self.reject(f"images of {uav}", reason, text)
        )
        for number, camera in enumerate(of.cameras.values()):
            if camera.intrinsics is not None:
                cameras.info(number, camera.intrinsics.info())
            elif topics.get(camera.info) == INFO:
                self.infos.append(camera.info)
                self._on(camera.info, lambda m, _, __, n=number: cameras.info(n, m))
            if topics.get(camera.image) in IMAGES:
                self._on(camera.image, lambda m, _, s, n=number: cameras.image(n, m, s))
        if of.pose != TF:
            self._on(of.pose, lambda m, _, __: cameras.pose(m))
        if config.pose_type == GEO:
            self._on(of.attitude, lambda m, _, __: cameras.attitude(m))
            self._on(ORIGIN_TOPIC, lambda m, _, __: cameras.geo_origin(m))
        if config.needs_tf:
            for topic, fixed in (("/tf", False), ("/tf_static", True)):
                if topics.get(topic) == TRANSFORMS:
                    self._on(topic, lambda m, _, __, f=fixed: cameras.transforms(m, fixed=f))

    # --- answers --------------------------------------------------------------------------------------------------

    def _route_answer(self, topic: str, kind: str) -> None:
        if kind == TRUTH and topic == (self._map.ground_truth or FLEET_TRUTH):
            self._on(topic, lambda m, _, __: self.scene.truth(_ns(m), truth_from_message(m)))
        if kind in (STATUS, FEATURES) and (match := _SAYS.fullmatch(topic)):
            uav, handle = match["uav"], self._on_status if kind == STATUS else self._on_features
            self._on(topic, lambda m, size, _: handle(uav, m, size))
        if (match := _ANSWER.fullmatch(topic)) is None:
            return
        uav, name = match["uav"], match["name"]
        variant = SINGLE if match["single"] else COLLABORATIVE
        if name == CONTRIBUTORS and kind == "sensor_msgs/msg/Image":
            self._on(topic, lambda m, _, __: self._on_contributors(uav, m))
        elif ANSWERS.get(name) == kind:
            handlers = {
                "detections": self._on_detections,
                "occupancy": self._on_occupancy,
                "trajectories": self._on_trajectories,
            }
            self._on(topic, lambda m, _, __: handlers[name](uav, variant, m))

    def _on(self, topic: str, handler: Handler) -> None:
        self._handlers.setdefault(topic, []).append(handler)

    def _on_detections(self, uav: str, variant: str, message: Any) -> None:
        self.scene.detections(uav, variant, _ns(message), boxes_from_message(message))

    def _on_trajectories(self, uav: str, variant: str, message: Any) -> None:
        tracks = tracks_from_message(message)
        self.scene.paths(uav, variant, _ns(message), tracks.positions, [int(i) for i in tracks.ids])

    def _on_occupancy(self, uav: str, variant: str, message: Any) -> None:
        window = window_of_grid(message)
        self.scene.occupancy(uav, variant, _ns(message), percent_from_message(message, window), window)

    def _on_contributors(self, uav: str, message: Any) -> None:
        rows, columns = int(message.height), int(message.width)
        if message.encoding != "mono8" or int(message.step) != columns or rows * columns > MAX_GRID_CELLS:
            raise MessageError("contributors", f"expected mono8, got {columns} x {rows} {message.encoding!r}")
        data = np.frombuffer(message.data, np.uint8)
        if len(data) != rows * columns or not len(data):
            raise MessageError("contributors", f"{len(data)} bytes of {columns} x {rows} cells")
        dominant = np.ascontiguousarray(np.flipud(data.reshape(rows, columns)).T)
        self.scene.contributors(uav, _ns(message), dominant)

    def _on_status(self, uav: str, message: Any, size_bytes: int) -> None:
        if message.frames_processed == 0:
            return
        ns = _ns(message)
        self.scene.figure("bytes", uav, ns, message.bytes_sent_frame)
        self.scene.figure("latency_ms", uav, ns, 1e3 * float(message.latency_median_s))
        self.scene.peers(uav, ns, list(message.peers))

    def _on_features(self, uav: str, message: Any, size_bytes: int) -> None:
        payload = bytes(message.payload)
        if carries_boxes(payload):
            return
        part = decode_packet(payload)
        if isinstance(part, FeaturePart) and self.scene.window is not None:
            cells = tile_cells(part.frame.tiles, part.frame.visible, self.scene.window)
            self.scene.sees(uav, _ns(message), cells)


class _Cameras:
    """The cameras of one UAV: images, intrinsics and poses matched as the encoder does it."""

    def __init__(self, config: InputConfig, scene: Scene, reject: Callable[[str, str], None]) -> None:
        self._config, self._scene, self._reject = config, scene, reject
        self._infos: dict[int, Any] = {}
        self._early: list[tuple[Any, bool]] = []
        self._inputs: Inputs | None = None
        if config.frame_id or config.pose_type in (TF, GEO):
            self._start(config.frame_id or "map")

    def _start(self, frame_id: str) -> Inputs:
        self._inputs = Inputs(replace(self._config, frame_id=frame_id), self._reject)
        for number, info in self._infos.items():
            self._inputs.add_info(number, info)
        for message, fixed in self._early:
            self._inputs.add_transforms(message, fixed=fixed)
        return self._inputs

    def info(self, number: int, message: Any) -> None:
        self._infos[number] = message
        if self._inputs is not None:
            self._show(self._inputs, self._inputs.add_info(number, message))

    def pose(self, message: Any) -> None:
        # A map without a frame takes the frame of the first pose.
        inputs = self._inputs or self._start(str(message.header.frame_id) or "map")
        self._show(inputs, inputs.add_pose(message))

    def attitude(self, message: Any) -> None:
        if self._inputs is not None:
            self._show(self._inputs, self._inputs.add_attitude(message))

    def geo_origin(self, message: Any) -> None:
        if self._inputs is not None and not self._config.geo_origin:
            self._show(self._inputs, self._inputs.set_geo_origin(origin_of(message)))

    def image(self, number: int, message: Any, arrived_s: float) -> None:
        if self._inputs is None:
            self._reject("no_pose", "images before the first pose")
            return
        self._show(self._inputs, self._inputs.add_image(number, message, arrived_s))

    def transforms(self, message: Any, *, fixed: bool) -> None:
        if self._inputs is None:
            self._early = [*self._early, (message, fixed)][-MAX_EARLY:]
        else:
            self._show(self._inputs, self._inputs.add_transforms(message, fixed=fixed))

    def _show(self, inputs: Inputs, matched: list[Matched]) -> None:
        for one in matched:
            for posed in one.images:
                for view in inputs.views(replace(one, images=(posed,))):
                    name = self._config.cameras[posed.image.camera]
                    self._scene.camera(self._config.agent, one.stamp_ns, view, name)


def window_of_grid(message: Any) -> Window:
    """The window of an OccupancyGrid. Raises: MessageError unless it lies on whole cells, unturned, of usual size."""
    info = message.info
    r, x, y = float(info.resolution), float(info.origin.position.x), float(info.origin.position.y)
    ni, nj = int(info.width), int(info.height)
    good = np.isfinite([r, x, y]).all() and r > 0 and ni > 0 and nj > 0 and ni * nj <= MAX_GRID_CELLS
    if good:
        # The resolution is a float32 in the message.
        cell = round(r, 6)
        i0, j0 = x / cell, y / cell
        if max(abs(i0 - round(i0)), abs(j0 - round(j0))) < 1e-3 and abs(i0) < 2**31 and abs(j0) < 2**31:
            return Window(round(i0), round(j0), ni, nj, cell)
    raise MessageError("grid_window", f"no grid on whole cells: {ni} x {nj} cells of {r} m from {x}, {y}")


def _ns(message: Any) -> int:
    return stamp_ns(message.header.stamp)
