"""Patience counts the node's own clock: simulated time where it follows /clock, however slowly that runs."""

from __future__ import annotations

from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from rsdfm_ros.nodes.convert import sensors as convert
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.expectations import Expectations
from rsdfm_ros.nodes.core.node_time import NodeTime
from rsdfm_ros.nodes.core.settings import NodeSettings
from support.ros_world import RosWorld


class Clocks:
    """Both clocks by hand, and what is said."""

    def __init__(self) -> None:
        self.ns: int | None = 0
        self.s = 100.0
        self.said: list[tuple[str, str]] = []
        self.time = NodeTime(lambda *words: self.said.append(words), lambda: self.ns, lambda: self.s)
        self.expectations = Expectations(lambda *words: self.said.append(words), self.time)

    def pass_s(self, steady: float, rate: float) -> None:
        """Let steady seconds pass, a tenth at a time, with simulated time at this rate."""
        for _ in range(round(10 * steady)):
            self.s += 0.1
            self.ns = None if self.ns is None else self.ns + round(rate * 1e8)
            self.expectations.check(5.0)
            self.time.standing(5.0)


def test_at_a_twentieth_of_real_time_an_input_may_be_silent_twenty_times_as_long() -> None:
    clocks = Clocks()
    clocks.ns = 20_000_000_000
    clocks.expectations.expect("/image", "image")
    clocks.pass_s(95.0, 0.05)
    assert clocks.said == []
    clocks.pass_s(10.0, 0.05)
    assert clocks.said == [("warn", "no image on /image for 5 s")]
    clocks.pass_s(200.0, 0.05)
    assert len(clocks.said) == 1


def test_a_clock_that_never_comes_or_stands_still_is_told_once_and_no_input_is_missed() -> None:
    clocks = Clocks()
    clocks.expectations.expect("/image", "image")
    clocks.pass_s(60.0, 0.0)
    assert [words for words in clocks.said if words[0] == "warn"] == clocks.said
    assert len(clocks.said) == 1 and clocks.said[0][1].startswith(
        "/clock does not come for 5 s: is the simul"
    )
    clocks.ns = 30_000_000_000  # the time before the first message is nobody's silence
    clocks.pass_s(1.0, 1.0)
    assert clocks.said[1:] == [("info", "/clock runs again")]
    clocks.pass_s(60.0, 0.0)
    assert len(clocks.said) == 3 and "stands still" in clocks.said[2][1]
    assert clocks.expectations.check(5.0) == []


def test_jumps_back_do_not_count_and_without_simulated_time_steady_seconds_do() -> None:
    clocks = Clocks()
    clocks.ns = 50_000_000_000
    before = clocks.time()
    clocks.ns = 1_000_000_000
    assert clocks.time() == before
    clocks.ns = None
    clocks.time()
    clocks.s += 3.0
    assert clocks.time() - before >= 3.0


def test_a_node_with_use_sim_time_counts_its_clock_and_warns_again_only_in_simulated_time() -> None:
    world = RosWorld()
    try:
        options = world.options(use_sim_time=True)
        node = world.add(RsdfmNode("patient", NodeSettings, **options))
        clock = world.manager.create_publisher(Clock, "/clock", qos.outputs(depth=1))
        world.until(lambda: clock.get_subscription_count(), "the node hears the clock")
        node.expect("image", "image")

        def at(seconds: float) -> None:
            ns = round(seconds * 1e9)

            def there() -> bool:
                clock.publish(Clock(clock=convert.time_of(ns)))
                return bool(node.get_clock().now().nanoseconds == ns)

            world.until(there, f"it is {seconds} s")

        at(10.0)
        assert (
            node.expectations.check(5.0) == [] and node._may_say("refused") and not node._may_say("refused")
        )
        at(14.9)
        assert node.expectations.check(5.0) == [] and not node._may_say("refused")
        at(15.1)
        assert [m.what for m in node.expectations.check(5.0)] == ["image"] and node._may_say("refused")
        assert not node.set_parameters([Parameter("use_sim_time", value=False)])[0].reason
    finally:
        world.close()
