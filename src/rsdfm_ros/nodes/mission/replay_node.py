"""replay_node: a recorded bag as the world of a fleet. Drives /clock and publishes the recorded bytes as they are.

Images, intrinsics, poses and truth go to the input topics of the nodes, under any name in the bag (topic map), and so
do the recorded packets of UAVs that are not run. In lockstep the next images come when every UAV has answered the ones
before: the answers then do not depend on the machine's speed, and the bag is played as fast as they come. Otherwise
recorded time passes at a fixed rate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import monotonic
from typing import Any

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo

from rsdfm_ros.data.bags.bag import Bag, BagMessage, open_bag
from rsdfm_ros.data.bags.map_file import load_map
from rsdfm_ros.data.bags.order.replay_order import in_step
from rsdfm_ros.data.bags.replay_plan import (
    GROUND_TRUTH,
    IMAGE,
    PACKETS,
    Output,
    ReplayPlan,
    check_part,
    check_types,
    first_stamp_ns,
    part_ns,
    replay_plan,
    stamp_of,
)
from rsdfm_ros.data.bags.topic_map import INFO, default_map
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.nodes.convert.sensors import time_of
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.message_types import message_class
from rsdfm_ros.nodes.core.runner import run_to_end
from rsdfm_ros.nodes.mission.bag_settings import ReplaySettings
from rsdfm_ros.nodes.mission.lockstep import IMAGE_RECEIVED_S, Lockstep, acknowledged
from rsdfm_ros.nodes.mission.world_node import WorldNode
from rsdfm_ros.words import counted

CLOCK_PERIOD_S = 0.05


class ReplayNode(WorldNode[ReplaySettings]):
    """A recorded bag as the world of a fleet."""

    play_name = "replay"

    def __init__(self, **options: Any) -> None:
        super().__init__("replay_node", ReplaySettings, **options)
        self._bag: Bag | None = None
        self._plan: ReplayPlan | None = None
        self._clock_ns = -1

    def configure(self) -> None:
        s = self.settings
        if not s.bag:
            raise RsdfmError("replay_node needs a bag: set `bag` to its folder")
        self._bag = open_bag(s.bag)
        whole = replay_plan(self._bag, load_map(s.topic_map) if s.topic_map else default_map())
        self._plan = plan = whole.chosen(s.agents)
        check_types(self._bag, plan)
        check_part(self._bag, plan, s.start_s, s.duration_s)
        for sentence in (*self._bag.damage, *plan.notes):
            self.get_logger().warning(sentence)
        # Reliable: a lost image would stall a lockstep replay; best-effort subscribers match all the same.
        sensor, outputs = qos.sensor("reliable", depth=20), qos.outputs()
        self._clock_output = self.create_publisher(Clock, "/clock", qos.outputs(depth=1))
        self._outputs: dict[str, Any] = {}
        packets = qos.features("reliable", s.liveliness_lease_s, depth=64)
        for topic, output in plan.outputs.items():
            profile = packets if output.role == PACKETS else sensor if output.uav else outputs
            if output.topic == "/tf_static":
                profile = qos.latched()
            kind = message_class(output.type_name)
            self._outputs[topic] = self.create_publisher(kind, output.topic, profile)
        self._infos = {topic: self.create_publisher(CameraInfo, topic, sensor) for topic in plan.infos}
        self._lockstep = Lockstep(self, plan.uavs, s.answer)

    def cleanup(self) -> None:
        if self._bag is not None:
            self._bag.close()
            self._bag = None

    # --- playing --------------------------------------------------------------------------------------------------

    def play(self, lockstep: Lockstep) -> None:
        s, plan = self.settings, self._plan
        assert plan is not None
        inputs: dict[str, list[Any]] = {uav: [] for uav in plan.uavs}
        for topic, output in plan.outputs.items():
            if output.uav and output.role != PACKETS:
                inputs[output.uav].append(self._outputs[topic])
        first_ns, _, _ = next(self._stamped())
        self._tick(first_ns - 1_000_000)
        waits = bool(s.wait_for_truth_listener)
        if not lockstep.wait_for_fleet(inputs, s.ready_timeout_s, self._missing_listener, waits):
            return
        for turn in range(s.loops):
            if turn:
                lockstep.start()
                self._clock_ns = -1  # the nodes see the clock jump back and clear their buffers
            self._prime()
            instants = self._turn(plan, lockstep)
            if lockstep.stopped.is_set():
                return
        truth_first = sorted(plan.outputs, key=lambda t: plan.outputs[t].role != GROUND_TRUTH)
        acknowledged(self._outputs[topic] for topic in truth_first)
        assert self._bag is not None
        for sentence in self._bag.damage:
            self.get_logger().warning(sentence)
        self.get_logger().info(
            f"played {counted(instants, 'instant')}, {lockstep.timeouts} without all answers"
        )

    def _turn(self, plan: ReplayPlan, lockstep: Lockstep) -> int:
        """Play the bag once; returns the number of instants with images."""
        s = self.settings
        shown: set[str] = set()
        under_way: list[Any] = []  # the publisher of the newest image
        instant_ns, instants = -1, 0
        start_s, start_ns = monotonic(), -1
        for stamp_ns, message, output in self._stamped():
            start_ns = message.log_ns if start_ns < 0 else start_ns
            if output.role == IMAGE and stamp_ns > instant_ns:
                if shown and s.lockstep:
                    lockstep.wait(instant_ns, self._limit_s(instants), shown)
                instant_ns, shown, instants = stamp_ns, set(), instants + 1
            if not s.lockstep:
                self._pace(start_s + (message.log_ns - start_ns) / 1e9 / s.real_time_factor, stamp_ns)
            if lockstep.stopped.is_set():
                return instants
            if output.role == IMAGE:
                shown.add(output.uav)
            if output.role != "other":
                self._tick(stamp_ns)
            publisher = self._outputs[message.topic]
            if output.role == IMAGE:
                acknowledged(under_way, IMAGE_RECEIVED_S)
                under_way = [publisher]
            self.send(publisher, message.raw)
        if shown and s.lockstep:
            lockstep.wait(instant_ns, self._limit_s(instants), shown)
        return instants

    def _limit_s(self, instants: int) -> float:
        return self.settings.first_answer_timeout_s if instants <= 1 else self.settings.answer_timeout_s

    def _prime(self) -> None:
        """Publish intrinsics first: recorders write topics in any order, and an image without them is refused."""
        assert self._bag is not None and self._plan is not None
        for topic, intrinsics in self._plan.infos.items():
            self._infos[topic].publish(_info_message(intrinsics.info()))
        wanted = {t for t, o in self._plan.outputs.items() if o.type_name == INFO}
        for message in self._bag.messages(sorted(wanted)) if wanted else ():
            if message.topic in wanted:
                self.send(self._outputs[message.topic], message.raw)
                wanted.discard(message.topic)
            if not wanted:
                return

    def _stamped(self) -> Iterator[tuple[int, BagMessage, Output]]:
        """Messages of the chosen part with the stamps of their headers, those without one with the last stamp.

        Those before the first stamp have that one: log times may be of another clock, and mission time never goes back.
        """
        s, bag, plan = self.settings, self._bag, self._plan
        assert bag is not None and plan is not None
        begin = end = None
        last_ns = first_stamp_ns(bag, plan, s.start_s)
        for message in in_step(bag, plan) if s.lockstep else bag.messages(sorted(plan.outputs)):
            if begin is None:
                begin, end = part_ns(message.log_ns, s.start_s, s.duration_s)
            output = plan.outputs[message.topic]
            if message.type_name != output.type_name:
                continue
            early = message.log_ns < begin and output.topic != "/tf_static"
            if early or (end is not None and message.log_ns > end and output.role != GROUND_TRUTH):
                continue
            last_ns = stamp_of(message) or last_ns
            yield last_ns, message, output

    def _tick(self, ns: int) -> None:
        """Advance mission time, which never goes back within a turn."""
        if ns > self._clock_ns:
            self._clock_ns = ns
            self._clock_output.publish(Clock(clock=time_of(max(ns, 1))))

    def _pace(self, due_s: float, stamp_ns: int) -> None:
        """Let mission time pass until a message of this stamp is due."""
        assert self._lockstep is not None
        factor = self.settings.real_time_factor
        while not self._lockstep.stopped.is_set() and (left_s := due_s - monotonic()) > 0:
            self._lockstep.stopped.wait(min(left_s, CLOCK_PERIOD_S))
            left_s = max(due_s - monotonic(), 0.0)
            if left_s > 0:
                self._tick(stamp_ns - round(left_s * factor * 1e9))

    def _missing_listener(self) -> list[str]:
        if self._plan is None:
            return []
        missing = []
        for role, agents, sentence in (
            (PACKETS, len(self._plan.uavs), "not all UAVs receive the recorded packets"),
            (GROUND_TRUTH, int(self.settings.wait_for_truth_listener), "the evaluator is not there"),
        ):
            of_role = [self._outputs[t] for t, o in self._plan.outputs.items() if o.role == role]
            if any(p.get_subscription_count() < agents for p in of_role):
                missing.append(sentence)
        return missing


def _info_message(info: Any) -> CameraInfo:
    """A CameraInfo from intrinsics of the topic map."""
    message = CameraInfo(height=info.height, width=info.width, distortion_model=info.distortion_model)
    message.d, message.k, message.r, message.p = info.d, info.k, info.r, info.p
    return message


def main() -> int:
    """Play a bag in a process of its own; ends with it."""
    return run_to_end(ReplayNode)


if __name__ == "__main__":
    sys.exit(main())
