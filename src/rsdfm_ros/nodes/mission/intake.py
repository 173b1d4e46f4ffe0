"""Messages of a fleet as entries of a Mission: which topics an evaluator subscribes to, and what each one tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image

from rsdfm_ros.data.messages import tasks as task_messages
from rsdfm_ros.data.messages.answers.status import status_facts
from rsdfm_ros.data.messages.images import image_from_message
from rsdfm_ros.data.messages.poses import pose_matrix
from rsdfm_ros.data.messages.stamps import stamp_ns
from rsdfm_ros.evaluation.metrics.answer_times import AnswerTimes
from rsdfm_ros.evaluation.metrics.processing import ProcessingTimes
from rsdfm_ros.evaluation.mission import Mission
from rsdfm_ros.geometry.lattice import Window
from rsdfm_ros.msg import AgentStatus, FeaturePacket, ObjectArray, ProcessingTime, TrajectoryArray
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.mission.settings import EvaluatorSettings

SENSED = ("camera/image_raw", "camera/camera_info", "pose")
"""Topics recorded of a UAV's own view; topics without a single message are not waited for."""
SENSED_WAIT_S = 5.0
"""A mission that is recorded begins when the publishers of all of them were found, at most so long after the rest: on a
busy machine they are found seconds after each other, and a bag would lack what was published before."""


def published(node: Any, agents: Sequence[str], topics: Sequence[str]) -> bool:
    """Whether a node has found a publisher of every topic of every UAV."""
    names = [node.resolve_topic_name(f"{agent}/{topic}") for agent in agents for topic in topics]
    return all(node.count_publishers(name) > 0 for name in names)


@dataclass(frozen=True)
class Input:
    """A topic to subscribe to. handler(message, stamp in ns): None if it is only recorded · agent: the UAV that it is
    about, "" for what the world publishes · shared: every node of the UAV has a publisher there · on_published: called
    before the handler with the stamp and the time of publication, ns."""

    topic: str
    kind: Any
    profile: QoSProfile
    handler: Callable[[Any, int], None] | None = None
    agent: str = ""
    shared: bool = False
    on_published: Callable[[int, int], None] | None = None

    @property
    def type_name(self) -> str:
        """The type as bags name it."""
        return f"{self.kind.__module__.partition('.')[0]}/msg/{self.kind.__name__}"

    def handle(self, published_ns: int, raw: bytes) -> None:
        """Pass on a serialised message that was published at that time, ns of the system clock."""
        if self.handler is None:
            return
        message = deserialize_message(raw, self.kind)
        ns = stamp_ns(message.header.stamp)
        if self.on_published is not None:
            self.on_published(ns, published_ns)
        self.handler(message, ns)


