"""One UAV: camera views and packets of peers in, packets and answers out. Free of ROS, of clocks and of threads.

Nodes use the same parts one by one, because each of them may be a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rsdfm_ros.agent.decoding import FrameDecoder, expected_of
from rsdfm_ros.agent.encoder import Encoder
from rsdfm_ros.agent.envelope import Envelope
from rsdfm_ros.agent.fusion import Fusion, fuse_instant
from rsdfm_ros.agent.inbox import Inbox
from rsdfm_ros.agent.options import DEFAULTS, AgentOptions
from rsdfm_ros.agent.prefusion.prepare import Prepared
from rsdfm_ros.agent.receiver import Receiver
from rsdfm_ros.agent.sender import Outgoing, Sender, Transmit
from rsdfm_ros.agent.tasks import COLLABORATIVE, SINGLE, FusedHistory, TaskAnswers, TaskInput, Tasks
from rsdfm_ros.agent.tracking import Identities
from rsdfm_ros.agent.types import Fused, OwnFeatures
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.geometry.ground import Ground
from rsdfm_ros.geometry.lattice import FRAME_ID
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.wire.errors import WireError
from rsdfm_ros.wire.message import envelope_bytes


@dataclass(frozen=True)
class Answer:
    """All answers of a UAV for one image. prepared: the steps before fusion ·
    collaborative, single: with peers and without; single is None where it was not asked for."""

    fused: Fused
    prepared: Prepared
    collaborative: TaskAnswers
    single: TaskAnswers | None


class Agent:
    """One UAV. peers: names of the peers that it receives from · inbox: see Receiver · decoder: shared with other UAVs,
    so that frames are decoded once · on_error: called with peer and error of images that do not decode · frame_id: of
    the messages that carry its packets."""

    def __init__(
        self,
        name: str,
        model: Perception,
        options: AgentOptions = DEFAULTS,
        *,
        peers: Sequence[str] = (),
        inbox: Inbox | None = None,
        decoder: FrameDecoder | None = None,
        on_error: Callable[[str, WireError], None] = lambda peer, error: None,
        frame_id: str = FRAME_ID,
    ) -> None:
        self.name, self.model, self.options = name, model, options
        length = model.config.history
        self.encoder = Encoder(length, options.max_gap_s)
        self.sender = Sender(options, envelope_bytes=envelope_bytes(name, frame_id))
        self.receiver = Receiver(name, expected_of(model), options, inbox=inbox)
        self.fusion = Fusion(options.pre_fusion(model.thresholds))
        self.tasks = Tasks(Identities())
        self._decoder, self._on_error = decoder or FrameDecoder(), on_error
        self._history = FusedHistory(length, round(options.max_gap_s * 1e9))
        self._frame = 0
        for peer in peers:
            self.receiver.listen(peer)

    def observe(
        self, views: Sequence[CameraView], stamp_ns: int, ground: Ground | None = None
    ) -> OwnFeatures:
        """The own map from camera views of one instant. ground: below the UAV, if it is not that of the model."""
        model = self.model if ground is None else self.model.on_ground(ground)
        own = self.encoder.observe(model, views, stamp_ns, frame=self._frame)
        self._frame += 1
        self.receiver.newest_ns = stamp_ns
        return own

    def send(self, own: OwnFeatures, transmit: Transmit) -> Outgoing:
        """Send an own map to the peers."""
        return self.sender.send(self.model, own.bev, own.covariance, transmit, own.sent_boxes)

    def receive(self, envelope: Envelope, payload: bytes | memoryview, now_ns: int | None = None) -> None:
        """Take a packet of a peer. now_ns: newest own stamp. Raises: WireError."""
        self.receiver.inbox.put(envelope, payload, now_ns)

    def answer(self, own: OwnFeatures, *, single: bool = True) -> Answer:
        """The answers for an own map, with the packets of the peers up to its stamp. single: also without peers, which
        costs all tasks once more."""
        images = self.receiver.images(own.stamp_ns)
        given = (own, images, self.fusion, self._decoder, self._on_error)
        instant = fuse_instant(self.name, self.model, *given, with_single=single)
        self.sender.peers_late = instant.peers_late
        items, memory_s = self._history.add(instant.fused), self.options.id_memory_s
        model = self.model.at(own.region)
        model = model if own.ground is None else model.on_ground(own.ground)
        together = self.tasks.answer(model, TaskInput.of(COLLABORATIVE, items), memory_s)
        alone = self.tasks.answer(model, TaskInput.of(SINGLE, items), memory_s) if single else None
        return Answer(instant.fused, instant.prepared, together, alone)
