"""The order in which a lockstep replay plays a bag: with an image come the poses that it waits for.

The next images are played when the ones before are answered. Poses that were recorded after the next image would never
come then, so they are played before their time, and nothing else is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial

from rsdfm_ros.data.bags.bag import Bag, BagMessage
from rsdfm_ros.data.bags.order.read_ahead import Due, ReadAhead
from rsdfm_ros.data.bags.replay_plan import IMAGE, ReplayPlan, stamp_of
from rsdfm_ros.data.bags.topic_map import STATIC, TF
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.data.messages.transforms import TransformTree
from rsdfm_ros.geometry.lattice import FRAME_ID

LEAD_NS = 8_000_000_000
"""Less than what nodes keep of the poses."""


def in_step(bag: Bag, plan: ReplayPlan) -> Iterator[BagMessage]:
    """All messages of a plan: in the order of their log times, but poses up to an instant before the images of the
    next."""
    poses = {t: o.uav for t, o in plan.outputs.items() if o.topic == f"{o.uav}/pose"}
    poses |= {topic: TF for topic in ("/tf", STATIC) if topic in plan.outputs}
    known = _Known(bag, plan)
    played: deque[BagMessage] = deque()

    def split(message: BagMessage) -> list[tuple[str, Due]]:
        return [(poses[message.topic], Due(message.log_ns, partial(played.append, message)))]

    ahead = ReadAhead(bag.messages(sorted(poses)), split, LEAD_NS)

    def taken(due: Due) -> BagMessage:
        due.take()
        known.add(poses[played[0].topic], played[0])
        return played.popleft()

    instant_ns, shown = -1, dict[str, BagMessage]()
    for message in bag.messages(sorted(set(plan.outputs) - set(poses))):
        yield from map(taken, ahead.due(message.log_ns))
        output = plan.outputs[message.topic]
        if output.role == IMAGE:
            if (stamp := stamp_of(message)) > instant_ns:
                for uav, image in sorted(shown.items()):
                    while not known.reaches(uav, image, instant_ns):
                        found = ahead.ahead(known.source(uav), message.log_ns)
                        if found is None:
                            break
                        yield taken(found)
                instant_ns, shown = stamp, {}
            shown[output.uav] = message
        yield message
    yield from map(taken, ahead.due(None))


class _Known:
    """How far the poses that were played reach."""

    def __init__(self, bag: Bag, plan: ReplayPlan) -> None:
        self._bag, self._parameters = bag, plan.parameters
        self._newest_ns: dict[str, int] = {}
        self._frames: dict[str, str] = {}
        self._tree = TransformTree(tolerance_ns=0, max_gap_ns=0)

    def source(self, uav: str) -> str:
        """Where the poses of a UAV come from: its topic, or TF."""
        return TF if self._parameters[uav].get("pose_type") == TF else uav

    def add(self, source: str, message: BagMessage) -> None:
        """Note a message of a source."""
        if source != TF:
            self._newest_ns[source] = max(stamp_of(message), self._newest_ns.get(source, -1))
            return
        try:
            for one in self._bag.decode(message).transforms:
                self._tree.add(one, fixed=message.topic == STATIC)
        except MessageError:  # played as it is, and refused by the nodes
            return

    def reaches(self, uav: str, image: BagMessage, instant_ns: int) -> bool:
        """Whether the pose of a UAV's image at an instant is known."""
        if self.source(uav) != TF:
            return self._newest_ns.get(uav, -1) >= instant_ns
        given = self._parameters[uav].get("camera_frames")
        try:
            if image.topic not in self._frames:
                self._frames[image.topic] = (
                    given[0] if given else str(self._bag.decode(image).header.frame_id)
                )
            return self._tree.ready(FRAME_ID, self._frames[image.topic], instant_ns)
        except MessageError:
            return True
