"""All measurements of speed that need no ROS, one row after the other; a row that fails says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rsdfm_ros.errors import RsdfmError, reason
from rsdfm_ros.evaluation.session import worker_count
from rsdfm_ros.evaluation.speed import costs
from rsdfm_ros.evaluation.speed.bag import write_bag
from rsdfm_ros.evaluation.speed.scene import Scene, render, renderings
from rsdfm_ros.evaluation.speed.stages import PEERS, stages
from rsdfm_ros.evaluation.speed.timing import QUICK, Repeats, median_ms, threads
from rsdfm_ros.evaluation.speed.uav_frame import FleetFrame, Packets, UavFrame, packets_of
from rsdfm_ros.model.perception import Perception
from rsdfm_ros.provenance import machine

FLEET = PEERS + 1
"""UAVs of a whole fleet."""


class Progress(Protocol):
    """Told what is being measured: begins a part of so many steps, whose calls follow."""

    def __call__(self, what: str, steps: int) -> AbstractContextManager[Callable[[], None]]: ...


def silent(what: str, steps: int) -> AbstractContextManager[Callable[[], None]]:
    """No progress is shown."""
    return nullcontext(lambda: None)


@dataclass(frozen=True)
class Extent:
    """How much is measured. repeats: of every figure · slow: of those that take seconds · peers: numbers of peers ·
    frames: of the scene."""

    repeats: Repeats = field(default_factory=Repeats)
    slow: Repeats = field(default_factory=lambda: Repeats(least=3, most=9, seconds=12.0, warm_up=1))
    peers: tuple[int, ...] = costs.PEERS
    frames: int = 4


QUICK_EXTENT = Extent(QUICK, QUICK, (1, 2, 4), 2)


class Speed:
    """Measures a model on this machine; `figures` holds what is measured so far, `failed` why rows have no figures.

    number: threads of one UAV · fleet_threads: of the whole fleet's frame.
    """

    def __init__(
        self,
        model: Perception,
        extent: Extent | None = None,
        *,
        number: int = 1,
        fleet_threads: int | None = None,
        progress: Progress = silent,
    ) -> None:
        self.model, self.extent, self._progress = model, extent or Extent(), progress
        self._threads, self._fleet_threads = number, fleet_threads or worker_count()
        self.figures: dict[str, Any] = {
            "machine": machine(),
            "engine": model.runtime.words,
            "threads": self._threads,
            "fleet_threads": self._fleet_threads,
        }
        self.failed: dict[str, str] = {}
        self._scene: Scene | None = None
        self._packets: dict[str, list[Packets]] = {}

    def write_bag(self, folder: Path, images: int) -> str:
        """Write a bag of one UAV and three peers (evaluation/speed/bag.py) after `run`; the name of the UAV."""
        assert self._scene is not None, "nothing was rendered yet"
        return write_bag(folder, self._scene, self._three, images)

    @property
    def _three(self) -> dict[str, list[Packets]]:
        return {name: self._packets[name] for name in list(self._packets)[:PEERS]}

    def run(self) -> None:
        """Measure everything, the most important first."""
        with threads(self._threads):
            self._scene, self._packets = scene, packets = self._prepared()
            self.figures |= {"scene_seed": scene.seed, "peers": PEERS}
            three = self._three
            ego, model = scene.agents[0], self.model
            self._row("uav_frame_ms", UavFrame(model, scene, ego, three))
            self._row("uav_frame_single_ms", UavFrame(model, scene, ego, three, single=True))
            self._part("stages_ms", "stages", lambda r, step: stages(model, scene, r, step))
            with threads(self._fleet_threads):
                workers = self._fleet_threads
                self._row("fleet_frame_ms", FleetFrame(model, scene, scene.agents[:FLEET], workers))
            self._part("peers_ms", "cost over peers", lambda r, step: self._peers(scene, packets, r, step))
            if (times := self.figures.get("peers_ms")) is not None:
                self.figures["per_peer_ms"] = costs.slope({int(n): ms for n, ms in times.items()})
            self._part(
                "region_quarter_share",
                "region of a quarter",
                lambda r, step: costs.quarter_share(model, scene, three, r, step),
            )

    def _prepared(self) -> tuple[Scene, dict[str, list[Packets]]]:
        """Images, and what the peers send for them."""
        uavs, frames = max(*self.extent.peers, PEERS) + 1, self.extent.frames
        with self._progress("rendering images", renderings(uavs, frames)) as step:
            scene = render(uavs, frames=frames, on_frame=step)
        with self._progress("packets of peers", (uavs - 1) * frames) as step:
            return scene, packets_of(self.model, scene, scene.agents[1:], step)

    def _peers(
        self,
        scene: Scene,
        packets: Mapping[str, list[Packets]],
        repeats: Repeats,
        on_round: Callable[[], None],
    ) -> dict[str, float]:
        times = costs.over_peers(self.model, scene, packets, self.extent.peers, repeats, on_round)
        return {str(n): ms for n, ms in times.items()}

    def _row(self, key: str, work: Callable[[], Any]) -> None:
        def measured(repeats: Repeats, step: Callable[[], None]) -> float:
            def once() -> None:
                work()
                step()

            return median_ms(once, repeats)

        self._part(key, key.removesuffix("_ms").replace("_", " "), measured)

    def _part(self, key: str, what: str, measure: Callable[[Repeats, Callable[[], None]], Any]) -> None:
        """One row: its figure, or why there is none."""
        repeats = self.extent.repeats if key == "stages_ms" else self.extent.slow
        try:
            with self._progress(what, repeats.warm_up + repeats.most) as step:
                self.figures[key] = measure(repeats, step)
        except (RsdfmError, ValueError, RuntimeError) as error:
            self.failed[key] = reason(error)