class Intake:
    """Enters what the UAVs say in a mission.

    advance(ns): called when an instant may be complete · keep_images: for the recorded frames · fingerprint: of the
    model, as the packets tell it, None before the first · answer_times: of images and answers; open_end: see there.
    """

    def __init__(
        self,
        mission: Mission,
        window: Window,
        advance: Callable[[int], None],
        *,
        keep_images: bool,
        open_end: bool = False,
    ) -> None:
        self.mission, self.window = mission, window
        self.processing, self.answer_times = ProcessingTimes(), AnswerTimes(open_end=open_end)
        self.fingerprint: int | None = None
        self._advance, self._keep_images = advance, keep_images

    def features(self, agent: str, message: FeaturePacket, ns: int) -> None:
        instant = self.mission.at(ns)
        self.fingerprint = int(message.fingerprint)
        self.answer_times.noticed(ns)
        # Not len(raw): on its way DDS pads a message to whole words.
        size = len(serialize_message(message))
        instant.bytes_sent[agent] = instant.bytes_sent.get(agent, 0) + size
        instant.packets_sent[agent] = instant.packets_sent.get(agent, 0) + 1

    def status(self, agent: str, message: AgentStatus, ns: int) -> None:
        if message.frames_processed == 0:
            return
        instant = self.mission.at(ns)
        instant.status[agent] = status_facts(message)
        instant.contributors[agent] = (agent, *message.peers)
        self._advance(ns)

    def answered(self, agent: str, ns: int, published_ns: int) -> None:
        self.answer_times.answered(agent, ns, published_ns)

    def times(self, agent: str, message: ProcessingTime, ns: int) -> None:
        stages = {n: 1e3 * s for n, s in zip(message.stages, message.stage_times_s, strict=False)}
        self.processing.add(agent, message.node, ns, stages)

    def mask(self, agent: str, variant: str, message: Image, ns: int) -> None:
        self.mission.answer(agent, variant, ns).mask = task_messages.masks_from_message(message, self.window)[
            0
        ]
        self._advance(ns)

    def future(self, agent: str, variant: str, message: Image, ns: int) -> None:
        self.mission.answer(agent, variant, ns).future = task_messages.masks_from_message(
            message, self.window
        )
        self._advance(ns)

    def grid(self, agent: str, variant: str, message: OccupancyGrid, ns: int) -> None:
        percent = task_messages.percent_from_message(message, self.window)
        self.mission.answer(agent, variant, ns).percent = percent
        self._advance(ns)

    def boxes(self, agent: str, variant: str, message: ObjectArray, ns: int) -> None:
        self.mission.answer(agent, variant, ns).boxes = task_messages.boxes_from_message(message)
        self._advance(ns)

    def tracks(self, agent: str, variant: str, message: TrajectoryArray, ns: int) -> None:
        self.mission.answer(agent, variant, ns).tracks = task_messages.tracks_from_message(message)
        self._advance(ns)

    def image(self, agent: str, message: Image, ns: int) -> None:
        if self._keep_images:
            self.mission.at(ns).images[agent] = image_from_message(message)

    def pose(self, agent: str, message: PoseWithCovarianceStamped, ns: int) -> None:
        self.mission.at(ns).poses[agent] = pose_matrix(message.pose.pose)


def inputs(settings: EvaluatorSettings, intake: Intake) -> Iterator[Input]:
    """The topics of all UAVs that an evaluator with these settings subscribes to; the truth is not among them."""
    s, outputs = settings, qos.outputs()
    sensor = qos.sensor(s.image_reliability, depth=10)
    poses = qos.sensor(s.image_reliability, depth=20)
    features = qos.features(s.features_reliability, s.liveliness_lease_s, depth=64)
    for agent in s.agents:
        yield Input(f"{agent}/bev/features", FeaturePacket, features, partial(intake.features, agent), agent)
        last, answered = "status" if s.expect_status else "trajectories", partial(intake.answered, agent)
        status = partial(intake.status, agent)
        ends = answered if last == "status" else None
        yield Input(f"{agent}/status", AgentStatus, outputs, status, agent, on_published=ends)
        times = f"{agent}/debug/processing_time"
        yield Input(times, ProcessingTime, outputs, partial(intake.times, agent), agent, shared=True)
        for variant, prefix in (("collaborative", ""), ("single", "single/")):
            for name, kind, handler in (
                ("instance_mask", Image, intake.mask),
                ("occupancy", OccupancyGrid, intake.grid),
                ("detections", ObjectArray, intake.boxes),
                ("future_masks", Image, intake.future),
                ("trajectories", TrajectoryArray, intake.tracks),
            ):
                topic, take = f"{prefix}{name}", partial(handler, agent, variant)
                ends = answered if topic == last else None
                yield Input(f"{agent}/{topic}", kind, outputs, take, agent, on_published=ends)
        if s.record_frames or s.record_bag:
            yield Input(f"{agent}/camera/image_raw", Image, sensor, partial(intake.image, agent), agent)
            yield Input(f"{agent}/pose", PoseWithCovarianceStamped, poses, partial(intake.pose, agent), agent)
        if s.record_bag:
            yield Input(f"{agent}/camera/camera_info", CameraInfo, poses, None, agent)
            yield Input(f"{agent}/bev/contributors", Image, outputs, None, agent)
