"""Recorded missions into a scene: bags, and the folders of evaluated runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from rsdfm_ros.data.bags.bag import open_bag
from rsdfm_ros.data.bags.errors import BagError
from rsdfm_ros.data.bags.info import header_stamp_ns
from rsdfm_ros.data.bags.topic_map import TopicMap, default_map
from rsdfm_ros.data.frame import CameraView
from rsdfm_ros.data.messages.errors import MessageError
from rsdfm_ros.errors import RsdfmError
from rsdfm_ros.evaluation.report.images import window_of
from rsdfm_ros.evaluation.report.recording import RunFrame, RunReader, Surroundings
from rsdfm_ros.view.messages import CONTRIBUTORS, Router
from rsdfm_ros.view.sink import MissionSink


class NothingToSee(RsdfmError):
    """A source without anything that can be shown."""


def is_run(path: Path) -> bool:
    """Whether this is the folder of an evaluated run."""
    return (path / "result.json").is_file()


def check(path: Path) -> None:
    """Refuse what is neither a run nor a bag, before a window opens. Raises: RunError, BagError."""
    if is_run(path):
        RunReader(path)
    else:
        open_bag(path).close()


def show_bag(
    path: Path, scene: MissionSink, topic_map: TopicMap, on_message: Callable[[int, int], None]
) -> Router:
    """Show a bag from its first to its last message. on_message(done, all): called after every message.

    Raises: BagError; NothingToSee when no topic of it is known.
    """
    router = Router(scene, topic_map)
    with open_bag(path) as bag:
        readable = {name: t.type_name for name, t in bag.topics.items() if not t.problem}
        topics = router.learn(readable)
        if not topics:
            some = ", ".join(sorted(bag.topics)[:6])
            raise NothingToSee(
                f"{path}: none of its topics is known ({some}, …): name them in a topic map and give it with --map "
                "(docs/bags.md, config/bags/foreign.yaml)"
            )
        total = sum(bag.topics[t].messages for t in topics)
        for topic in router.infos:  # recorders note topics in any order: intrinsics first
            first = next(iter(bag.messages([topic])), None)
            if first is not None:
                _take(router, bag.decode, first)
        for done, message in enumerate(bag.messages(topics), start=1):
            _take(router, bag.decode, message)
            on_message(done, total)
        for sentence in bag.damage:
            router.reject(str(path), "damage", sentence)
    if not router.shown:
        raise NothingToSee(f"{path}: nothing of {', '.join(topics[:6])} can be shown: {_why(router)}")
    return router


def show_run(path: Path, scene: MissionSink, on_frame: Callable[[int, int], None]) -> None:
    """Show the frames and figures of an evaluated run. Raises: RunError; NothingToSee without recorded frames."""
    run = RunReader(path)
    if not run.frames:
        raise NothingToSee(
            f"{path} has no recorded frames: fly with evaluator.record_frames, or show its bag ({path / 'bag'})"
        )
    lines = {line["frame"]: line for line in run.lines}
    scene.expect(run.agents)
    with _contributors(path / "bag", scene) as show_contributors:
        for done, number in enumerate(run.frames, start=1):
            frame = run.load(number)
            show_frame(frame, lines.get(number, {}), run.surroundings, scene)
            show_contributors(round(frame.stamp_s * 1e9))
            on_frame(done, len(run.frames))


@contextmanager
def _contributors(path: Path, scene: MissionSink) -> Iterator[Callable[[int], None]]:
    """A function that shows who contributed at a stamp, which a run has in its bag only; called in the order of stamps.
    It shows nothing where there is no bag, or a damaged one."""
    router = Router(scene, default_map())
    with ExitStack() as stack:
        waiting: Iterator[Any] = iter(())
        with suppress(BagError):
            bag = stack.enter_context(open_bag(path))
            kinds = {n: t.type_name for n, t in bag.topics.items() if not t.problem}
            router.learn({n: kind for n, kind in kinds.items() if n.endswith(CONTRIBUTORS)})
            waiting = bag.messages(router.topics)
        ahead: Any = None

        def show(ns: int) -> None:
            nonlocal ahead
            with suppress(BagError):
                while (ahead := ahead or next(waiting, None)) is not None:
                    stamp_ns = header_stamp_ns(ahead.raw)
                    if stamp_ns is not None and stamp_ns > ns:
                        return
                    if stamp_ns == ns:
                        _take(router, bag.decode, ahead)
                    ahead = None

        yield show


def show_frame(
    frame: RunFrame, line: Mapping[str, Any], surroundings: Surroundings, scene: MissionSink
) -> None:
    """Show a recorded frame; line: its line of status.jsonl, empty if it has none."""
    ns, K = round(frame.stamp_s * 1e9), surroundings.K
    if scene.window is None:
        scene.show_window(window_of(frame.true_ids))
        scene.surroundings(surroundings.roads, surroundings.buildings)
    scene.true_cells(ns, frame.true_ids > 0)
    for agent, image in sorted(frame.images.items()):
        if K is not None and agent in frame.poses:
            scene.camera(agent, ns, CameraView(agent, image, K, frame.poses[agent]))
    for (agent, variant), answer in sorted(frame.answers.items()):
        if answer.percent is not None:
            scene.occupancy(agent, variant, ns, answer.percent, window_of(answer.percent))
        if answer.boxes is not None:
            scene.detections(agent, variant, ns, answer.boxes)
        scene.paths(agent, variant, ns, answer.tracks)
    for agent, facts in sorted(line.get("agents", {}).items()):
        if isinstance(facts, dict):
            scene.status(agent, ns, facts)


def _take(router: Router, decode: Callable[..., object], message: object) -> None:
    try:
        content = decode(message)
    except MessageError as error:
        router.reject(message.topic, error.reason, str(error))  # type: ignore[attr-defined]
        return
    router.take(message.topic, content, len(message.raw), message.log_ns / 1e9)  # type: ignore[attr-defined]


def _why(router: Router) -> str:
    return "; ".join(_sentences(router)) or "it has no messages"


def _sentences(router: Router) -> Iterator[str]:
    for (topic, reason), count in sorted(router.rejects.items()):
        yield f"{topic}: {count} × {reason} ({router.reasons[topic, reason]})"


def left_out(router: Router) -> list[str]:
    """Data that could not be shown, as sentences."""
    return list(_sentences(router))
