"""evaluator_node: scores the fleet against the truth while it flies, and writes the results.

All topics arrive as raw bytes and go through one queue to one thread, which deserialises, records and scores: the
executor only appends. Sizes of messages are those of the serialised bytes.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from functools import partial
from pathlib import Path
from time import monotonic, time_ns
from typing import Any

from rsdfm_ros.data.bags.info import header_stamp_ns
from rsdfm_ros.data.bags.writer import BagWriter
from rsdfm_ros.data.messages import tasks as task_messages
from rsdfm_ros.ending import SAVE_S
from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.evaluation.metrics.answer_times import published_ns
from rsdfm_ros.evaluation.mission import Mission, window_of_bounds
from rsdfm_ros.evaluation.mission_about import about_of, with_about
from rsdfm_ros.evaluation.pending_instants import PendingInstants
from rsdfm_ros.geometry.boxes import rasterise
from rsdfm_ros.msg import FleetStatus, GroundTruth
from rsdfm_ros.nodes.core import qos
from rsdfm_ros.nodes.core.base import RsdfmNode
from rsdfm_ros.nodes.core.entities import STEADY
from rsdfm_ros.nodes.core.runner import run_to_end
from rsdfm_ros.nodes.core.worker import give_way
from rsdfm_ros.nodes.mission.intake import SENSED, SENSED_WAIT_S, Input, Intake, inputs, published
from rsdfm_ros.nodes.mission.origins import Origins
from rsdfm_ros.nodes.mission.recorder import FolderWriter
from rsdfm_ros.nodes.mission.report import fleet_message, frame_line, result_of
from rsdfm_ros.nodes.mission.settings import EvaluatorSettings

_END = ("", "", None, b"")

UNDER_WAY_S = 2.0
"""Time that answers may still be under way after the publisher of the truth has ended."""


class EvaluatorNode(RsdfmNode[EvaluatorSettings]):
    """`finished` tells when a mission of known length is over and everything is written."""

    def __init__(self, **options: Any) -> None:
        super().__init__("evaluator_node", EvaluatorSettings, **options)
        self.finished = threading.Event()
        self.failure = ""
        self._queue: queue.SimpleQueue[tuple[str, str, Any, bytes]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._inputs: list[Any] = []
        self._folder: FolderWriter | None = None
        self._bag: BagWriter | None = None

    def configure(self) -> None:
        s = self.settings
        if s.record_bag and not s.out:
            raise RsdfmError("record_bag needs a folder: set `out`")
        self._about = about_of(s.about)
        self.window = window_of_bounds(s.map_bounds_m, s.cell_size_m)
        self._fleet = self.create_publisher(FleetStatus, "/fleet/status", qos.outputs())

    def _begin(self) -> None:
        """Begin a mission of its own for every activation of the node."""
        s = self.settings
        self.mission = Mission(s.agents, self.window, s.foreground_percent, wants_future=s.expect_future)
        self._queue = queue.SimpleQueue()
        self._intake = Intake(
            self.mission, self.window, self._advance, keep_images=s.record_frames, open_end=s.frames == 0
        )
        self._pending = PendingInstants(self.mission, wants_status=s.expect_status)
        self._history: list[dict[str, Any]] = []
        self._recorded_ns: dict[str, int] = {}  # newest stamp in the bag, by topic
        self._last: tuple[int, tuple[str, ...]] = (0, ())  # the newest instant that was answered, and by whom
        self._last_truth_s: float | None = None
        self._silent_since_s: float | None = None
        self._heard_truth = False
        self._truth_input: Any = None
        self._ready_s = 0.0
        self._void = ""  # reason why the mission is void
        self._origins = Origins(self, own_answers=s.own_answers, uavs_return=s.uavs_return)
        for topic in ("/clock", "/ground_truth") if self.get_parameter("use_sim_time").value else ():
            self._origins.add(self.resolve_topic_name(topic))
        self.failure = ""
        self.finished.clear()
        if s.out:
            out = Path(s.out)
            if (out / "bag").exists() and s.record_bag:
                raise RsdfmError(f"{out / 'bag'} exists already: choose another folder or remove it")
            self._folder = FolderWriter(out, frames=s.record_frames)
            self._bag = BagWriter(out / "bag") if s.record_bag else None

    def activate(self) -> None:
        s = self.settings
        self._begin()
        self._thread = threading.Thread(target=self._work, name="evaluation", daemon=True)
        self._thread.start()
        for given in inputs(s, self._intake):
            self._listen(given)
        # The truth last, once the rest is connected: a simulator may take this subscription as the sign that the
        # evaluator is ready.
        self._poll = self.create_timer(0.2, self._tick, clock=STEADY)

    def deactivate(self) -> None:
        self._inputs = []
        self.save()

    def save(self) -> None:
        """Score the data received so far and write the results."""
        if self._thread is not None:
            self._queue.put(_END)
            self._thread.join(SAVE_S)
            if self._thread.is_alive():
                self.failure = f"the results are not written within {SAVE_S:.0f} s"
                self.get_logger().error(self.failure)
            self._thread = None

    # --- taking in ------------------------------------------------------------------------------------------------

    def _listen(self, given: Input) -> None:
        own = bool(given.agent) and given.topic.partition("/")[2] not in SENSED
        topic = self.resolve_topic_name(given.topic)  # the fleet may have a namespace and other names
        namespace = f"{self.get_namespace().rstrip('/')}/{given.agent}" if own else ""
        self._origins.add(topic, namespace, shared=given.shared)

        def take(raw: bytes, info: Any) -> None:
            self._origins.heard(topic, info)
            handle = partial(given.handle, published_ns(info, time_ns()))
            self._queue.put((topic, given.type_name, handle, raw))

        self._inputs.append(self.create_subscription(given.kind, topic, take, given.profile, raw=True))

    def _tick(self) -> None:
        if self._truth_input is None and self._connected():
            shown = self._intake.answer_times.shown
            self._listen(
                Input("/ground_truth", GroundTruth, qos.outputs(), self._on_truth, on_published=shown)
            )
            self._truth_input = self._inputs[-1]
        self._look_for_others()
        if self.settings.frames == 0 and self._heard_truth and self.count_publishers("/ground_truth") == 0:
            self._heard_truth = False
            self._silent_since_s = monotonic()
        if self._silent_since_s is not None and monotonic() - self._silent_since_s > UNDER_WAY_S:
            self._silent_since_s = None
            self._queue.put(("", "", None, b"ended"))
        if self._last_truth_s is not None and not self.finished.is_set():
            late = monotonic() - self._last_truth_s > self.settings.end_timeout_s
            if late or not (self._pending or self._unrecorded()):
                self._queue.put(("", "", None, b"finish"))
                self._last_truth_s = None

    def _look_for_others(self) -> None:
        """A mission with foreign answers, clock or truth is void; one in a simulated world ends then."""
        if self._truth_input is None or self._void or self.finished.is_set():
            return
        self._void = self._origins.foreign()
        if self._void:
            self.get_logger().error(f"the mission is void: {self._void}")
            if self.get_parameter("use_sim_time").value:
                self._queue.put(("", "", None, b"finish"))

    def _unrecorded(self) -> bool:
        """Whether the bag still lacks inputs of the last answered instant: answers may arrive before the images that
        they belong to."""
        ns, agents = self._last
        topics = [self.resolve_topic_name(f"{agent}/{name}") for agent in agents for name in SENSED]
        return self._bag is not None and any(self._recorded_ns.get(topic, ns) < ns for topic in topics)

    def _connected(self) -> bool:
        if not published(self, self.settings.agents, ("trajectories", "bev/features")):
            return False
        self._ready_s = self._ready_s or monotonic()
        waited = monotonic() - self._ready_s > SENSED_WAIT_S
        return self._bag is None or waited or published(self, self.settings.agents, SENSED)

    def _work(self) -> None:
        give_way()  # to the UAVs, whose answers have a time limit
        while True:
            topic, type_name, handle, raw = self._queue.get()
            if handle is None:
                if raw == b"finish":
                    self._finish()
                    continue
                if raw == b"ended":
                    self._world_ended()
                    continue
                self._finish()
                return
            try:
                stamp_ns = header_stamp_ns(raw) or 0
                if self._bag is not None and stamp_ns > 0:  # before its first image a UAV has no mission time
                    self._bag.write(topic, type_name, stamp_ns, raw)
                    self._recorded_ns[topic] = max(stamp_ns, self._recorded_ns.get(topic, 0))
                handle(raw)
            except RsdfmError as error:
                self.reject(getattr(error, "reason", "message"), f"{topic}: {error}")
            except OSError as error:
                self._cannot_write(error)
                self._folder = self._bag = None
                self.finished.set()
                return
            except Exception as error:
                self.on_job_error(topic, error)

    def _world_ended(self) -> None:
        """Handle the end of the truth's publisher: wait only for answers to images that a UAV received."""
        self._pending.end()
        self._last_truth_s = monotonic()

    def _on_truth(self, message: GroundTruth, ns: int) -> None:
        self._heard_truth = True
        instant = self.mission.at(ns)
        instant.frame, instant.agents = int(message.frame), tuple(message.agents)
        instant.truth = task_messages.truth_from_message(message)
        frames = self.settings.frames
        if frames == 0 or message.frame < frames:
            self._pending.add(ns)
        else:
            self._intake.answer_times.without_images(ns)
            if message.frame >= frames + 3:
                self._last_truth_s = monotonic()
        self._advance(ns)

    # --- scoring --------------------------------------------------------------------------------------------------

    def _advance(self, ns: int) -> None:
        """Report an instant as soon as it is answered and known; score what can be scored."""
        gone = self._pending.gone
        for stamp_ns in self._pending.due(ns):
            self._report(stamp_ns)
        if lost := sorted(self._pending.gone - gone):
            self.get_logger().warning(
                f"no answer from {', '.join(lost)}: reporting without until it answers again"
            )
        # Instants that wait to be reported are not scored yet: scoring forgets them, and the status may come last.
        self._keep(self.mission.advance(before_ns=self._pending.oldest_ns))

    def _report(self, stamp_ns: int) -> None:
        instant = self.mission.at(stamp_ns)
        line = frame_line(self.mission, self.settings.agents, instant, self._intake.processing)
        self._history.append(line)
        self._last = max(self._last, (stamp_ns, tuple(instant.status)))
        if self._folder is not None:
            self._folder.status(line)
        self._fleet.publish(fleet_message(line, stamp_ns, self.settings.frame_id))

    def _keep(self, instants: list[Any]) -> None:
        for instant in instants:
            if self._folder is not None and instant.truth is not None and instant.answers:
                self._folder.frame(instant, rasterise(instant.truth, self.window))

    def _finish(self) -> None:
        """Score the remaining instants and write the results; once."""
        if self.finished.is_set():
            return
        try:
            if self._bag is not None:
                self._bag.close()
            self._keep(self.mission.advance(final=True))
            if self._void:
                self.failure = self._void
                if self._folder is not None:
                    self._folder.void(self._void)
            elif self._folder is not None:
                times = (self._intake.processing, self._intake.answer_times)
                domain, incomplete = self.context.get_domain_id(), self._pending.incomplete
                result = result_of(self.mission, self.settings, self._history, *times, domain, incomplete)
                self._folder.result(with_about(result, self._about, self._intake.fingerprint))
        except OSError as error:
            self._cannot_write(error)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            self.on_job_error("results", error)
        finally:
            if self._folder is not None:
                with contextlib.suppress(OSError):  # of data that could not be written before
                    self._folder.close()
            self._folder = self._bag = None
        self.finished.set()

    def _cannot_write(self, error: OSError) -> None:
        """End without a result, as on a full disk: figures of an incomplete mission would not show what is missing."""
        self.failure = f"the mission cannot be recorded: {reason(error)}"
        self.get_logger().error(self.failure)


def main() -> int:
    """Run the evaluator in a process of its own; ends with the mission if its length is known."""
    return run_to_end(EvaluatorNode)


if __name__ == "__main__":
    sys.exit(main())
