"""Messages of a fleet to the scene: topics by UAV, and their views. Free of ROS.

The same for a live fleet (nodes/views/view_node.py hands over what it receives) and for a bag. A topic map names the
topics of images, poses, features and status; answers have the names that our nodes give them, below the UAV's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
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
from rsdfm_ros.data.messages.answers.serialized_tasks import Health, Read
from rsdfm_ros.data.messages.answers.status import status_facts
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.geo.messages import ORIGIN_TOPIC
from rsdfm_ros.data.messages.input_config import InputConfig
from rsdfm_ros.data.messages.poses import GEO
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.data.messages.tasks import (
    boxes_from_message,
    percent_from_message,
    tracks_from_message,
    truth_from_message,
)
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.view.camera_inputs import CameraInputs
from rsdfm_ros.view.maps import tile_cells
from rsdfm_ros.view.namespaces import found_below
from rsdfm_ros.view.sink import COLLABORATIVE, SINGLE, MissionSink
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

DIAGNOSTICS, DIAGNOSTIC_ARRAY = "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray"
MAX_STATUSES = 100
"""Statuses of one message, and values of one status."""

OnHealth = Callable[[str, str, int, str, Mapping[str, str]], None]
Handler = Callable[[Any, int, float], None]


class Router:
    """Passes messages to a scene. `rejects` counts unusable ones, by topic and reason."""

    def __init__(
        self,
        scene: MissionSink,
        topic_map: TopicMap,
        on_reject: Callable[[str, str, str], None] = lambda topic, reason, text: None,
        *,
        on_health: OnHealth | None = None,
        features: bool = True,
    ) -> None:
        """on_reject(topic, reason, sentence): called for everything that is left out · on_health(UAV, concern, level,
        sentence, values): called for every status of /diagnostics, which is left alone without it · features: take
        feature packets, for the cells that a UAV sees."""
        self.scene, self.rejects = scene, Counter[tuple[str, str]]()
        self.reasons: dict[tuple[str, str], str] = {}
        self.shown: Counter[str] = Counter()
        self._map, self._on_reject, self._on_health = topic_map, on_reject, on_health
        self._says = (STATUS, FEATURES) if features else (STATUS,)
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
        found = found_below(self._map, topics)
        self.scene.expect(sorted({*found, *said}))
        for uav, of in found.items():
            if uav not in self._uavs and (of.pose == TF or of.pose in topics):
                self._uavs[uav] = of
                self._route_cameras(uav, of, topics)
        for topic, kind in list(topics.items())[:MAX_TOPICS]:
            if topic not in self._handlers:
                self._route_answer(topic, kind)
        return sorted(set(self._handlers) - before)

    def take(self, topic: str, message: Any, size_bytes: int, arrived_s: float) -> None:
        """Show a message, one of rclpy's or of a bag's, or a Read; no message raises an error."""
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
        cameras = CameraInputs(
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
            self._on(topic, lambda m, _, __: self._on_truth(m))
        if topic == DIAGNOSTICS and kind == DIAGNOSTIC_ARRAY and self._on_health is not None:
            self._on(topic, lambda m, _, __: self._on_diagnostics(m))
        if kind in self._says and (match := _SAYS.fullmatch(topic)):
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

    def _on_truth(self, message: Any) -> None:
        if isinstance(message, Read):
            self.scene.truth(message.ns, message.content, message.names)
        else:
            self.scene.truth(_ns(message), truth_from_message(message), tuple(message.agents))

    def _on_detections(self, uav: str, variant: str, message: Any) -> None:
        read = message if isinstance(message, Read) else Read(_ns(message), boxes_from_message(message))
        self.scene.detections(uav, variant, read.ns, read.content)

    def _on_trajectories(self, uav: str, variant: str, message: Any) -> None:
        read = message if isinstance(message, Read) else Read(_ns(message), tracks_from_message(message))
        ids = [int(i) for i in read.content.ids]
        self.scene.paths(uav, variant, read.ns, read.content.positions, ids)

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
        facts = {**status_facts(message), "bytes_sent_frame": message.bytes_sent_frame}
        self.scene.status(uav, _ns(message), facts)

    def _on_diagnostics(self, message: Any) -> None:
        assert self._on_health is not None
        found = message.content if isinstance(message, Read) else map(_health, message.status)
        for status in list(found)[:MAX_STATUSES]:
            if status.hardware_id in self.scene.agents:
                _, _, concern = status.name.partition(": ")
                self._on_health(status.hardware_id, concern, status.level, status.sentence, status.values)

    def _on_features(self, uav: str, message: Any, size_bytes: int) -> None:
        payload = bytes(message.payload)
        if carries_boxes(payload):
            return
        part = decode_packet(payload)
        if isinstance(part, FeaturePart) and self.scene.window is not None:
            cells = tile_cells(part.frame.tiles, part.frame.visible, self.scene.window)
            self.scene.sees(uav, _ns(message), cells)


def is_alone(topic: str) -> bool:
    """Whether this is what a UAV answers without its peers: it computes that for subscribers only."""
    match = _ANSWER.fullmatch(topic)
    return match is not None and match["single"] is not None


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


def _health(status: Any) -> Health:
    level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
    values = {str(v.key): str(v.value) for v in list(status.values)[:MAX_STATUSES]}
    return Health(level, str(status.name), str(status.message), str(status.hardware_id), values)


def _ns(message: Any) -> int:
    return stamp_ns(message.header.stamp)
